/**
 * The UDP header (RFC 768); the offset is that of the datagram. Contract: with `check(view, off, length)` true no
 * accessor reads outside and the datagram's `length` bytes are there; `emit` writes exactly UDP_HEADER_BYTES.
 */
import { checksum } from './checksum.ts';

export const UDP_HEADER_BYTES = 8;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;
/** Of the checksum in the header */
export const CHECKSUM_OFFSET = 6;

/** True when the datagram's length lies between the header's and the `bytes` present. */
export function check(view: DataView, off: number, bytes: number): boolean {
  if (bytes < UDP_HEADER_BYTES) return false;
  const datagram = length(view, off);
  return datagram >= UDP_HEADER_BYTES && datagram <= bytes;
}

/** Source port, 0 when the sender wants no answer. */
export function sourcePort(view: DataView, off: number): number {
  return view.getUint16(off + SOURCE_PORT);
}

/** Destination port. */
export function destinationPort(view: DataView, off: number): number {
  return view.getUint16(off + DESTINATION_PORT);
}

/** Bytes of header and data. */
export function length(view: DataView, off: number): number {
  return view.getUint16(off + LENGTH);
}

/** Writes a header without checksum (0: none was computed); `length` is that of header and data in bytes. */
export function emit(
  view: DataView,
  off: number,
  sourcePort: number,
  destinationPort: number,
  length: number,
): void {
  view.setUint16(off + SOURCE_PORT, sourcePort);
  view.setUint16(off + DESTINATION_PORT, destinationPort);
  view.setUint16(off + LENGTH, length);
  view.setUint16(off + CHECKSUM_OFFSET, 0);
}

/**
 * Computes the checksum over header and data and writes it. One that comes out as 0 is written as 0xffff, since 0 says
 * that there is none, which IPv6 forbids (RFC 768, RFC 8200 section 8.1).
 *
 * @param pseudo partial sum of the pseudo-header of either family, see checksum.ts
 */
export function fillChecksum(view: DataView, off: number, pseudo: number): void {
  view.setUint16(off + CHECKSUM_OFFSET, 0);
  const sum = checksum(view, off, length(view, off), pseudo);
  view.setUint16(off + CHECKSUM_OFFSET, sum === 0 ? 0xffff : sum);
}

/** True when a checksum was computed. */
export function hasChecksum(view: DataView, off: number): boolean {
  return view.getUint16(off + CHECKSUM_OFFSET) !== 0;
}

/** True when the checksum is right, or absent, as IPv4 allows (RFC 768); `pseudo` as in {@link fillChecksum}. */
export function isChecksumRight(view: DataView, off: number, pseudo: number): boolean {
  return !hasChecksum(view, off) || checksum(view, off, length(view, off), pseudo) === 0;
}
