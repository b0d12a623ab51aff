/**
 * The C library, through koffi: the project's only foreign calls.
 *
 * Two ways to hand memory over. Calls of the datapath take addresses as plain numbers (a user-space address
 * fits a double) that point into a mapped {@link Memory}; nothing is converted and nothing allocates. Calls of
 * set-up code take a `Uint8Array`, whose bytes koffi passes by pointer for the length of the call.
 *
 * Only synchronous calls that do not block, and `epoll_wait` with a bounded time-out: a thread inside a foreign
 * call cannot be terminated.
 */
import koffi from 'koffi';
import { SysError } from './errno.ts';

// The running process already has the C library, glibc or musl: no file name to guess.
const lib = koffi.load(null);

type Bytes = Uint8Array | null;

/** `errno` of the last foreign call on this thread. */
export const errno: () => number = koffi.errno;

// --- memory -----------------------------------------------------------------------------------------------
export const mmap: (
  address: number,
  bytes: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
) => number = lib.func('intptr_t mmap(uintptr_t, size_t, int, int, int, intptr_t)');
export const munmap: (address: number, bytes: number) => number = lib.func('int munmap(uintptr_t, size_t)');

export const memmove: (to: number, from: number, bytes: number) => number = lib.func(
  'uintptr_t memmove(uintptr_t, uintptr_t, size_t)',
);
/** Copies bytes out of raw memory into an array. */
export const memcpyOut: (to: Uint8Array, from: number, bytes: number) => number = lib.func(
  'memcpy',
  'uintptr_t',
  ['_Out_ void *', 'uintptr_t', 'size_t'],
);

// --- descriptors ------------------------------------------------------------------------------------------
export const open: (path: string, flags: number, mode: number) => number = lib.func(
  'int open(const char *, int, int)',
);
export const flock: (fd: number, operation: number) => number = lib.func('int flock(int, int)');
export const close: (fd: number) => number = lib.func('int close(int)');
export const eventfd: (initial: number, flags: number) => number = lib.func('int eventfd(unsigned int, int)');
export const ioctl: (fd: number, request: number, argument: Bytes) => number = lib.func(
  'int ioctl(int, unsigned long, void *)',
);
/** `ioctl` whose argument is a number, not a pointer. */
export const ioctlValue: (fd: number, request: number, argument: number) => number = lib.func(
  'ioctl',
  'int',
  ['int', 'unsigned long', 'uintptr_t'],
);
export const read: (fd: number, address: number, bytes: number) => number = lib.func(
  'intptr_t read(int, uintptr_t, size_t)',
);
export const write: (fd: number, address: number, bytes: number) => number = lib.func(
  'intptr_t write(int, uintptr_t, size_t)',
);

// --- readiness --------------------------------------------------------------------------------------------
export const epollCreate1: (flags: number) => number = lib.func('int epoll_create1(int)');
export const epollCtl: (epfd: number, op: number, fd: number, event: number) => number = lib.func(
  'int epoll_ctl(int, int, int, uintptr_t)',
);
export const epollWait: (epfd: number, events: number, maxEvents: number, timeoutMs: number) => number =
  lib.func('int epoll_wait(int, uintptr_t, int, int)');

// --- sockets ----------------------------------------------------------------------------------------------
export const socket: (domain: number, type: number, protocol: number) => number =
  lib.func('int socket(int, int, int)');
export const bind: (fd: number, address: Bytes, bytes: number) => number = lib.func(
  'int bind(int, void *, unsigned int)',
);
export const connect: (fd: number, address: Bytes, bytes: number) => number = lib.func(
  'int connect(int, void *, unsigned int)',
);
export const getsockname: (fd: number, address: Bytes, bytes: Bytes) => number = lib.func(
  'int getsockname(int, _Out_ void *, _Inout_ void *)',
);
export const getpeername: (fd: number, address: Bytes, bytes: Bytes) => number = lib.func(
  'int getpeername(int, _Out_ void *, _Inout_ void *)',
);
export const setsockopt: (fd: number, level: number, name: number, value: Bytes, bytes: number) => number =
  lib.func('int setsockopt(int, int, int, void *, unsigned int)');
export const getsockopt: (fd: number, level: number, name: number, value: Bytes, bytes: Bytes) => number =
  lib.func('int getsockopt(int, int, int, _Out_ void *, _Inout_ void *)');
export const send: (fd: number, data: Bytes, bytes: number, flags: number) => number = lib.func(
  'intptr_t send(int, void *, size_t, int)',
);
export const recv: (fd: number, data: Bytes, bytes: number, flags: number) => number = lib.func(
  'intptr_t recv(int, _Out_ void *, size_t, int)',
);
export const recvmmsg: (fd: number, vector: number, count: number, flags: number, timeout: number) => number =
  lib.func('int recvmmsg(int, uintptr_t, unsigned int, int, uintptr_t)');
export const sendmmsg: (fd: number, vector: number, count: number, flags: number) => number = lib.func(
  'int sendmmsg(int, uintptr_t, unsigned int, int)',
);

export const socketpair: (domain: number, type: number, protocol: number, fds: Bytes) => number = lib.func(
  'int socketpair(int, int, int, _Out_ void *)',
);
export const listen: (fd: number, backlog: number) => number = lib.func('int listen(int, int)');
export const shutdown: (fd: number, how: number) => number = lib.func('int shutdown(int, int)');
export const connectAt: (fd: number, address: number, bytes: number) => number = lib.func('connect', 'int', [
  'int',
  'uintptr_t',
  'unsigned int',
]);
export const acceptAt: (fd: number, address: number, bytes: number, flags: number) => number = lib.func(
  'int accept4(int, uintptr_t, uintptr_t, int)',
);
export const setsockoptAt: (fd: number, level: number, name: number, value: number, bytes: number) => number =
  lib.func('setsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'unsigned int']);
export const getsockoptAt: (fd: number, level: number, name: number, value: number, bytes: number) => number =
  lib.func('getsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'uintptr_t']);
export const sendAt: (fd: number, address: number, bytes: number, flags: number) => number = lib.func(
  'send',
  'intptr_t',
  ['int', 'uintptr_t', 'size_t', 'int'],
);
export const recvAt: (fd: number, address: number, bytes: number, flags: number) => number = lib.func(
  'recv',
  'intptr_t',
  ['int', 'uintptr_t', 'size_t', 'int'],
);
export const recvmsgAt: (fd: number, header: number, flags: number) => number = lib.func(
  'intptr_t recvmsg(int, uintptr_t, int)',
);
export const writev: (fd: number, vector: number, count: number) => number = lib.func(
  'intptr_t writev(int, uintptr_t, int)',
);

// --- time -------------------------------------------------------------------------------------------------
export const clockGettime: (clock: number, address: number) => number = lib.func(
  'int clock_gettime(int, uintptr_t)',
);

// --- scheduling -------------------------------------------------------------------------------------------
export const schedYield: () => number = lib.func('int sched_yield()');
/** Of those operations that take a text. */
export const prctl: (operation: number, text: string) => number = lib.func('int prctl(int, const char *)');

// --- namespaces -------------------------------------------------------------------------------------------
export const unshare: (flags: number) => number = lib.func('int unshare(int)');
export const setns: (fd: number, type: number) => number = lib.func('int setns(int, int)');

// --- calls without a wrapper in the C library -------------------------------------------------------------
/** `syscall(2)` with one number and one pointer among its arguments, the shape `bpf(2)` has. */
export const syscallCommand: (number: number, command: number, attributes: Bytes, bytes: number) => number =
  lib.func('syscall', 'intptr_t', ['intptr_t', 'int', 'void *', 'unsigned int']);

/**
 * Result of a call, or the error it left behind.
 *
 * @param operation what was attempted, for the message: the call and its object, e.g. `bind fc-vm-02018`
 * @param result the call's return value
 * @throws SysError when `result` is negative
 */
export function check(operation: string, result: number): number {
  if (result < 0) throw new SysError(operation, errno());
  return result;
}
