/**
 * Frames as guests and the host send them, built byte by byte without the code under test. Each begins with its
 * ten-byte virtio-net header, empty unless {@link withVnet} says otherwise. Name only what is odd about a frame.
 */
import { parseIpv6 } from '../../src/wire/ipv6.ts';
import { internetChecksum, pseudoHeader } from './checksum.ts';

export const VNET_BYTES = 10;
/** Offset of the Ethernet header's payload in a built frame */
export const PACKET = VNET_BYTES + 14;

export const ARP = 0x0806;
export const IPV4 = 0x0800;
export const IPV6 = 0x86dd;

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;

export const MORE_FRAGMENTS = 0x2000;

/** Whoever has a MAC and an IPv4 address. */
export interface Station {
  readonly mac: string;
  readonly ip: string;
}

export const GATEWAY: Station = { mac: '02:74:61:70:73:77', ip: '192.168.0.1' };
export const HOST: Station = { mac: '02:70:fe:dc:ba:98', ip: '192.168.255.254' };
export const A: Station = { mac: '06:00:c0:a8:00:0e', ip: '192.168.0.14' };
export const B: Station = { mac: '06:00:c0:a8:00:0f', ip: '192.168.0.15' };
export const C: Station = { mac: '06:00:c0:a8:00:10', ip: '192.168.0.16' };
export const NOBODY: Station = { mac: '06:00:c0:a8:00:63', ip: '192.168.0.99' };
export const EVERYBODY: Station = { mac: 'ff:ff:ff:ff:ff:ff', ip: '255.255.255.255' };

export interface Ends {
  readonly from: Station;
  readonly to: Station;
}

type Bytes = readonly number[] | Uint8Array;

function join(...parts: Bytes[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function word(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}

export function macBytes(text: string): number[] {
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}

export function ipBytes(text: string): number[] {
  return text.split('.').map(Number);
}

/** A frame of any type. */
export function ethernet({ from, to }: Ends, type: number, payload: Bytes): Uint8Array {
  return join(new Uint8Array(VNET_BYTES), macBytes(to.mac), macBytes(from.mac), word(type), payload);
}

export interface ArpFields {
  readonly from: Station;
  /** Whose MAC is asked for, or whom the reply is for */
  readonly about: Station;
  /** Where the frame goes, everybody unless given */
  readonly to?: Station;
  readonly operation?: number;
  readonly senderMac?: string;
  readonly targetMac?: string;
}

export function arp({ from, about, to = EVERYBODY, operation = 1, ...odd }: ArpFields): Uint8Array {
  const { senderMac = from.mac, targetMac = '00:00:00:00:00:00' } = odd;
  const head = [0, 1, 8, 0, 6, 4, ...word(operation)];
  const sender = [...macBytes(senderMac), ...ipBytes(from.ip)];
  return ethernet({ from, to }, ARP, [...head, ...sender, ...macBytes(targetMac), ...ipBytes(about.ip)]);
}

export function arpRequest(fields: Omit<ArpFields, 'operation'>): Uint8Array {
  return arp(fields);
}

/** A reply to `to`, sent to it alone. */
export function arpReply({ from, to }: Ends): Uint8Array {
  return arp({ from, about: to, to, operation: 2, targetMac: to.mac });
}

export interface PacketFields extends Ends {
  readonly identification?: number;
  /** Flags and fragment offset */
  readonly fragment?: number;
  /** Header options, a multiple of four bytes */
  readonly options?: readonly number[];
}

export function ipv4(fields: PacketFields, protocol: number, payload: Bytes): Uint8Array {
  const { from, to, identification = 0x1234, fragment = 0, options = [] } = fields;
  const header = 20 + options.length;
  const before = [
    0x40 | (header / 4),
    0,
    ...word(header + payload.length),
    ...word(identification),
    ...word(fragment),
    64,
    protocol,
  ];
  const after = [...ipBytes(from.ip), ...ipBytes(to.ip), ...options];
  return ethernet(fields, IPV4, [
    ...before,
    ...word(internetChecksum(before, [0, 0], after)),
    ...after,
    ...payload,
  ]);
}

export interface PortFields extends PacketFields {
  readonly fromPort?: number;
  readonly toPort?: number;
  readonly data?: Bytes;
}

export function ipv4Udp(fields: PortFields): Uint8Array {
  const { from, to, fromPort = 40_000, toPort = 5353, data = [1, 2, 3] } = fields;
  const length = 8 + data.length;
  const head = [...word(fromPort), ...word(toPort), ...word(length)];
  const pseudo = pseudoHeader([...ipBytes(from.ip), ...ipBytes(to.ip)], UDP, length);
  return ipv4(fields, UDP, [...head, ...word(internetChecksum(pseudo, head, [0, 0], data)), ...data]);
}

export interface TcpFields {
  readonly fromPort?: number;
  readonly toPort?: number;
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  /** As it is written, not scaled */
  readonly window?: number;
  /** A multiple of four bytes */
  readonly tcpOptions?: readonly number[];
  readonly data?: Bytes;
}

/** A TCP segment whose checksum is right with the pseudo-header that `pseudo` makes for its length. */
export function tcpSegment(fields: TcpFields, pseudo: (bytes: number) => readonly number[]): Uint8Array {
  const { fromPort = 40_000, toPort = 8080, flags = ACK, sequence = 1, acknowledgment = 2 } = fields;
  const { window = 0xffff, tcpOptions = [], data = [] } = fields;
  const header = 20 + tcpOptions.length;
  const numbers = [sequence, acknowledgment].flatMap((value) => [...word(value >>> 16), ...word(value)]);
  const head = [...word(fromPort), ...word(toPort), ...numbers, header << 2, flags, ...word(window)];
  const check = internetChecksum(pseudo(header + data.length), head, [0, 0, 0, 0], tcpOptions, data);
  return join(head, word(check), [0, 0], tcpOptions, data);
}

export function ipv4Tcp(fields: PacketFields & TcpFields): Uint8Array {
  const addresses = [...ipBytes(fields.from.ip), ...ipBytes(fields.to.ip)];
  return ipv4(
    fields,
    TCP,
    tcpSegment(fields, (bytes) => pseudoHeader(addresses, TCP, bytes)),
  );
}

export interface EchoFields extends PacketFields {
  readonly reply?: boolean;
  readonly identifier?: number;
  readonly data?: Bytes;
}

export function icmpEcho(fields: EchoFields): Uint8Array {
  const { reply = false, identifier = 7, data = [0x61, 0x62, 0x63, 0x64] } = fields;
  return icmp(fields, reply ? 0 : 8, 0, [...word(identifier), 0, 1, ...data]);
}

/** Any ICMP message; `rest` is what comes behind the checksum. */
export function icmp(fields: PacketFields, type: number, code: number, rest: Bytes): Uint8Array {
  return ipv4(fields, ICMP, [type, code, ...word(internetChecksum([type, code, 0, 0], rest)), ...rest]);
}

/** An ICMP error about `about`, a frame of the receiver's; destination unreachable, port, unless given. */
export function icmpError(
  fields: PacketFields,
  about: Uint8Array,
  { type = 3, code = 3, quoteBytes = 28 } = {},
): Uint8Array {
  return icmp(fields, type, code, [0, 0, 0, 0, ...about.subarray(PACKET, PACKET + quoteBytes)]);
}

/** An IPv6 packet without content, from an address in text. */
export function ipv6(ends: Ends, source: string, destination = 'ff02::1', payload: Bytes = []): Uint8Array {
  const addresses = [source, destination].map((text) => {
    const bytes = parseIpv6(text);
    if (bytes === undefined) throw new Error(`not an IPv6 address: ${text}`);
    return bytes;
  });
  const head = [0x60, 0, 0, 0, ...word(payload.length), 59, 64];
  return ethernet(ends, IPV6, join(head, ...addresses, payload));
}

/** The frame with an inline tag: 802.1Q, or any other tag protocol. */
export function vlanTagged(frame: Uint8Array, protocol = 0x8100): Uint8Array {
  const macs = VNET_BYTES + 12;
  return join(frame.subarray(0, macs), word(protocol), word(5), frame.subarray(macs));
}

/** The frame with zeros behind it, up to the 60 bytes of the shortest Ethernet frame. */
export function padded(frame: Uint8Array, bytes = 60): Uint8Array {
  return join(frame, new Uint8Array(Math.max(0, VNET_BYTES + bytes - frame.length)));
}

/** The first `bytes` of the frame, virtio-net header not counted. */
export function cut(frame: Uint8Array, bytes: number): Uint8Array {
  return frame.slice(0, VNET_BYTES + bytes);
}

/** The frame with bytes replaced from `at` on, an offset from the Ethernet header. */
export function patched(frame: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = frame.slice();
  copy.set(values, VNET_BYTES + at);
  return copy;
}

export interface VnetFields {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly headerLength?: number;
  readonly gsoSize?: number;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
}

/** The frame with a virtio-net header that says something. */
export function withVnet(frame: Uint8Array, fields: VnetFields): Uint8Array {
  const copy = frame.slice();
  const view = new DataView(copy.buffer);
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gsoType ?? 0);
  view.setUint16(2, fields.headerLength ?? 0, true);
  view.setUint16(4, fields.gsoSize ?? 0, true);
  view.setUint16(6, fields.checksumStart ?? 0, true);
  view.setUint16(8, fields.checksumOffset ?? 0, true);
  return copy;
}
