/**
 * The IPv4 header (RFC 791 section 3.1) and addresses in text. Contract: with `check(view, off, length)` true no
 * accessor reads outside and the `totalLength` bytes at `off` are there; `length` may be larger (a padded frame).
 * `emitHeader` writes exactly IPV4_HEADER_BYTES. Addresses are int32 on the wire side, uint32 in text's company.
 */
import { checksum } from './checksum.ts';

/** Size of a header without options */
/** Hops a packet may take as it begins its way, of IPv6 too (RFC 1122 section 3.2.1.7, RFC 1700) */
export const USUAL_TTL = 64;

export const IPV4_HEADER_BYTES = 20;

// https://www.iana.org/assignments/protocol-numbers
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

const VERSION_IHL = 0;
const TYPE_OF_SERVICE = 1;
const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FLAGS_FRAGMENT_OFFSET = 6;
const TIME_TO_LIVE = 8;
const PROTOCOL = 9;
const HEADER_CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

const VERSION_4_WITHOUT_OPTIONS = 0x45;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_OFFSET_MASK = 0x1fff;

/** True when version, header length and total length agree with each other and with the `length` bytes present. */
export function check(view: DataView, off: number, length: number): boolean {
  if (length < IPV4_HEADER_BYTES || view.getUint8(off + VERSION_IHL) >>> 4 !== 4) return false;
  const header = headerLength(view, off);
  const total = totalLength(view, off);
  return header >= IPV4_HEADER_BYTES && header <= total && total <= length;
}

/** Bytes of header, options included: the payload's offset. */
export function headerLength(view: DataView, off: number): number {
  return (view.getUint8(off + VERSION_IHL) & 0x0f) << 2;
}

/** Bytes of header and payload. */
export function totalLength(view: DataView, off: number): number {
  return view.getUint16(off + TOTAL_LENGTH);
}

/** Identification of the datagram whose fragment this may be. */
export function identification(view: DataView, off: number): number {
  return view.getUint16(off + IDENTIFICATION);
}

/** True for any part of a fragmented datagram, the first included. */
export function isFragment(view: DataView, off: number): boolean {
  return (view.getUint16(off + FLAGS_FRAGMENT_OFFSET) & (MORE_FRAGMENTS | FRAGMENT_OFFSET_MASK)) !== 0;
}

/** True for a fragment that is not the first: it has no transport header. */
export function isLaterFragment(view: DataView, off: number): boolean {
  return (view.getUint16(off + FLAGS_FRAGMENT_OFFSET) & FRAGMENT_OFFSET_MASK) !== 0;
}

/** Time to live, hops. */
export function ttl(view: DataView, off: number): number {
  return view.getUint8(off + TIME_TO_LIVE);
}

/** Protocol number of the payload, any value. */
export function protocol(view: DataView, off: number): number {
  return view.getUint8(off + PROTOCOL);
}

/** Header checksum as written. */
export function headerChecksum(view: DataView, off: number): number {
  return view.getUint16(off + HEADER_CHECKSUM);
}

/** Source address, int32. */
export function source(view: DataView, off: number): number {
  return view.getInt32(off + SOURCE);
}

/** Destination address, int32. */
export function destination(view: DataView, off: number): number {
  return view.getInt32(off + DESTINATION);
}

/** Exchanges source and destination; the header checksum stays right. */
export function swapAddresses(view: DataView, off: number): void {
  const from = source(view, off);
  view.setInt32(off + SOURCE, destination(view, off));
  view.setInt32(off + DESTINATION, from);
}

/** Writes a header without options: don't-fragment, identification 0 (RFC 6864 section 4.1), checksum filled in. */
export function emitHeader(
  view: DataView,
  off: number,
  totalLength: number,
  ttl: number,
  protocol: number,
  source: number,
  destination: number,
): void {
  view.setUint8(off + VERSION_IHL, VERSION_4_WITHOUT_OPTIONS);
  view.setUint8(off + TYPE_OF_SERVICE, 0);
  view.setUint16(off + TOTAL_LENGTH, totalLength);
  view.setUint16(off + IDENTIFICATION, 0);
  view.setUint16(off + FLAGS_FRAGMENT_OFFSET, DONT_FRAGMENT);
  view.setUint8(off + TIME_TO_LIVE, ttl);
  view.setUint8(off + PROTOCOL, protocol);
  view.setUint16(off + HEADER_CHECKSUM, 0);
  view.setInt32(off + SOURCE, source);
  view.setInt32(off + DESTINATION, destination);
  view.setUint16(off + HEADER_CHECKSUM, checksum(view, off, IPV4_HEADER_BYTES));
}

// Without leading zeros: some readers take 010 for eight, some for ten
const DECIMAL = /^(?:0|[1-9]\d{0,2})$/;

/** uint32 of a dotted quad of plain decimal numbers, `undefined` for any other text. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    const byte = Number(part);
    if (!DECIMAL.test(part) || byte > 255) return undefined;
    value = value * 256 + byte;
  }
  return value;
}

/** Dotted quad of an address given as int32 or uint32. */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}`;
}

/** Address (uint32, host bits kept) and prefix length (0 to 32) of `192.168.0.1/16`, `undefined` for any other text. */
export function parseCidr4(text: string): { address: number; prefix: number } | undefined {
  const slash = text.indexOf('/');
  if (slash === -1) return undefined;
  const address = parseIpv4(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  const prefix = Number(digits);
  if (address === undefined || !DECIMAL.test(digits) || prefix > 32) return undefined;
  return { address, prefix };
}

/** Network mask of a prefix length (0 to 32), int32. */
export function maskOf(prefix: number): number {
  // A shift by 32 would be a shift by 0
  return prefix === 0 ? 0 : -1 << (32 - prefix);
}
