/** Where the transport header of a guest's packet is, and whether its checksum is right, in both families. */
import type { FrameBatch } from '../port/batch.ts';
import { pseudoHeader4 } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as udp from '../wire/udp.ts';
import * as vnet from '../wire/vnet.ts';

/** Offset of the transport header in the packet at `packet`, which has one and is no fragment. */
export function transportOffset(view: DataView, packet: number, isIpv4: boolean): number {
  return isIpv4 ? packet + ipv4.headerLength(view, packet) : ipv6.transportOffset(view, packet);
}

/** Offset behind the packet, whose lengths were checked. */
export function packetEnd(view: DataView, packet: number, isIpv4: boolean): number {
  const bytes = isIpv4
    ? ipv4.totalLength(view, packet)
    : ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet);
  return packet + bytes;
}

/** Partial sum of the pseudo-header for a transport of `bytes` bytes. */
export function pseudoHeader(
  view: DataView,
  packet: number,
  isIpv4: boolean,
  protocol: number,
  bytes: number,
): number {
  if (!isIpv4) return ipv6.pseudoHeader(view, packet, protocol, bytes);
  return pseudoHeader4(ipv4.source(view, packet), ipv4.destination(view, packet), protocol, bytes);
}

/** True for a frame without a checksum to speak of: this machine sent it, or its hardware has verified it. */
export function isTrusted(batch: FrameBatch, slot: number): boolean {
  return vnet.flags(batch.view, batch.start[slot] as number) !== 0;
}

/** True when the checksum of the UDP datagram at `datagram` is right or need not be; of IPv6 one must be there. */
export function isUdpChecksumRight(
  batch: FrameBatch,
  slot: number,
  packet: number,
  datagram: number,
  isIpv4: boolean,
): boolean {
  if (isTrusted(batch, slot)) return true;
  const { view } = batch;
  // RFC 8200 section 8.1
  if (!isIpv4 && !udp.hasChecksum(view, datagram)) return false;
  const bytes = udp.length(view, datagram);
  return udp.isChecksumRight(view, datagram, pseudoHeader(view, packet, isIpv4, ipv4.PROTOCOL_UDP, bytes));
}
