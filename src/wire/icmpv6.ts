/**
 * ICMPv6 (RFC 4443); the offset is that of the ICMPv6 message. Contract: with `check(view, off, length)` true no
 * accessor reads outside and `toEchoReply` writes only inside; `emitError` writes exactly ICMPV6_HEADER_BYTES +
 * `quoteBytes`. Unlike ICMP's the checksum covers the addresses: functions that need them take the offset of the IPv6
 * header as `packet`.
 */
import { checksum, update16 } from './checksum.ts';
import { CHECKSUM_OFFSET, emitHeader, ICMP_HEADER_BYTES, type } from './icmp.ts';
import { IPV6_HEADER_BYTES, IPV6_MINIMUM_MTU, PROTOCOL_ICMPV6, pseudoHeader } from './ipv6.ts';
import { moveUp } from './move.ts';

// The header is that of ICMP, and so is an echo's (RFC 4443 sections 2.1 and 4.1).
export { check, code, emitHeader, identifier, sequence, type } from './icmp.ts';
export const ICMPV6_HEADER_BYTES = ICMP_HEADER_BYTES;

export const UNREACHABLE = 1;
export const PACKET_TOO_BIG = 2;
export const TIME_EXCEEDED = 3;
export const ECHO_REQUEST = 128;
export const ECHO_REPLY = 129;

// Multicast listener discovery (RFC 2710 section 3, RFC 3810 section 5.2)
const LISTENER_REPORT = 131;
const LISTENER_DONE = 132;
const LISTENER_REPORT_V2 = 143;

/** Code of UNREACHABLE: communication administratively prohibited (RFC 4443 section 3.1) */
export const ADMIN_PROHIBITED = 1;
/** Code of UNREACHABLE: nobody answers at the address */
export const ADDRESS_UNREACHABLE = 3;
/** Code of UNREACHABLE: nothing listens there */
export const PORT_UNREACHABLE = 4;

/** Bytes of a packet that an error may quote, so that it passes every link whole (RFC 4443 section 2.4 (c)) */
export const MAX_QUOTE_BYTES = IPV6_MINIMUM_MTU - IPV6_HEADER_BYTES - ICMPV6_HEADER_BYTES;

const TYPE = 0;

/** True for what a host tells routers about the groups it listens to. */
export function isListenerReport(view: DataView, off: number): boolean {
  const kind = type(view, off);
  return kind === LISTENER_REPORT || kind === LISTENER_DONE || kind === LISTENER_REPORT_V2;
}

/** True when the checksum over the message of `bytes` bytes is right (RFC 4443 section 2.3). */
export function isChecksumRight(view: DataView, off: number, bytes: number, packet: number): boolean {
  return checksum(view, off, bytes, pseudoHeader(view, packet, PROTOCOL_ICMPV6, bytes)) === 0;
}

/** Computes the checksum over the message of `bytes` bytes and writes it; the IPv6 header's addresses are there. */
export function fillChecksum(view: DataView, off: number, bytes: number, packet: number): void {
  view.setUint16(off + CHECKSUM_OFFSET, 0);
  const sum = checksum(view, off, bytes, pseudoHeader(view, packet, PROTOCOL_ICMPV6, bytes));
  view.setUint16(off + CHECKSUM_OFFSET, sum);
}

/**
 * Turns an echo request into its reply in place; a wrong checksum stays wrong, so that the sender sees it. Exchanging
 * the addresses, as an answer does, leaves the checksum as it is.
 */
export function toEchoReply(view: DataView, off: number): void {
  const before = view.getUint16(off + TYPE);
  view.setUint8(off + TYPE, ECHO_REPLY);
  view.setUint16(
    off + CHECKSUM_OFFSET,
    update16(view.getUint16(off + CHECKSUM_OFFSET), before, view.getUint16(off + TYPE)),
  );
}

/**
 * Writes an error that quotes the `quoteBytes` (at most MAX_QUOTE_BYTES) at `quoteOff` of the same view, and returns
 * its size in bytes; the checksum stays to be filled in. The quote may overlap the message if it begins before its
 * new place, so that a packet can be turned into the error about itself.
 *
 * @param rest the last four bytes of the header: the MTU with PACKET_TOO_BIG, else 0
 */
export function emitError(
  view: DataView,
  off: number,
  type: number,
  code: number,
  rest: number,
  quoteOff: number,
  quoteBytes: number,
): number {
  moveUp(view, quoteOff, off + ICMPV6_HEADER_BYTES, quoteBytes);
  emitHeader(view, off, type, code, rest);
  return ICMPV6_HEADER_BYTES + quoteBytes;
}
