/**
 * ICMP (RFC 792); the offset is that of the ICMP message. Contract: with `check(view, off, length)` true no
 * accessor reads outside and `toEchoReply` writes only inside; `emitError` writes exactly
 * ICMP_HEADER_BYTES + `quoteBytes`. Checksums are not verified here: see checksum.ts.
 */
import { checksum, update16 } from './checksum.ts';
import { moveUp } from './move.ts';

export const ICMP_HEADER_BYTES = 8;

export const ECHO_REPLY = 0;
export const UNREACHABLE = 3;
export const ECHO_REQUEST = 8;
export const TIME_EXCEEDED = 11;

/** Code of UNREACHABLE: the host is known to be away */
export const HOST_UNREACHABLE = 1;
/** Code of UNREACHABLE: nothing listens there */
export const PORT_UNREACHABLE = 3;
/** Code of UNREACHABLE: too long for the next hop and not to be fragmented; the next hop's MTU is in the header (RFC 1191) */
export const FRAGMENTATION_NEEDED = 4;
/** Code of UNREACHABLE: communication administratively prohibited (RFC 1812 section 5.2.7.1) */
export const ADMIN_PROHIBITED = 13;

const TYPE = 0;
const CODE = 1;
/** Of the checksum in the header */
export const CHECKSUM_OFFSET = 2;
const IDENTIFIER = 4;
const SEQUENCE_NUMBER = 6;
/** What an error says beside type and code: an MTU, or nothing */
const REST = 4;

/** True when `length` bytes hold the header every type has. */
export function check(_view: DataView, _off: number, length: number): boolean {
  return length >= ICMP_HEADER_BYTES;
}

/** Type, any value. */
export function type(view: DataView, off: number): number {
  return view.getUint8(off + TYPE);
}

/** Code, whose meaning depends on the type. */
export function code(view: DataView, off: number): number {
  return view.getUint8(off + CODE);
}

/** Identifier of an echo request or reply. */
export function identifier(view: DataView, off: number): number {
  return view.getUint16(off + IDENTIFIER);
}

/** Sequence number of an echo request or reply. */
export function sequence(view: DataView, off: number): number {
  return view.getUint16(off + SEQUENCE_NUMBER);
}

/** Writes type, code and the four bytes behind the checksum, which stays to be filled in. */
export function emitHeader(view: DataView, off: number, type: number, code: number, rest: number): void {
  view.setUint8(off + TYPE, type);
  view.setUint8(off + CODE, code);
  view.setUint16(off + CHECKSUM_OFFSET, 0);
  view.setInt32(off + REST, rest);
}

/** Turns an echo request into its reply in place; a wrong checksum stays wrong, so that the sender sees it. */
export function toEchoReply(view: DataView, off: number): void {
  const before = view.getUint16(off + TYPE);
  view.setUint8(off + TYPE, ECHO_REPLY);
  const updated = update16(view.getUint16(off + CHECKSUM_OFFSET), before, view.getUint16(off + TYPE));
  // A reply of nothing but zeros needs the other representation of zero; for every other reply both are right
  view.setUint16(off + CHECKSUM_OFFSET, updated === 0 ? 0xffff : updated);
}

/**
 * Writes an error (RFC 792) that quotes the `quoteBytes` at `quoteOff` of the same view, and returns its size in bytes.
 * The quote may overlap the message if it begins before its new place, so that a packet can be turned into the error
 * about itself. RFC 1812 section 4.3.2.3 bounds the whole datagram to 576 bytes.
 *
 * @param rest the last four bytes of the header: with FRAGMENTATION_NEEDED the MTU, else 0
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
  moveUp(view, quoteOff, off + ICMP_HEADER_BYTES, quoteBytes);
  emitHeader(view, off, type, code, rest);
  const bytes = ICMP_HEADER_BYTES + quoteBytes;
  view.setUint16(off + CHECKSUM_OFFSET, checksum(view, off, bytes));
  return bytes;
}

/** {@link emitError} for "destination unreachable". */
export function emitUnreachable(
  view: DataView,
  off: number,
  code: number,
  quoteOff: number,
  quoteBytes: number,
): number {
  return emitError(view, off, UNREACHABLE, code, 0, quoteOff, quoteBytes);
}
