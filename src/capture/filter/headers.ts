/**
 * Conditions about headers, each for a frame whose Ethernet header `shift` bytes of VLAN tags follow.
 *
 * As pcap-filter(7) has it, ports behind IPv6 are looked for right behind the fixed header.
 */
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import type { Direction, IpProtocol, PortProtocol, ProtocolName } from './ast.ts';
import type { Condition, FilteredFrame } from './frame.ts';
import { ETHER_TYPES, IP_PROTOCOLS } from './names.ts';

const ETHER_TYPE_AT = 12;
const IP_FRAGMENT_AT = 6;
const IP_PROTOCOL_AT = 9;
const IP6_NEXT_HEADER_AT = 6;
export const IP6_HEADER_BYTES = 40;
const FRAGMENT_OFFSET = 0x1fff;
const PORT_PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];

export const payloadAt = (shift: number) => ethernet.ETHERNET_HEADER_BYTES + shift;

export const any =
  (...conditions: readonly Condition[]): Condition =>
  (frame) => {
    for (let i = 0; i < conditions.length; i++) if ((conditions[i] as Condition)(frame)) return true;
    return false;
  };

export const all =
  (...conditions: readonly Condition[]): Condition =>
  (frame) => {
    for (let i = 0; i < conditions.length; i++) if (!(conditions[i] as Condition)(frame)) return false;
    return true;
  };

/** `test` of the source or destination, as the direction says; `at` are the offsets of the two. */
export function directed(
  direction: Direction,
  test: (at: number) => Condition,
  src: number,
  dst: number,
): Condition {
  switch (direction) {
    case 'src':
      return test(src);
    case 'dst':
      return test(dst);
    case 'either':
      return any(test(src), test(dst));
    case 'both':
      return all(test(src), test(dst));
  }
}

export function hasEtherType(type: number, shift: number): Condition {
  const at = ETHER_TYPE_AT + shift;
  return (frame) => frame.u16(at) === type;
}

/** The protocol of `protocol`'s packets, where undefined of either's, is `number`. */
export function hasIpProtocol(number: number, protocol: IpProtocol | undefined, shift: number): Condition {
  const packet = payloadAt(shift);
  const ip = all(isIp(shift), (frame) => frame.u8(packet + IP_PROTOCOL_AT) === number);
  const ip6 = all(isIp6(shift), (frame) => {
    const next = frame.u8(packet + IP6_NEXT_HEADER_AT);
    if (next === number) return true;
    return next === ipv6.PROTOCOL_FRAGMENT && frame.u8(packet + IP6_HEADER_BYTES) === number;
  });
  if (protocol === undefined) return any(ip, ip6);
  return protocol === 'ip' ? ip : ip6;
}

/** What a protocol's name alone means. */
export function isProtocol(name: ProtocolName, shift: number): Condition {
  const type = ETHER_TYPES.get(name);
  if (type !== undefined) return hasEtherType(type, shift);
  const version = name === 'icmp6' ? 'ip6' : name === 'icmp' || name === 'igmp' ? 'ip' : undefined;
  return hasIpProtocol(IP_PROTOCOLS.get(name) as number, version, shift);
}

/** Bytes of the IPv4 header at `packet`. */
export function ipHeaderBytes(frame: FilteredFrame, packet: number): number {
  return (frame.u8(packet) & 0x0f) << 2;
}

/** What comes behind an IPv4 header is the header of `number`'s, not the middle of a datagram. */
export function startsIpPayload(number: number, shift: number): Condition {
  const packet = payloadAt(shift);
  const isFirst: Condition = (frame) => (frame.u16(packet + IP_FRAGMENT_AT) & FRAGMENT_OFFSET) === 0;
  return all(hasIpProtocol(number, 'ip', shift), isFirst);
}

/** The same behind IPv6, which has it right behind the fixed header. */
export function startsIp6Payload(number: number, shift: number): Condition {
  const at = payloadAt(shift) + IP6_NEXT_HEADER_AT;
  return all(isIp6(shift), (frame) => frame.u8(at) === number);
}

/** A port between `first` and `last`. */
export function hasPorts(
  protocol: PortProtocol | undefined,
  direction: Direction,
  first: number,
  last: number,
  shift: number,
): Condition {
  const packet = payloadAt(shift);
  const isIn = (port: number) => port >= first && port <= last;
  const numbers = (protocol === undefined ? PORT_PROTOCOLS : [protocol]).map(
    (name) => IP_PROTOCOLS.get(name) as number,
  );
  const behindIp =
    (at: number): Condition =>
    (frame) =>
      isIn(frame.u16(packet + ipHeaderBytes(frame, packet) + at));
  const behindIp6 =
    (at: number): Condition =>
    (frame) =>
      isIn(frame.u16(packet + IP6_HEADER_BYTES + at));
  return any(
    all(
      any(...numbers.map((number) => startsIp6Payload(number, shift))),
      directed(direction, behindIp6, 0, 2),
    ),
    all(any(...numbers.map((number) => startsIpPayload(number, shift))), directed(direction, behindIp, 0, 2)),
  );
}

const isIp = (shift: number) => hasEtherType(ethernet.ETHERTYPE_IPV4, shift);
const isIp6 = (shift: number) => hasEtherType(ethernet.ETHERTYPE_IPV6, shift);
