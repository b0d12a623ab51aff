/** TCP segments of the simulated guest as frames, and the gateway's frames as segments: fast, both families. */
import { parseIpv6 } from '../../src/wire/ipv6.ts';
import { etherTypeOf, expectSound, withChecksum } from './check-frame.ts';
import { A, ACK, GATEWAY, IPV4, IPV6, ipBytes, macBytes, PACKET, SYN, TCP, VNET_BYTES } from './frames.ts';
import { GATEWAY6 } from './frames6.ts';

export const GUEST6 = 'fd00:74:1:2:400:c0ff:fea8:e';
/** Of the gateway's frames one in so many has its checksums looked at: the looking is slow */
const CHECKED_ONE_IN = 64;
const NO_OPERATION = 1;
const SACK = 5;
const TIMESTAMPS = 8;

/** Numbers are as on the wire, int32. */
export interface Segment {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  /** As written, not scaled */
  readonly window: number;
  readonly data: Uint8Array;
  readonly timestamp: number;
  readonly echo: number;
  /** Left and right edges */
  readonly sack: readonly number[];
}

export interface Outgoing extends Omit<Segment, 'timestamp' | 'echo' | 'data'> {
  readonly options: readonly number[];
  readonly data?: Uint8Array;
}

export function word32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function headerSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] as number) * 256 + (bytes[i + 1] as number);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return 0xffff - sum;
}

export class SegmentCodec {
  readonly isIpv4: boolean;
  readonly guestPort: number;
  gatewayPort: number;
  readonly #headers: Uint8Array;
  #seen = 0;

  constructor(isIpv4: boolean, guestPort: number, gatewayPort: number) {
    this.isIpv4 = isIpv4;
    this.guestPort = guestPort;
    this.gatewayPort = gatewayPort;
    const ip = isIpv4
      ? [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, TCP, 0, 0, ...ipBytes(A.ip), ...ipBytes(GATEWAY.ip)]
      : [0x60, 0, 0, 0, 0, 0, TCP, 64, ...parseIpv6(GUEST6)!, ...parseIpv6(GATEWAY6)!];
    const ethernet = [...macBytes(GATEWAY.mac), ...macBytes(A.mac), ...(isIpv4 ? [8, 0] : [0x86, 0xdd])];
    // The checksum is left out, as guests do whose card computes it.
    const vnet = [1, 0, 0, 0, 0, 0, 14 + ip.length, 0, 16, 0];
    this.#headers = Uint8Array.from([...vnet, ...ethernet, ...ip]);
  }

  /** A frame of the guest's. `options` is a multiple of four bytes. */
  frame({ flags, seq, ack, window, options, sack, data }: Outgoing): Uint8Array {
    const sackBytes = sack.length === 0 ? 0 : 4 + 4 * sack.length;
    const tcpBytes = 20 + options.length + sackBytes;
    const tcp = this.#headers.length;
    const bytes = new Uint8Array(tcp + tcpBytes + (data?.length ?? 0));
    const view = new DataView(bytes.buffer);
    bytes.set(this.#headers);
    if (this.isIpv4) {
      view.setUint16(PACKET + 2, bytes.length - PACKET);
      view.setUint16(PACKET + 10, headerSum(bytes.subarray(PACKET, PACKET + 20)));
    } else view.setUint16(PACKET + 4, bytes.length - PACKET - 40);
    view.setUint16(tcp, this.guestPort);
    view.setUint16(tcp + 2, this.gatewayPort);
    view.setInt32(tcp + 4, seq);
    view.setInt32(tcp + 8, ack);
    bytes[tcp + 12] = (tcpBytes / 4) << 4;
    bytes[tcp + 13] = flags;
    view.setUint16(tcp + 14, window);
    bytes.set(options, tcp + 20);
    let at = tcp + 20 + options.length;
    if (sackBytes > 0) {
      bytes.set([NO_OPERATION, NO_OPERATION, SACK, sackBytes - 2], at);
      for (const [index, edge] of sack.entries()) view.setInt32(at + 4 + 4 * index, edge);
      at += sackBytes;
    }
    if (data !== undefined) bytes.set(data, at);
    return bytes;
  }

  /** Whether the frame is a TCP segment of the gateway's in this family. */
  isSegment(frame: Uint8Array): boolean {
    const [type, protocol] = this.isIpv4 ? [IPV4, 9] : [IPV6, 6];
    return etherTypeOf(frame) === type && frame[PACKET + protocol] === TCP;
  }

  /** The segments a frame of the gateway's is cut into. */
  segments(frame: Uint8Array): Segment[] {
    if (this.#seen++ % CHECKED_ONE_IN === 0) expectSound(withChecksum(frame));
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const tcp = PACKET + (this.isIpv4 ? 20 : 40);
    const start = tcp + (frame[tcp + 12]! >>> 4) * 4;
    const flags = frame[tcp + 13]!;
    if ((flags & (SYN | ACK)) === SYN) this.gatewayPort = view.getUint16(tcp);
    const whole = {
      flags,
      seq: view.getInt32(tcp + 4),
      ack: view.getInt32(tcp + 8),
      window: view.getUint16(tcp + 14),
      ...readOptions(view, tcp + 20, start),
    };
    const payload = frame.subarray(start);
    const size = frame[1] === 0 ? payload.length : view.getUint16(VNET_BYTES - 6, true);
    if (payload.length <= size) return [{ ...whole, data: payload }];
    const cut: Segment[] = [];
    for (let at = 0; at < payload.length; at += size) {
      const isLast = at + size >= payload.length;
      const data = payload.subarray(at, at + size);
      cut.push({ ...whole, flags: isLast ? flags : flags & ACK, seq: (whole.seq + at) | 0, data });
    }
    return cut;
  }
}

function readOptions(view: DataView, from: number, end: number) {
  let [timestamp, echo] = [0, 0];
  const sack: number[] = [];
  for (let at = from; at < end; ) {
    const kind = view.getUint8(at);
    if (kind === 0) break;
    if (kind === NO_OPERATION) {
      at++;
      continue;
    }
    const bytes = view.getUint8(at + 1);
    if (kind === TIMESTAMPS) [timestamp, echo] = [view.getInt32(at + 2), view.getInt32(at + 6)];
    if (kind === SACK) for (let edge = 2; edge < bytes; edge += 4) sack.push(view.getInt32(at + edge));
    at += bytes;
  }
  return { timestamp, echo, sack };
}
