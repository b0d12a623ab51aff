/**
 * The UDP header (RFC 768); the offset is that of the datagram. Contract: with `check(view, off, length)` true no
 * accessor reads outside and the datagram's `length` bytes are there.
 */

export const UDP_HEADER_BYTES = 8;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;

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
