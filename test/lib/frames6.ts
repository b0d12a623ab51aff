/** IPv6 frames as guests send them, built byte by byte without the code under test. See frames.ts. */
import { parseIpv6 } from '../../src/wire/ipv6.ts';
import { internetChecksum, pseudoHeader6 } from './checksum.ts';
import {
  type Ends,
  ethernet,
  ICMPV6,
  IPV6,
  macBytes,
  type Station,
  TCP,
  type TcpFields,
  tcpSegment,
  UDP,
} from './frames.ts';

export const GATEWAY6 = 'fd00:74:1:2::1';
/** Of the gateway's MAC, 02:74:61:70:73:77 */
export const GATEWAY_LINK_LOCAL = 'fe80::74:61ff:fe70:7377';
export const ALL_NODES: Station = { mac: '33:33:00:00:00:01', ip: '' };
export const ALL_ROUTERS: Station = { mac: '33:33:00:00:00:02', ip: '' };
/** MAC of ff02::1:ff00:1, where ...::1 is solicited */
export const SOLICITED_1: Station = { mac: '33:33:ff:00:00:01', ip: '' };

type Bytes = readonly number[] | Uint8Array;

export function ip6Bytes(text: string): number[] {
  const bytes = parseIpv6(text);
  if (bytes === undefined) throw new Error(`not an IPv6 address: ${text}`);
  return [...bytes];
}

/** The four int32 words of an address. */
export function words6(text: string): [number, number, number, number] {
  const view = new DataView(Uint8Array.from(ip6Bytes(text)).buffer);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
}

export interface Packet6 extends Ends {
  readonly source: string;
  readonly destination: string;
  readonly hopLimit?: number;
  /** Hop-by-hop options header, whole, its first byte the number of what follows */
  readonly hopByHop?: Bytes;
}

function word(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}

export function ipv6Packet(fields: Packet6, protocol: number, payload: Bytes): Uint8Array {
  const { source, destination, hopLimit = 64, hopByHop = [] } = fields;
  const next = hopByHop.length > 0 ? 0 : protocol;
  const head = [0x60, 0, 0, 0, ...word(hopByHop.length + payload.length), next, hopLimit];
  const addresses = [...ip6Bytes(source), ...ip6Bytes(destination)];
  return ethernet(fields, IPV6, [...head, ...addresses, ...hopByHop, ...payload]);
}

/** Any ICMPv6 message; `rest` is what comes behind the checksum. */
export function icmpv6(fields: Packet6, type: number, code: number, rest: Bytes): Uint8Array {
  const addresses = [...ip6Bytes(fields.source), ...ip6Bytes(fields.destination)];
  const pseudo = pseudoHeader6(addresses, ICMPV6, 4 + rest.length);
  const check = word(internetChecksum(pseudo, [type, code, 0, 0], rest));
  return ipv6Packet(fields, ICMPV6, [type, code, ...check, ...rest]);
}

export function udp6(fields: Packet6, { fromPort = 40_000, toPort = 5353, data = [1, 2, 3] as Bytes } = {}) {
  const addresses = [...ip6Bytes(fields.source), ...ip6Bytes(fields.destination)];
  const head = [...word(fromPort), ...word(toPort), ...word(8 + data.length)];
  const pseudo = pseudoHeader6(addresses, UDP, 8 + data.length);
  return ipv6Packet(fields, UDP, [...head, ...word(internetChecksum(pseudo, head, [0, 0], data)), ...data]);
}

export function tcp6(fields: Packet6 & TcpFields): Uint8Array {
  const addresses = [...ip6Bytes(fields.source), ...ip6Bytes(fields.destination)];
  return ipv6Packet(
    fields,
    TCP,
    tcpSegment(fields, (bytes) => pseudoHeader6(addresses, TCP, bytes)),
  );
}

export function echo6(fields: Packet6, { reply = false, data = [0x61, 0x62, 0x63] as Bytes } = {}) {
  return icmpv6(fields, reply ? 129 : 128, 0, [0, 7, 0, 1, ...data]);
}

/** A link-layer address option: of the source (1) or the target (2). */
export function linkOption(kind: number, mac: string): number[] {
  return [kind, 1, ...macBytes(mac)];
}

export interface DiscoveryFields {
  readonly from: Station;
  readonly source: string;
  readonly to?: Station;
  readonly destination?: string;
  readonly hopLimit?: number;
  readonly code?: number;
  /** Options behind the fixed part; the sender's link-layer address unless given */
  readonly options?: Bytes;
}

/** A neighbour solicitation, to the solicited-node group of ...::1 unless told otherwise. */
export function solicitation({ from, source, ...rest }: DiscoveryFields, target: string): Uint8Array {
  const { to = SOLICITED_1, destination = 'ff02::1:ff00:1', hopLimit = 255, code = 0 } = rest;
  const options = rest.options ?? linkOption(1, from.mac);
  const fields = { from, to, source, destination, hopLimit };
  return icmpv6(fields, 135, code, [0, 0, 0, 0, ...ip6Bytes(target), ...options]);
}

/** A neighbour advertisement to all nodes, unsolicited, unless told otherwise. */
export function advertisement(
  { from, source, ...rest }: DiscoveryFields,
  target: string,
  flags = 0x20,
): Uint8Array {
  const { to = ALL_NODES, destination = 'ff02::1', hopLimit = 255, code = 0 } = rest;
  const options = rest.options ?? linkOption(2, from.mac);
  const fields = { from, to, source, destination, hopLimit };
  return icmpv6(fields, 136, code, [flags, 0, 0, 0, ...ip6Bytes(target), ...options]);
}

export function routerSolicitation({ from, source, ...rest }: DiscoveryFields): Uint8Array {
  const { to = ALL_ROUTERS, destination = 'ff02::2', hopLimit = 255, code = 0 } = rest;
  const options = rest.options ?? linkOption(1, from.mac);
  return icmpv6({ from, to, source, destination, hopLimit }, 133, code, [0, 0, 0, 0, ...options]);
}

/** Listening to ff02::1:ff00:14, version 2 with its router alert (RFC 3810 section 5). */
export function listenerReport(from: Station, source: string): Uint8Array {
  const to = { mac: '33:33:00:00:00:16', ip: '' };
  const hopByHop = [ICMPV6, 0, 5, 2, 0, 0, 1, 0];
  const fields = { from, to, source, destination: 'ff02::16', hopLimit: 1, hopByHop };
  return icmpv6(fields, 143, 0, [0, 0, 0, 1, 4, 0, 0, 0, ...ip6Bytes('ff02::1:ff00:14')]);
}
