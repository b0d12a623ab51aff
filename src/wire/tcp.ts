/**
 * The TCP header (RFC 9293 section 3.1); the offset is that of the segment. Contract: with
 * `check(view, off, length)` true no accessor reads outside and the options lie within `length`. Sequence numbers
 * are int32 and compared by {@link before}.
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
const SEQUENCE = 4;
const ACKNOWLEDGMENT = 8;
const WINDOW = 14;
export const CHECKSUM_OFFSET = 16;
const URGENT_POINTER = 18;
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

/** Sequence number of the first byte, int32. */
export function sequence(view: DataView, off: number): number {
  return view.getInt32(off + SEQUENCE);
}

/** The next sequence number the sender expects, int32; of meaning with ACK only. */
export function acknowledgment(view: DataView, off: number): number {
  return view.getInt32(off + ACKNOWLEDGMENT);
}

/** Window as written, not scaled. */
export function window(view: DataView, off: number): number {
  return view.getUint16(off + WINDOW);
}

/** True when sequence number `a` comes before `b` (RFC 9293 section 3.4). */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** Writes a header whose checksum field holds `checksum`; `headerBytes` includes options, which are not written. */
export function emit(
  view: DataView,
  off: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgment: number,
  headerBytes: number,
  flags: number,
  window: number,
  checksum: number,
): void {
  view.setUint16(off + SOURCE_PORT, sourcePort);
  view.setUint16(off + DESTINATION_PORT, destinationPort);
  view.setInt32(off + SEQUENCE, sequence);
  view.setInt32(off + ACKNOWLEDGMENT, acknowledgment);
  view.setUint8(off + DATA_OFFSET, (headerBytes >>> 2) << 4);
  view.setUint8(off + CONTROL_BITS, flags);
  view.setUint16(off + WINDOW, window);
  view.setUint16(off + CHECKSUM_OFFSET, checksum);
  view.setUint16(off + URGENT_POINTER, 0);
}
