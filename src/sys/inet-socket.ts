/**
 * Stream and datagram sockets towards the host's side: non-blocking, made and used on the datapath, so what fails is
 * returned as an error's number, not thrown. Addresses are four int32 words, an IPv4 address mapped into
 * ::ffff:0:0/96 (RFC 4291 section 2.5.5.2); a socket's family follows from that.
 */
import {
  acceptAt,
  close,
  connectAt,
  errno,
  getsockoptAt,
  setsockoptAt,
  shutdown,
  socket,
  socketpair,
} from './libc.ts';
import { type Memory, mapMemory } from './memory.ts';

// sys/socket.h, netinet/in.h, netinet/tcp.h; the same on x64 and arm64.
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK_CLOEXEC = 0x80800;
export const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SHUT_WR = 1;

const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;
const PORT_OFFSET = 2;
const IN_ADDRESS_OFFSET = 4;
const IN6_ADDRESS_OFFSET = 8;

/** The host itself, 127.0.0.1 (INADDR_LOOPBACK, netinet/in.h) */
export const LOOPBACK = 0x7f000001;
/** Third word of an IPv4 address among IPv6 ones */
export const MAPPED = 0xffff;

// One of everything for the thread: each call is over before the next begins.
const VALUE = 32;
const LENGTH = 48;
let scratch: Memory | undefined;

function room(): Memory {
  scratch ??= mapMemory(64);
  return scratch;
}

/** True when the words are an IPv4 address. */
export function isMapped(w0: number, w1: number, w2: number): boolean {
  return w0 === 0 && w1 === 0 && w2 === MAPPED;
}

/** Writes a sockaddr (struct sockaddr_in or sockaddr_in6) at `off`; returns its size in bytes. */
export function writeSocketAddress(
  view: DataView,
  off: number,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
  port: number,
): number {
  view.setUint16(off + PORT_OFFSET, port);
  if (isMapped(w0, w1, w2)) {
    view.setUint16(off, AF_INET, true);
    view.setInt32(off + IN_ADDRESS_OFFSET, w3);
    view.setInt32(off + IN6_ADDRESS_OFFSET, 0);
    view.setInt32(off + IN6_ADDRESS_OFFSET + 4, 0);
    return SOCKADDR_IN_BYTES;
  }
  view.setUint16(off, AF_INET6, true);
  view.setInt32(off + IN_ADDRESS_OFFSET, 0);
  view.setInt32(off + IN6_ADDRESS_OFFSET, w0);
  view.setInt32(off + IN6_ADDRESS_OFFSET + 4, w1);
  view.setInt32(off + IN6_ADDRESS_OFFSET + 8, w2);
  view.setInt32(off + IN6_ADDRESS_OFFSET + 12, w3);
  view.setInt32(off + IN6_ADDRESS_OFFSET + 16, 0);
  return SOCKADDR_IN6_BYTES;
}

/** Opens a socket; a descriptor, or the error's number negated. */
export function openSocket(family: number, type: number, protocol = 0): number {
  const fd = socket(family, type | SOCK_NONBLOCK_CLOEXEC, protocol);
  return fd < 0 ? -errno() : fd;
}

/** Opens the two ends of a stream between us and ourselves into `ends`. 0, or the error's number. */
export function openPair(ends: Int32Array): number {
  const bytes = new Uint8Array(ends.buffer, ends.byteOffset, 8);
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0, bytes) < 0 ? errno() : 0;
}

/** Sets an option whose value is an int. 0, or the error's number. */
export function setOption(fd: number, level: number, name: number, value: number): number {
  const { view, address } = room();
  view.setInt32(VALUE, value, true);
  return setsockoptAt(fd, level, name, address + VALUE, 4) < 0 ? errno() : 0;
}

/** Value of an int option, or the error's number negated. */
export function getOption(fd: number, level: number, name: number): number {
  const { view, address } = room();
  view.setInt32(LENGTH, 4, true);
  if (getsockoptAt(fd, level, name, address + VALUE, address + LENGTH) < 0) return -errno();
  return view.getInt32(VALUE, true);
}

/** Sends what is written at once, however little: whoever writes has gathered it already. */
export function sendAtOnce(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/** Begins to connect. 0 when connected, EINPROGRESS, or another error's number. */
export function connectTo(fd: number, w0: number, w1: number, w2: number, w3: number, port: number): number {
  const { view, address } = room();
  const bytes = writeSocketAddress(view, 0, w0, w1, w2, w3, port);
  return connectAt(fd, address, bytes) < 0 ? errno() : 0;
}

/** Takes a waiting connection: a descriptor, or the error's number negated. */
export function accept(fd: number): number {
  const accepted = acceptAt(fd, 0, 0, SOCK_NONBLOCK_CLOEXEC);
  return accepted < 0 ? -errno() : accepted;
}

/** The error a socket met since it was last asked, 0 for none. */
export function pendingError(fd: number): number {
  return Math.abs(getOption(fd, SOL_SOCKET, SO_ERROR));
}

/** Tells the peer that nothing more comes. 0, or the error's number. */
export function endWriting(fd: number): number {
  return shutdown(fd, SHUT_WR) < 0 ? errno() : 0;
}

/** Closes a stream so that its peer sees a reset, not an end. */
export function closeWithReset(fd: number): void {
  const { view, address } = room();
  view.setInt32(VALUE, 1, true);
  view.setInt32(VALUE + 4, 0, true);
  setsockoptAt(fd, SOL_SOCKET, SO_LINGER, address + VALUE, 8);
  close(fd);
}
