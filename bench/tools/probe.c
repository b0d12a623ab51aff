/*
 * Tells how long nothing gets through: a sender of one small datagram a millisecond, and a receiver that looks for the
 * longest time without any.
 *
 *   probe send ADDRESS PORT     for ever; what the network refuses is a datagram lost
 *   probe receive PORT          prints "ready"; on SIGTERM one JSON line about the datagrams since the first
 *
 * `gapMs` counts the time after the last datagram, too: who never gets another has waited until SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_NS = 1000000, SECOND_NS = 1000000000 };

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void die(const char *operation)
{
	fprintf(stderr, "probe: %s: %s\n", operation, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static _Noreturn void send_all(int fd, struct sockaddr_in *target)
{
	struct timespec due;

	if (connect(fd, (struct sockaddr *)target, sizeof *target) < 0)
		die("connect");
	clock_gettime(CLOCK_MONOTONIC, &due);
	for (uint32_t sequence = 0;; sequence++) {
		send(fd, &sequence, sizeof sequence, MSG_DONTWAIT);
		due.tv_nsec += EVERY_NS;
		if (due.tv_nsec >= SECOND_NS) {
			due.tv_nsec -= SECOND_NS;
			due.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	}
}

static int receive(int fd, struct sockaddr_in *address)
{
	/* Interrupts recv: no SA_RESTART. One that comes just before it is noticed with the next datagram, or after a second. */
	struct sigaction action = { .sa_handler = end };
	struct timeval patience = { .tv_sec = 1 };
	unsigned long received = 0;
	uint32_t sequence, first = 0, last = 0;
	double gap = 0, before = 0;

	sigaction(SIGTERM, &action, NULL);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (bind(fd, (struct sockaddr *)address, sizeof *address) < 0)
		die("bind");
	puts("ready");
	fflush(stdout);
	while (!ended) {
		if (recv(fd, &sequence, sizeof sequence, 0) != sizeof sequence)
			continue;
		double t = now_ms();
		if (received++ == 0)
			first = sequence;
		else if (t - before > gap)
			gap = t - before;
		last = sequence;
		before = t;
	}
	if (received == 0) {
		fputs("probe: nothing received\n", stderr);
		return 1;
	}
	double quiet = now_ms() - before;
	printf("{\"received\":%lu,\"lost\":%ld,\"gapMs\":%.3f,\"quietMs\":%.3f}\n", received,
	       (long)(last - first + 1) - (long)received, quiet > gap ? quiet : gap, quiet);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int sends = argc == 4 && strcmp(argv[1], "send") == 0;

	if (!sends && !(argc == 3 && strcmp(argv[1], "receive") == 0)) {
		fputs("usage: probe send ADDRESS PORT | receive PORT\n", stderr);
		return 2;
	}
	address.sin_port = htons(atoi(argv[argc - 1]));
	if (sends && inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
		fprintf(stderr, "probe: not an IPv4 address: %s\n", argv[2]);
		return 2;
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (sends)
		send_all(fd, &address);
	return receive(fd, &address);
}
