/*
 * Stands in for a VMM: holds a TAP's descriptor as Firecracker does (IFF_VNET_HDR, all offloads, one queue) and
 * carries whole frames, virtio-net header included, between it and a second TAP that is the guest's eth0.
 *
 *   fake-vmm HOST_TAP GUEST_NAMESPACE GUEST_INTERFACE
 *
 * The host's TAP is looked for in the namespace the process starts in, and made where it does not exist. Prints
 * "ready" once both are open. Whatever it made is gone when it ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Kernel headers before 6.2 lack these (include/uapi/linux/if_tun.h). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* A burst small enough to stay in a processor's own cache needs less processor time than one of 32. */
enum { FRAME_BYTES = 10 + 14 + 4 + 65535, BURST = 4 };

static void die(const char *operation, const char *object)
{
	fprintf(stderr, "fake-vmm: %s %s: %s\n", operation, object, strerror(errno));
	exit(1);
}

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		die("open", "/dev/net/tun");
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		die("TUNSETIFF", name);
	if (ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0 &&
	    ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
		die("TUNSETOFFLOAD", name);
	return fd;
}

struct pump {
	int from, to;
};

/* Carries up to BURST frames; false when there was nothing more to read. */
static int carry(const struct pump *p, unsigned char *frame)
{
	for (int i = 0; i < BURST; i++) {
		ssize_t n = read(p->from, frame, FRAME_BYTES);
		if (n < 0 && errno == EAGAIN)
			return 0;
		/* EIO: the interface is down; EBADFD: it is gone */
		if (n < 0 && errno != EINTR && errno != EIO)
			die("read", "frame");
		if (n > 0 && write(p->to, frame, n) < 0 && errno == EBADFD)
			die("write", "frame");
	}
	return 1;
}

static void poll_forever(const struct pump *pumps)
{
	static unsigned char frame[FRAME_BYTES];
	struct pollfd ready[2] = { { .fd = pumps[0].from, .events = POLLIN }, { .fd = pumps[1].from, .events = POLLIN } };
	for (;;) {
		int more = 0;
		for (int i = 0; i < 2; i++)
			more |= carry(&pumps[i], frame);
		if (!more)
			poll(ready, 2, -1);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: fake-vmm HOST_TAP GUEST_NAMESPACE GUEST_INTERFACE\n", stderr);
		return 2;
	}
	int host = open_tap(argv[1]);
	int namespace = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0)
		die("enter", argv[2]);
	int guest = open_tap(argv[3]);
	struct pump pumps[2] = { { host, guest }, { guest, host } };
	puts("ready");
	fflush(stdout);
	poll_forever(pumps);
}
