/**
 * The TCP header (RFC 9293 section 3.1); the offset is that of the segment. Contract: with
 * `check(view, off, length)` true no accessor reads outside and the options lie within `length`.
 */

/** Size of a header without options */
export const TCP_HEADER_BYTES = 20;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const DATA_OFFSET = 12;
const CONTROL_BITS = 13;

/** True when the data offset lies between the smallest header and the `length` bytes present. */
export function check(view: DataView, off: number, length: number): boolean {
  if (length < TCP_HEADER_BYTES) return false;
  const header = dataOffset(view, off);
  return header >= TCP_HEADER_BYTES && header <= length;
}

/** Source port. */
export function sourcePort(view: DataView, off: number): number {
  return view.getUint16(off + SOURCE_PORT);
}

/** Destination port. */
export function destinationPort(view: DataView, off: number): number {
  return view.getUint16(off + DESTINATION_PORT);
}

/** Bytes of header, options included: the payload's offset. */
export function dataOffset(view: DataView, off: number): number {
  return (view.getUint8(off + DATA_OFFSET) >>> 4) << 2;
}

/** All eight control bits: FIN, SYN, RST, PSH, ACK and those without a name here. */
export function flags(view: DataView, off: number): number {
  return view.getUint8(off + CONTROL_BITS);
}
