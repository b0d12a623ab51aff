/*
 * Many short connections, single bytes there and back, and connections that only stay open.
 *
 *   connections serve PORT                        TCP and UDP; prints "ready"
 *   connections rate ADDRESS PORT CLIENTS MS      connect, a byte there and back, close, over and over; one JSON line
 *   connections trips tcp|udp ADDRESS PORT MS     a byte there and back, over and over; one JSON line
 *   connections hold ADDRESS PORT COUNT           opens them, a byte there and back on each; prints "ready", waits
 *   connections survive ADDRESS PORT COUNT        the same; on SIGUSR1 again a byte on each, one JSON line: how many answer
 *   connections fill ADDRESS PORT MS              sends on one connection for MS milliseconds and closes it
 *   connections stream ADDRESS PORT COUNT         opens them and sends for ever on each; prints "ready" after a second
 *
 * The server sends a single byte back and swallows anything longer. A client that waits in vain for 5 s gives
 * up; `rate` counts connections that fail and goes on, the others end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, MAX_CLIENTS = 64, MAX_TRIPS = 1 << 20, BULK_BYTES = 64 << 10, STREAM_MS = 1000, PATIENCE_S = 5 };

static struct sockaddr_in target;
static double deadline;
static unsigned char bulk[BULK_BYTES];

static void die(const char *operation)
{
	fprintf(stderr, "connections: %s: %s\n", operation, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

static int open_socket(int type)
{
	int one = 1;
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static int open_connection(int type)
{
	int fd = open_socket(type);
	if (connect(fd, (struct sockaddr *)&target, sizeof target) < 0)
		die("connect");
	return fd;
}

/* A byte there and back; false with errno when it did not come back. */
static int returned(int fd)
{
	unsigned char byte = 1;
	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return 0;
	ssize_t n = recv(fd, &byte, 1, 0);
	if (n == 0)
		errno = ECONNRESET;
	return n == 1;
}

static void trip(int fd)
{
	if (!returned(fd))
		die("byte there and back");
}

static void set_target(const char *address, const char *port)
{
	target = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	if (inet_pton(AF_INET, address, &target.sin_addr) == 1)
		return;
	fprintf(stderr, "connections: not an IPv4 address: %s\n", address);
	exit(2);
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
	int one = 1, fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		watch(epoll, fd);
	}
}

static void answer_stream(int fd)
{
	ssize_t n = recv(fd, bulk, sizeof bulk, 0);
	if (n == 1)
		send(fd, bulk, 1, MSG_NOSIGNAL);
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close(fd);
}

static void answer_datagram(int fd)
{
	struct sockaddr_in from;
	socklen_t length = sizeof from;
	ssize_t n = recvfrom(fd, bulk, sizeof bulk, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
	if (n == 1)
		sendto(fd, bulk, 1, 0, (struct sockaddr *)&from, length);
}

static _Noreturn void serve(int port)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = open_socket(SOCK_STREAM), datagrams = open_socket(SOCK_DGRAM);

	if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0 || listen(listener, SOMAXCONN) < 0)
		die("listen");
	if (bind(datagrams, (struct sockaddr *)&any, sizeof any) < 0)
		die("bind");
	fcntl(listener, F_SETFL, O_NONBLOCK);
	watch(epoll, listener);
	watch(epoll, datagrams);
	say_ready();
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener)
				accept_all(epoll, listener);
			else if (fd == datagrams)
				answer_datagram(fd);
			else
				answer_stream(fd);
		}
	}
}

struct client {
	pthread_t thread;
	uint64_t done, failed;
	char rest_of_cache_line[64 - 24];
};

static void *connect_over_and_over(void *argument)
{
	struct client *client = argument;
	while (now_ms() < deadline) {
		int fd = open_socket(SOCK_STREAM);
		if (connect(fd, (struct sockaddr *)&target, sizeof target) == 0 && returned(fd))
			client->done++;
		else
			client->failed++;
		close(fd);
	}
	return NULL;
}

static int rate(int clients, double length_ms)
{
	static struct client all[MAX_CLIENTS];
	uint64_t done = 0, failed = 0;
	double began = now_ms();

	if (clients < 1 || clients > MAX_CLIENTS)
		return 2;
	deadline = began + length_ms;
	for (int i = 0; i < clients; i++) {
		errno = pthread_create(&all[i].thread, NULL, connect_over_and_over, &all[i]);
		if (errno != 0)
			die("pthread_create");
	}
	for (int i = 0; i < clients; i++) {
		pthread_join(all[i].thread, NULL);
		done += all[i].done;
		failed += all[i].failed;
	}
	printf("{\"connections\":%llu,\"failed\":%llu,\"ms\":%.3f}\n", (unsigned long long)done,
	       (unsigned long long)failed, now_ms() - began);
	return done == 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int trips(int type, double length_ms)
{
	static double times[MAX_TRIPS];
	size_t n = 0;
	int fd = open_connection(type);

	trip(fd);
	double t = now_ms(), end = t + length_ms;
	while (t < end && n < MAX_TRIPS) {
		double began = t;
		trip(fd);
		t = now_ms();
		times[n++] = (t - began) * 1e3;
	}
	qsort(times, n, sizeof *times, by_size);
	printf("{\"trips\":%zu,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f}\n", n, times[n / 2], times[n * 99 / 100],
	       times[n * 999 / 1000]);
	return 0;
}

static void allow_many_files(void)
{
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int *open_many(int count)
{
	int *fds = calloc(count, sizeof *fds);

	if (fds == NULL)
		die("calloc");
	for (int i = 0; i < count; i++) {
		fds[i] = open_connection(SOCK_STREAM);
		trip(fds[i]);
	}
	return fds;
}

static _Noreturn void hold(int count)
{
	open_many(count);
	say_ready();
	for (;;)
		pause();
}

/* All at once: those that do not answer cost the patience of one. */
static int count_alive(const int *fds, int count)
{
	int alive = 0;
	double deadline = now_ms() + PATIENCE_S * 1e3;

	for (int i = 0; i < count; i++)
		send(fds[i], "", 1, MSG_NOSIGNAL);
	for (int i = 0; i < count; i++) {
		struct pollfd answer = { .fd = fds[i], .events = POLLIN };
		double left = deadline - now_ms();
		char byte;
		if (poll(&answer, 1, left > 0 ? left : 0) == 1 && recv(fds[i], &byte, 1, MSG_DONTWAIT) == 1)
			alive++;
	}
	return alive;
}

static int survive(int count)
{
	sigset_t check;
	int signal;

	sigemptyset(&check);
	sigaddset(&check, SIGUSR1);
	sigprocmask(SIG_BLOCK, &check, NULL);
	int *fds = open_many(count);
	say_ready();
	sigwait(&check, &signal);
	printf("{\"alive\":%d}\n", count_alive(fds, count));
	return 0;
}

static _Noreturn void stream(int count)
{
	int *fds = open_many(count);
	int said = 0;
	double began = now_ms();

	for (;;) {
		int sent = 0;
		for (int i = 0; i < count; i++)
			sent |= send(fds[i], bulk, sizeof bulk, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
		if (!sent)
			usleep(500);
		if (said || now_ms() < began + STREAM_MS)
			continue;
		say_ready();
		said = 1;
	}
}

static int fill(double length_ms)
{
	int fd = open_connection(SOCK_STREAM);
	double end = now_ms() + length_ms;

	while (now_ms() < end) {
		if (send(fd, bulk, sizeof bulk, MSG_NOSIGNAL) < 0)
			die("send");
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	allow_many_files();
	if (argc == 3 && strcmp(mode, "serve") == 0)
		serve(atoi(argv[2]));
	if (argc == 6 && strcmp(mode, "trips") == 0) {
		set_target(argv[3], argv[4]);
		return trips(strcmp(argv[2], "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM, atof(argv[5]));
	}
	if (argc >= 4)
		set_target(argv[2], argv[3]);
	if (argc == 6 && strcmp(mode, "rate") == 0)
		return rate(atoi(argv[4]), atof(argv[5]));
	if (argc == 5 && strcmp(mode, "hold") == 0)
		hold(atoi(argv[4]));
	if (argc == 5 && strcmp(mode, "survive") == 0)
		return survive(atoi(argv[4]));
	if (argc == 5 && strcmp(mode, "fill") == 0)
		return fill(atof(argv[4]));
	if (argc == 5 && strcmp(mode, "stream") == 0)
		stream(atoi(argv[4]));
	fputs("usage: connections serve PORT | rate ADDRESS PORT CLIENTS MS | trips tcp|udp ADDRESS PORT MS |"
	      " hold ADDRESS PORT COUNT | survive ADDRESS PORT COUNT |"
	      " fill ADDRESS PORT MS | stream ADDRESS PORT COUNT\n", stderr);
	return 2;
}
