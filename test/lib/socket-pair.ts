/** Two stream sockets joined with each other, for tests that hold the far end of what the gateway talks to. */
import { EINPROGRESS } from '../../src/sys/errno.ts';
import {
  AF_INET,
  AF_UNIX,
  accept,
  connectTo,
  MAPPED,
  openSocket,
  SOCK_NONBLOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
  setOption,
} from '../../src/sys/inet-socket.ts';
import { bind, check, close, getsockname, listen, socketpair } from '../../src/sys/libc.ts';

const LOOPBACK = 0x7f000001;
const SO_SNDBUF = 7;

/** `unix` ends as it is told; `tcp`, over loopback, knows resets too. */
export type PairKind = 'unix' | 'tcp';

export interface SocketPair {
  readonly near: number;
  readonly far: number;
}

/** A listening socket of loopback, and its port. */
export function listenOnLoopback(): { fd: number; port: number } {
  const fd = check('socket', openSocket(AF_INET, SOCK_STREAM));
  const address = Uint8Array.from([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  check('bind', bind(fd, address, 16));
  check('listen', listen(fd, 16));
  check('getsockname', getsockname(fd, address, Uint8Array.from([16, 0, 0, 0])));
  return { fd, port: new DataView(address.buffer).getUint16(2) };
}

function tcpPair(): SocketPair {
  const { fd, port } = listenOnLoopback();
  const far = check('socket', openSocket(AF_INET, SOCK_STREAM));
  const error = connectTo(far, 0, 0, MAPPED, LOOPBACK, port);
  if (error !== 0 && error !== EINPROGRESS) throw new Error(`connect: ${error}`);
  const near = check('accept', accept(fd));
  close(fd);
  return { near, far };
}

function unixPair(): SocketPair {
  const fds = new Uint8Array(8);
  check('socketpair', socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0, fds));
  const view = new DataView(fds.buffer);
  return { near: view.getInt32(0, true), far: view.getInt32(4, true) };
}

/** @param sendBuffer of the near end, bytes; 0 leaves it as it is */
export function connectedPair(kind: PairKind, sendBuffer = 0): SocketPair {
  const pair = kind === 'unix' ? unixPair() : tcpPair();
  if (sendBuffer > 0) setOption(pair.near, SOL_SOCKET, SO_SNDBUF, sendBuffer);
  return pair;
}
