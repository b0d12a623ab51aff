/**
 * What the kernel knows of an established TCP socket over IPv4, for whoever carries its connection on without it: read by
 * TCP_REPAIR and TCP_INFO of linux/tcp.h. Needs CAP_NET_ADMIN.
 *
 * A frozen socket keeps its port, and neither sends nor says anything any more: closed, even by the end of the process, it
 * goes without a word to the peer.
 */
import {
  AF_INET,
  getOption,
  openSocket,
  SOCK_RAW,
  SOL_SOCKET,
  setOption,
  writeSocketAddress,
} from './inet-socket.ts';
import {
  close,
  connect,
  errno,
  getpeername,
  getsockname,
  getsockopt,
  ioctl,
  send,
  setsockopt,
} from './libc.ts';

const IPPROTO_TCP = 6;
const IPPROTO_RAW = 255;
const SO_REUSEADDR = 2;
const SO_PROTOCOL = 38;
const SO_DOMAIN = 39;
const TCP_MAXSEG = 2;
const TCP_WINDOW_CLAMP = 10;
const TCP_INFO = 11;
const TCP_REPAIR = 19;
const TCP_REPAIR_QUEUE = 20;
const TCP_QUEUE_SEQ = 21;
const TCP_TIMESTAMP = 24;
const REPAIR_ON = 1;
/** Off, with a probe of the peer's window, and without */
const REPAIR_OFF_PROBING = 0;
const REPAIR_OFF = -1;
const RECEIVE_QUEUE = 1;
const SEND_QUEUE = 2;
/** Bytes received that nobody has read, and sent that the peer has not acknowledged (linux/sockios.h) */
const SIOCINQ = 0x541b;
const SIOCOUTQ = 0x5411;

// struct tcp_info
const INFO_BYTES = 236;
const INFO_OPTIONS = 5;
const INFO_SCALES = 6;
const INFO_SEND_MSS = 16;
const INFO_ADVERTISED_MSS = 84;
const INFO_BYTES_RECEIVED = 128;
const INFO_RECEIVE_WINDOW = 232; // since Linux 6.2
const OPTION_TIMESTAMPS = 1;
const OPTION_SACK = 2;
const OPTION_SCALES = 4;
const OPTION_MICROSECONDS = 64;

/** RFC 7323 section 2.3 */
const LARGEST_WINDOW = 0xffff << 14;
const SOCKADDR_BYTES = 16;
const MAPPED_WORDS = [0, 0, 0xffff] as const;

/** The two ends of a connection: addresses int32. */
export interface TcpEnds {
  readonly local: number;
  readonly localPort: number;
  readonly remote: number;
  readonly remotePort: number;
}

export interface FrozenTcp {
  /** Next sequence numbers, int32: to the peer, from the peer */
  readonly sendNext: number;
  readonly receiveNext: number;
  /** TSval of a segment that it would send now, int32 */
  readonly timestamp: number;
  /** Shifts of the windows that it is offered, that it offers */
  readonly sendScale: number;
  readonly receiveScale: number;
}

/** What its handshake has agreed on. */
export interface TcpAgreement {
  /** Payload of the segments that it sends, options allowed for; and largest that it asked its peer for, `bytes` */
  readonly sendMss: number;
  readonly advertisedMss: number;
  /** Timestamps, in milliseconds, and selective acknowledgments: both are in use */
  readonly hasUsualOptions: boolean;
  readonly sendScale: number;
  readonly receiveScale: number;
}

function lengthOf(bytes: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(bytes).buffer);
}

function readEnd(name: typeof getsockname, fd: number): { address: number; port: number } | undefined {
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  if (name(fd, bytes, lengthOf(SOCKADDR_BYTES)) < 0) return undefined;
  const view = new DataView(bytes.buffer);
  return { address: view.getInt32(4), port: view.getUint16(2) };
}

/** The ends of a socket's connection; undefined where it is none of TCP over IPv4, or none any more. */
export function tcpEnds(fd: number): TcpEnds | undefined {
  if (getOption(fd, SOL_SOCKET, SO_DOMAIN) !== AF_INET) return undefined;
  if (getOption(fd, SOL_SOCKET, SO_PROTOCOL) !== IPPROTO_TCP) return undefined;
  const local = readEnd(getsockname, fd);
  const remote = readEnd(getpeername, fd);
  if (local === undefined || remote === undefined) return undefined;
  return {
    local: local.address,
    localPort: local.port,
    remote: remote.address,
    remotePort: remote.port,
  };
}

function infoOf(fd: number): DataView | undefined {
  const info = new Uint8Array(INFO_BYTES);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, lengthOf(INFO_BYTES)) < 0) return undefined;
  return new DataView(info.buffer);
}

/** What a socket has taken in. */
export interface TcpIntake {
  /** `bytes` so far */
  readonly received: number;
  /** The window it last offered its peer, `bytes` */
  readonly window: number;
}

export function tcpIntake(fd: number): TcpIntake {
  const view = infoOf(fd);
  if (view === undefined) return { received: 0, window: 0 };
  return {
    received: Number(view.getBigUint64(INFO_BYTES_RECEIVED, true)),
    window: view.getUint32(INFO_RECEIVE_WINDOW, true),
  };
}

/** What the connection's handshake agreed on; undefined where the kernel does not say. */
export function tcpAgreement(fd: number): TcpAgreement | undefined {
  const view = infoOf(fd);
  if (view === undefined) return undefined;
  const options = view.getUint8(INFO_OPTIONS);
  const scales = (options & OPTION_SCALES) === 0 ? 0 : view.getUint8(INFO_SCALES);
  const usual = OPTION_TIMESTAMPS | OPTION_SACK;
  return {
    sendMss: view.getUint32(INFO_SEND_MSS, true),
    advertisedMss: view.getUint32(INFO_ADVERTISED_MSS, true),
    hasUsualOptions: (options & (usual | OPTION_MICROSECONDS)) === usual,
    sendScale: scales & 0xf,
    receiveScale: scales >> 4,
  };
}

/** Bounds the segments that a socket, or those accepted from it, asks its peers for, `bytes` of payload. */
export function boundMss(fd: number, bytes: number): void {
  setNumber(fd, TCP_MAXSEG, bytes);
}

/** Lets a socket's window run down to next to nothing, as what is in it is used up; or grow again. */
export function closeWindow(fd: number, closed: boolean): void {
  setNumber(fd, TCP_WINDOW_CLAMP, closed ? 1 : LARGEST_WINDOW);
}

function setNumber(fd: number, name: number, value: number): boolean {
  return setsockopt(fd, IPPROTO_TCP, name, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
}

function queued(fd: number, request: number): number {
  const value = new Int32Array(1);
  return ioctl(fd, request, new Uint8Array(value.buffer)) < 0 ? -errno() : (value[0] as number);
}

/** Whether everything that came in has been read, and everything that was sent acknowledged. */
export function isDrained(fd: number): boolean {
  return queued(fd, SIOCINQ) === 0 && queued(fd, SIOCOUTQ) === 0;
}

function number(fd: number, name: number): number {
  const value = new Int32Array(1);
  getsockopt(fd, IPPROTO_TCP, name, new Uint8Array(value.buffer), lengthOf(4));
  return value[0] as number;
}

function sequenceOf(fd: number, queue: number): number {
  setNumber(fd, TCP_REPAIR_QUEUE, queue);
  return number(fd, TCP_QUEUE_SEQ);
}

/** Freezes an established socket. Undefined, and nothing has changed, where the kernel refuses. */
export function freezeTcp(fd: number): FrozenTcp | undefined {
  const agreement = tcpAgreement(fd);
  if (agreement === undefined || !setNumber(fd, TCP_REPAIR, REPAIR_ON)) return undefined;
  const { sendScale, receiveScale } = agreement;
  const sendNext = sequenceOf(fd, SEND_QUEUE);
  const receiveNext = sequenceOf(fd, RECEIVE_QUEUE);
  return { sendNext, receiveNext, timestamp: number(fd, TCP_TIMESTAMP), sendScale, receiveScale };
}

/** Next number that a frozen socket expects from its peer, int32. */
export function frozenReceiveNext(fd: number): number {
  return sequenceOf(fd, RECEIVE_QUEUE);
}

/** Lets a frozen socket go on where it was. */
export function thawTcp(fd: number): void {
  endRepair(fd, REPAIR_OFF);
}

/** Lets the peer of a socket that stands still say something: its window is probed. */
export function probePeer(fd: number): void {
  if (setNumber(fd, TCP_REPAIR, REPAIR_ON)) endRepair(fd, REPAIR_OFF_PROBING);
}

function endRepair(fd: number, how: number): void {
  setNumber(fd, TCP_REPAIR, how);
  // Which has taken that away, too: what is left of the connection must not keep a listener's port from the next one.
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

/** Sends an IPv4 packet, header included, to the address in it (int32). Needs CAP_NET_RAW; 0, or the error's number. */
export function sendPacket(packet: Uint8Array, to: number): number {
  const fd = openSocket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (fd < 0) return -fd;
  const name = new Uint8Array(SOCKADDR_BYTES);
  writeSocketAddress(new DataView(name.buffer), 0, ...MAPPED_WORDS, to, 0);
  const isSent = connect(fd, name, SOCKADDR_BYTES) === 0 && send(fd, packet, packet.length, 0) >= 0;
  const error = isSent ? 0 : errno();
  close(fd);
  return error;
}
