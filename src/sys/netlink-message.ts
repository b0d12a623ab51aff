/**
 * Netlink messages as bytes (linux/netlink.h): a 16-byte header, a fixed header of the message's family, then
 * attributes of the form length, type, value, each padded to 4 bytes. Numbers are in the host's byte order,
 * little-endian on every machine this runs on, except where a family says network order (`…be`).
 */

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Attributes of one level by type; of a repeated type the last one counts. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows the 16-byte header */
  readonly payload: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const aligned = (bytes: number): number => (bytes + 3) & ~3;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// --- values -----------------------------------------------------------------------------------------------

export const u8 = (value: number): Uint8Array => Uint8Array.of(value);

function filled(bytes: number, write: (view: DataView) => void): Uint8Array {
  const value = new Uint8Array(bytes);
  write(viewOf(value));
  return value;
}

export const u16 = (value: number): Uint8Array => filled(2, (view) => view.setUint16(0, value, true));
export const u32 = (value: number): Uint8Array => filled(4, (view) => view.setUint32(0, value, true));
export const u32be = (value: number): Uint8Array => filled(4, (view) => view.setUint32(0, value));

/** Text as UTF-8 with the closing NUL that the kernel expects of a name. */
export const text = (value: string): Uint8Array => encoder.encode(`${value}\0`);

/** Byte strings one after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

// --- building ---------------------------------------------------------------------------------------------

/** One attribute, padded. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const length = ATTRIBUTE_HEADER_BYTES + value.length;
  if (length > 0xffff) throw new RangeError(`netlink attribute of ${value.length} bytes`);
  const bytes = new Uint8Array(aligned(length));
  const view = viewOf(bytes);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  bytes.set(value, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

/** An attribute whose value is attributes. */
export function nested(type: number, attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, concat(attributes));
}

/**
 * A message without its sequence number, which the socket that sends it fills in.
 *
 * @param fixedHeader header of the message's family, e.g. `struct ifinfomsg`; a multiple of 4 bytes
 */
export function message(
  type: number,
  flags: number,
  fixedHeader: Uint8Array,
  attributes: readonly Uint8Array[] = [],
): Uint8Array {
  const bytes = concat([new Uint8Array(HEADER_BYTES), fixedHeader, ...attributes]);
  const view = viewOf(bytes);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | NLM_F_REQUEST, true);
  return bytes;
}

/** Writes the sequence number into a message made by {@link message}. */
export function setSequence(bytes: Uint8Array, sequence: number): void {
  viewOf(bytes).setUint32(8, sequence, true);
}

// --- parsing: any bytes give a result, what does not fit ends it ------------------------------------------

/** The messages of one datagram, up to the first that is cut short. */
export function parseMessages(datagram: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = viewOf(datagram);
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const length = view.getUint32(offset, true);
    if (length < HEADER_BYTES || offset + length > datagram.length) break;
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      payload: datagram.subarray(offset + HEADER_BYTES, offset + length),
    });
    offset += aligned(length);
  }
  return messages;
}

/** Calls `visit` for each attribute, up to the first that is cut short. For lists, whose types repeat. */
export function eachAttribute(bytes: Uint8Array, visit: (type: number, value: Uint8Array) => void): void {
  let offset = 0;
  while (offset + ATTRIBUTE_HEADER_BYTES <= bytes.length) {
    const length = bytes[offset] | (bytes[offset + 1] << 8);
    if (length < ATTRIBUTE_HEADER_BYTES || offset + length > bytes.length) return;
    const type = (bytes[offset + 2] | (bytes[offset + 3] << 8)) & NLA_TYPE_MASK;
    visit(type, bytes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length));
    offset += aligned(length);
  }
}

export function parseAttributes(bytes: Uint8Array | undefined): Attributes {
  const attributes = new Map<number, Uint8Array>();
  if (bytes !== undefined) eachAttribute(bytes, (type, value) => void attributes.set(type, value));
  return attributes;
}

/** Little-endian number of an attribute of 1, 2 or 4 bytes, `undefined` for any other length. */
export function readNumber(value: Uint8Array | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (value.length === 1) return value[0];
  if (value.length === 2) return viewOf(value).getUint16(0, true);
  if (value.length === 4) return viewOf(value).getUint32(0, true);
  return undefined;
}

/** Text of an attribute up to its NUL; '' where there is none. Bytes that are no UTF-8 become U+FFFD. */
export function readText(value: Uint8Array | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return decoder.decode(end === -1 ? value : value.subarray(0, end));
}

export interface NetlinkError {
  /** Error number, 0 for an acknowledgement */
  readonly errno: number;
  /** The kernel's own words (NETLINK_EXT_ACK), '' where it gave none */
  readonly detail: string;
}

/** Contents of an NLMSG_ERROR message, or of an NLMSG_DONE that ends a dump with an error. */
export function parseError({ type, flags, payload }: NetlinkMessage): NetlinkError {
  if (payload.length < 4) return { errno: 0, detail: '' };
  const view = viewOf(payload);
  const errno = Math.abs(view.getInt32(0, true));
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, detail: '' };
  let detailsAt = 4;
  if (type === NLMSG_ERROR && payload.length >= 4 + HEADER_BYTES) {
    const capped = (flags & NLM_F_CAPPED) !== 0;
    detailsAt += capped ? HEADER_BYTES : aligned(Math.max(view.getUint32(4, true), HEADER_BYTES));
  }
  const details = parseAttributes(payload.subarray(Math.min(detailsAt, payload.length)));
  return { errno, detail: readText(details.get(NLMSGERR_ATTR_MSG)) };
}
