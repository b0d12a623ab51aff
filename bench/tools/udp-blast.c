/*
 * Small-frame load: a sender that goes as fast as sendmmsg does, and a receiver that counts.
 *
 *   udp-blast receive PORT MS           prints "ready", then one JSON line about MS milliseconds of arrivals
 *   udp-blast send ADDRESS PORT BYTES MS  sends datagrams of BYTES for MS milliseconds, one JSON line
 *
 * The receiver's window opens 100 ms after the first datagram, so that neither the ramp up nor the tail of
 * what lay in queues is counted: the sender must go on for longer. Every datagram begins with a sequence number.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_BYTES = 1472, WARM_UP_MS = 100, RECEIVE_BUFFER = 16 << 20 };

/* A receiver woken by every datagram is what would be measured: it looks at its buffer, which holds more, this often. */
enum { NAP_US = 300 };

static unsigned char payload[BATCH][MAX_BYTES];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static void die(const char *operation)
{
	fprintf(stderr, "udp-blast: %s: %s\n", operation, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int udp_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	return fd;
}

static void prepare(size_t bytes)
{
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){ .iov_base = payload[i], .iov_len = bytes };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}
}

static int receive(int port, double window_ms)
{
	int fd = udp_socket();
	int room = RECEIVE_BUFFER;
	struct timeval patience = { .tv_sec = 5 };
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
		die("bind");
	prepare(MAX_BYTES);
	puts("ready");
	fflush(stdout);

	uint64_t received = 0, late = 0, first = 0, newest = 0;
	double opened = 0, seen = 0;
	for (;;) {
		int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		double t = now_ms();
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && n < BATCH)
			usleep(NAP_US);
		if (n < 0 && errno != EAGAIN)
			die("recvmmsg");
		if (seen == 0)
			seen = t;
		if (n < 0 || t >= seen + WARM_UP_MS + window_ms) {
			double length = n < 0 ? window_ms : t - opened;
			/* the sequence numbers that passed by say how many were offered meanwhile */
			printf("{\"received\":%llu,\"late\":%llu,\"offered\":%llu,\"ms\":%.3f}\n",
			       (unsigned long long)received, (unsigned long long)late,
			       (unsigned long long)(received ? newest - first : 0), length);
			return 0;
		}
		if (t < seen + WARM_UP_MS)
			continue;
		if (opened == 0)
			opened = t; /* this batch opened the window: its datagrams came before it */
		else
			received += n;
		for (int i = 0; i < n; i++) {
			uint64_t sequence;
			memcpy(&sequence, payload[i], sizeof sequence);
			if (first == 0)
				first = sequence;
			if (sequence > newest)
				newest = sequence;
			else
				late++;
		}
	}
}

static int send_blast(const char *address, int port, size_t bytes, double length_ms)
{
	int fd = udp_socket();
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
		fprintf(stderr, "udp-blast: not an IPv4 address: %s\n", address);
		return 2;
	}
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	prepare(bytes);

	uint64_t sequence = 1, sent = 0;
	double began = now_ms(), t = began;
	while (t < began + length_ms) {
		for (int i = 0; i < BATCH; i++) {
			memcpy(payload[i], &sequence, sizeof sequence);
			sequence++;
		}
		int n = sendmmsg(fd, messages, BATCH, 0);
		if (n > 0)
			sent += n;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
			die("sendmmsg");
		t = now_ms();
	}
	printf("{\"sent\":%llu,\"ms\":%.3f}\n", (unsigned long long)sent, t - began);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "receive") == 0)
		return receive(atoi(argv[2]), atof(argv[3]));
	if (argc == 6 && strcmp(argv[1], "send") == 0) {
		size_t bytes = strtoul(argv[4], NULL, 10);
		if (bytes >= sizeof(uint64_t) && bytes <= MAX_BYTES)
			return send_blast(argv[2], atoi(argv[3]), bytes, atof(argv[5]));
	}
	fputs("usage: udp-blast receive PORT MS | send ADDRESS PORT BYTES MS\n", stderr);
	return 2;
}
