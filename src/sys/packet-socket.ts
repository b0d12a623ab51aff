/**
 * AF_PACKET sockets on the interface end of a TAP or veth (packet(7), linux/if_packet.h).
 *
 * With `PACKET_VNET_HDR` every frame travels behind a virtio-net header, so that GSO frames pass whole and
 * unfinished checksums stay unfinished; a device without those offloads gets them done by the kernel on send.
 */
import { SysError } from './errno.ts';
import { holdFrames, isFanoutUnknown, joinFanout } from './fanout.ts';
import { bind, check, close, errno, getsockopt, setsockopt, socket } from './libc.ts';

const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK_CLOEXEC = 0x80803;
const ETH_P_ALL = 0x0003;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
export const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;

/** Bytes of one message's control area: a cmsghdr and a tpacket_auxdata (20 bytes), aligned. */
export const AUXDATA_CONTROL_BYTES = 40;
/** Offset of `tp_status` in that area. */
export const AUXDATA_STATUS_OFFSET = 16;
/** The frame carried a VLAN tag that is no longer in its bytes (`TP_STATUS_VLAN_VALID`). */
export const STATUS_VLAN_VALID = 1 << 4;

/** Sets an option that is a number. Throws SysError, which says `what` was tried. */
export function setOption(fd: number, level: number, name: number, value: number, what: string): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  check(what, setsockopt(fd, level, name, bytes, 4));
}

/** Sets a buffer's size; without privilege over the machine (in a user namespace) as far as its limit allows. */
function setBuffer(fd: number, forced: number, limited: number, bytes: number, what: string): void {
  try {
    setOption(fd, SOL_SOCKET, forced, bytes, what);
  } catch (error) {
    if (!(error instanceof SysError) || error.code !== 'EPERM') throw error;
    setOption(fd, SOL_SOCKET, limited, bytes, what);
  }
}

/**
 * Opens a socket that receives every frame entering `interfaceIndex` from outside and none that we send.
 * Binding it takes a while: not for the datapath's thread.
 *
 * @param bufferBytes bound of what the kernel queues for us, `bytes` of its own accounting (a 64 KB frame counts ~70-100 KB)
 * @throws SysError EPERM without CAP_NET_RAW, ENODEV when the interface is gone
 */
export function openPacketSocket(interfaceIndex: number, bufferBytes: number): number {
  return open(interfaceIndex, bufferBytes, false);
}

/**
 * Opens `count` sockets as {@link openPacketSocket} does, among which the kernel deals the frames out, see fanout.ts;
 * one where it cannot. All but TCP goes to the one of number `home`.
 */
export function openPacketSockets(
  interfaceIndex: number,
  bufferBytes: number,
  count: number,
  home: number,
): number[] {
  if (count === 1) return [openPacketSocket(interfaceIndex, bufferBytes)];
  const fds: number[] = [];
  try {
    let group: number | undefined;
    for (let i = 0; i < count; i++) {
      const fd = open(interfaceIndex, bufferBytes, true);
      fds.push(fd);
      group = joinFanout(fd, home, group);
    }
    return fds;
  } catch (error) {
    for (const fd of fds) close(fd);
    if (isFanoutUnknown(error)) return [openPacketSocket(interfaceIndex, bufferBytes)];
    throw error;
  }
}

/** Opens a socket that gets nothing before it is bound. Throws SysError. */
export function openUnboundSocket(): number {
  // With a protocol it would get all interfaces' frames until then.
  return check('open AF_PACKET socket', socket(AF_PACKET, SOCK_RAW_NONBLOCK_CLOEXEC, 0));
}

/** Binds such a socket to all frames of an interface, which waits for an RCU grace period (about 8 ms). Throws SysError. */
export function bindToInterface(fd: number, interfaceIndex: number): void {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(interfaceIndex, 4);
  check(`bind AF_PACKET socket to interface ${interfaceIndex}`, bind(fd, address, address.length));
}

/** @param held keeps frames from it for now */
function open(interfaceIndex: number, bufferBytes: number, held: boolean): number {
  const fd = openUnboundSocket();
  try {
    setOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1, 'set PACKET_VNET_HDR');
    setOption(fd, SOL_PACKET, PACKET_AUXDATA, 1, 'set PACKET_AUXDATA');
    setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, 'set PACKET_IGNORE_OUTGOING');
    // Without a queue in between, a full TAP ring is an error we can count, not a silent loss.
    bypassQueue(fd, true);
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bufferBytes, 'set receive buffer');
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bufferBytes, 'set send buffer');
    if (held) holdFrames(fd);
    bindToInterface(fd, interfaceIndex);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Lets frames go past the device's queue, or through it. Past it the kernel refuses (ENOBUFS) whatever it would have
 * to cut into segments for the device (net/core/dev.c, __dev_direct_xmit).
 */
export function bypassQueue(fd: number, on: boolean): void {
  setOption(fd, SOL_PACKET, PACKET_QDISC_BYPASS, on ? 1 : 0, 'set PACKET_QDISC_BYPASS');
}

/** Frames the kernel could not queue for this socket since the last call. */
export function takeReceiveOverflow(fd: number): number {
  const statistics = Buffer.alloc(8);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(statistics.length);
  if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statistics, length) < 0) {
    throw new SysError('read PACKET_STATISTICS', errno());
  }
  return statistics.readUInt32LE(4);
}
