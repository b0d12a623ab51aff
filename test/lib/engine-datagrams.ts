/** UDP sockets of guests and host that leave cutting into datagrams to the kernel (UDP_SEGMENT, udp(7)). */
import koffi from 'koffi';
import { bind, check, close, recv, send, setsockopt, socket } from '../../src/sys/libc.ts';
import { MSG_DONTWAIT } from '../../src/sys/message-vector.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { ipBytes } from './frames.ts';

const AF_INET = 2;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x80802;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const SOCKADDR_IN_BYTES = 16;
const LONGEST_BYTES = 65_535;

const connect: (fd: number, address: Uint8Array, bytes: number) => number = koffi
  .load(null)
  .func('int connect(int, void *, unsigned int)');

/** A struct sockaddr_in. */
function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(SOCKADDR_IN_BYTES);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(ipBytes(address), 4);
  return bytes;
}

function openUdp(namespace: string): number {
  return inNamespace(namespace, () =>
    check('open a UDP socket', socket(AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0)),
  );
}

/** Opens a socket that receives on `port` of every address of the namespace. */
export function listenUdp(namespace: string, port: number): number {
  const fd = openUdp(namespace);
  check('bind a UDP socket', bind(fd, socketAddress('0.0.0.0', port), SOCKADDR_IN_BYTES));
  return fd;
}

/** Hands `data` to the kernel in one piece, to be sent as datagrams of `segment` bytes and a shorter last one. */
export function sendUdpSegments(
  namespace: string,
  address: string,
  port: number,
  data: Uint8Array,
  segment: number,
): void {
  const fd = openUdp(namespace);
  try {
    const value = Buffer.alloc(4);
    value.writeInt32LE(segment);
    check('set UDP_SEGMENT', setsockopt(fd, SOL_UDP, UDP_SEGMENT, value, value.length));
    check('connect a UDP socket', connect(fd, socketAddress(address, port), SOCKADDR_IN_BYTES));
    check('send datagrams', send(fd, data, data.length, 0));
  } finally {
    close(fd);
  }
}

/** Datagrams that wait at a socket. */
export function receiveDatagrams(fd: number): Buffer[] {
  const datagrams: Buffer[] = [];
  const room = new Uint8Array(LONGEST_BYTES);
  for (;;) {
    const length = recv(fd, room, room.length, MSG_DONTWAIT);
    if (length < 0) return datagrams;
    datagrams.push(Buffer.from(room.slice(0, length)));
  }
}
