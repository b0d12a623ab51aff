/**
 * The IPv6 header (RFC 8200 section 3) and addresses in text. Contract: with `check(view, off, length)` true no
 * accessor reads outside and the payload's bytes are there; `length` may be larger (a padded frame). An address is
 * four int32 words on the wire side, 16 bytes in text's company.
 */
import { formatIpv4, parseIpv4 } from './ipv4.ts';

export const IPV6_HEADER_BYTES = 40;

const VERSION = 0;
const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;

const ADDRESS_BYTES = 16;
const GROUPS = 8;

/** True when the version is 6 and header and payload lie within the `length` bytes present. */
export function check(view: DataView, off: number, length: number): boolean {
  return (
    length >= IPV6_HEADER_BYTES &&
    view.getUint8(off + VERSION) >>> 4 === 6 &&
    IPV6_HEADER_BYTES + payloadLength(view, off) <= length
  );
}

/** Bytes after the header, extension headers included. */
export function payloadLength(view: DataView, off: number): number {
  return view.getUint16(off + PAYLOAD_LENGTH);
}

/** Number of the next header: an extension header or a protocol, any value. */
export function nextHeader(view: DataView, off: number): number {
  return view.getUint8(off + NEXT_HEADER);
}

/** Hop limit, hops. */
export function hopLimit(view: DataView, off: number): number {
  return view.getUint8(off + HOP_LIMIT);
}

/** Word `i` (0 to 3) of the source address, int32. */
export function sourceWord(view: DataView, off: number, i: number): number {
  return view.getInt32(off + SOURCE + 4 * i);
}

/** Word `i` (0 to 3) of the destination address, int32. */
export function destinationWord(view: DataView, off: number, i: number): number {
  return view.getInt32(off + DESTINATION + 4 * i);
}

/** True for the source `::` (RFC 4291 section 2.5.2). */
export function isSourceUnspecified(view: DataView, off: number): boolean {
  return (
    (sourceWord(view, off, 0) |
      sourceWord(view, off, 1) |
      sourceWord(view, off, 2) |
      sourceWord(view, off, 3)) ===
    0
  );
}

/** True for a source in fe80::/10 (RFC 4291 section 2.4). */
export function isSourceLinkLocal(view: DataView, off: number): boolean {
  return (view.getUint16(off + SOURCE) & 0xffc0) === 0xfe80;
}

/** The 16 bytes of an address in any form of RFC 4291 section 2.2, without zone; `undefined` for any other text. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const sides = text.split('::');
  if (sides.length > 2) return undefined;
  const compressed = sides.length === 2;
  const head = parseGroups(sides[0], !compressed);
  const tail = compressed ? parseGroups(sides[1], true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const zeros = GROUPS - head.length - tail.length;
  if (compressed ? zeros < 1 : zeros !== 0) return undefined;
  const view = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  head.forEach((group, i) => {
    view.setUint16(2 * i, group);
  });
  tail.forEach((group, i) => {
    view.setUint16(2 * (head.length + zeros + i), group);
  });
  return new Uint8Array(view.buffer);
}

/** The groups between colons; only the address's end may be an IPv4 address, which makes two. */
function parseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    const embedded = isEnd && i === parts.length - 1 ? parseIpv4(part) : undefined;
    if (embedded !== undefined) groups.push(embedded >>> 16, embedded & 0xffff);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** Canonical text of the 16 bytes at `off` (RFC 5952), IPv4-mapped addresses in mixed notation (section 5). */
export function formatIpv6(bytes: Uint8Array, off = 0): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset + off, ADDRESS_BYTES);
  const groups = Array.from({ length: GROUPS }, (_, i) => view.getUint16(2 * i));
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIpv4(view.getInt32(12))}`;
  }
  const { start, count } = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (count < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + count).join(':')}`;
}

/** The longest run of zero groups, the first among equals (RFC 5952 section 4.2.3). */
function longestZeros(groups: readonly number[]): { start: number; count: number } {
  let longest = { start: 0, count: 0 };
  let count = 0;
  for (const [i, group] of groups.entries()) {
    count = group === 0 ? count + 1 : 0;
    if (count > longest.count) longest = { start: i - count + 1, count };
  }
  return longest;
}
