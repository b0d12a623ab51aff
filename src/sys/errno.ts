/** Names of the Linux error numbers that the calls of this room can return (asm-generic/errno.h; the same on x64 and arm64). */
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  3: 'ESRCH',
  4: 'EINTR',
  5: 'EIO',
  6: 'ENXIO',
  7: 'E2BIG',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  14: 'EFAULT',
  16: 'EBUSY',
  17: 'EEXIST',
  19: 'ENODEV',
  20: 'ENOTDIR',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  25: 'ENOTTY',
  27: 'EFBIG',
  28: 'ENOSPC',
  32: 'EPIPE',
  34: 'ERANGE',
  38: 'ENOSYS',
  71: 'EPROTO',
  75: 'EOVERFLOW',
  77: 'EBADFD',
  88: 'ENOTSOCK',
  89: 'EDESTADDRREQ',
  90: 'EMSGSIZE',
  92: 'ENOPROTOOPT',
  93: 'EPROTONOSUPPORT',
  95: 'EOPNOTSUPP',
  97: 'EAFNOSUPPORT',
  98: 'EADDRINUSE',
  99: 'EADDRNOTAVAIL',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  103: 'ECONNABORTED',
  104: 'ECONNRESET',
  105: 'ENOBUFS',
  106: 'EISCONN',
  107: 'ENOTCONN',
  110: 'ETIMEDOUT',
  111: 'ECONNREFUSED',
  113: 'EHOSTUNREACH',
  114: 'EALREADY',
  115: 'EINPROGRESS',
};

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const EACCES = 13;
export const ENFILE = 23;
export const ENODEV = 19;
export const EINVAL = 22;
export const EMSGSIZE = 90;
export const ENETDOWN = 100;
export const ECONNABORTED = 103;
export const ENETUNREACH = 101;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EINPROGRESS = 115;

/** Name of an error number, `ERRNO_<n>` where this table has none. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `ERRNO_${errno}`;
}

/** A system call that failed: `code` is the error's name, `operation` what was being attempted. */
export class SysError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly operation: string;

  constructor(operation: string, errno: number, detail?: string) {
    const code = errnoName(errno);
    super(`${operation}: ${code}${detail ? ` (${detail})` : ''}`);
    this.name = 'SysError';
    this.code = code;
    this.errno = errno;
    this.operation = operation;
  }
}
