/**
 * The IPv6 header and its extension headers (RFC 8200 sections 3 and 4), and addresses in text. Contract: with
 * `check(view, off, length)` true no accessor reads outside and the payload's bytes are there; `length` may be larger
 * (a padded frame). `emitHeader` writes exactly IPV6_HEADER_BYTES. An address is four int32 words on the wire side,
 * 16 bytes in text's company.
 */
import { pseudoHeader6 } from './checksum.ts';
import { formatIpv4, parseIpv4 } from './ipv4.ts';

export const IPV6_HEADER_BYTES = 40;
/** Every link carries a packet of this size whole (RFC 8200 section 5) */
export const IPV6_MINIMUM_MTU = 1280;

// Next header values, https://www.iana.org/assignments/protocol-numbers; TCP and UDP are those of ipv4.ts
const HOP_BY_HOP = 0;
const ROUTING = 43;
/** Part of a fragmented packet, or an atomic fragment (RFC 6946): what follows is not looked at */
export const PROTOCOL_FRAGMENT = 44;
export const PROTOCOL_ICMPV6 = 58;
const DESTINATION_OPTIONS = 60;

/** Extension headers that are passed over before a packet counts as unreadable; senders have use for three */
const MAX_EXTENSION_HEADERS = 8;
/** What such a packet has in place of a transport header */
export const NO_TRANSPORT = -1;

const VERSION = 0;
const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;

// The first two bytes of every extension header (RFC 8200 section 4.2)
const EXTENSION_NEXT_HEADER = 0;
const EXTENSION_LENGTH = 1;
const EXTENSION_UNIT = 8;
const FRAGMENT_OFFSET = 2;
const FRAGMENT_OFFSET_MASK = 0xfff8;

const VERSION_6 = 0x60000000;
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

/** True for a source in ff00::/8, which nobody may use (RFC 4291 section 2.7). */
export function isSourceMulticast(view: DataView, off: number): boolean {
  return view.getUint8(off + SOURCE) === 0xff;
}

/** True for a destination in ff00::/8 (RFC 4291 section 2.7). */
export function isDestinationMulticast(view: DataView, off: number): boolean {
  return view.getUint8(off + DESTINATION) === 0xff;
}

/**
 * True when an end is an IPv4 address in disguise, ::ffff:0:0/96, which has no business on a link (RFC 4291 section
 * 2.5.5.2).
 */
export function hasMappedEnd(view: DataView, off: number): boolean {
  return isMapped(view, off + SOURCE) || isMapped(view, off + DESTINATION);
}

function isMapped(view: DataView, at: number): boolean {
  return view.getInt32(at) === 0 && view.getInt32(at + 4) === 0 && view.getInt32(at + 8) === 0xffff;
}

/** Exchanges source and destination; no checksum changes by that. */
export function swapAddresses(view: DataView, off: number): void {
  for (let i = 0; i < ADDRESS_BYTES; i += 4) {
    const from = view.getInt32(off + SOURCE + i);
    view.setInt32(off + SOURCE + i, view.getInt32(off + DESTINATION + i));
    view.setInt32(off + DESTINATION + i, from);
  }
}

/** Replaces the next header and the payload's length, where what followed the header has been replaced. */
export function writePayload(view: DataView, off: number, nextHeader: number, payloadLength: number): void {
  view.setUint16(off + PAYLOAD_LENGTH, payloadLength);
  view.setUint8(off + NEXT_HEADER, nextHeader);
}

/** Writes the 16 bytes of an address at `at`. */
export function writeAddress(
  view: DataView,
  at: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): void {
  view.setInt32(at, word0);
  view.setInt32(at + 4, word1);
  view.setInt32(at + 8, word2);
  view.setInt32(at + 12, word3);
}

/** Writes a header: source s0 to s3, destination d0 to d3, traffic class and flow label 0. */
export function emitHeader(
  view: DataView,
  off: number,
  payloadLength: number,
  nextHeader: number,
  hopLimit: number,
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
): void {
  view.setInt32(off + VERSION, VERSION_6);
  view.setUint16(off + PAYLOAD_LENGTH, payloadLength);
  view.setUint8(off + NEXT_HEADER, nextHeader);
  view.setUint8(off + HOP_LIMIT, hopLimit);
  writeAddress(view, off + SOURCE, s0, s1, s2, s3);
  writeAddress(view, off + DESTINATION, d0, d1, d2, d3);
}

/** Partial sum of the packet's pseudo-header (RFC 8200 section 8.1) for a transport of `bytes` bytes. */
export function pseudoHeader(view: DataView, off: number, protocol: number, bytes: number): number {
  return pseudoHeader6(view, off + SOURCE, off + DESTINATION, protocol, bytes);
}

/**
 * Offset of what follows hop-by-hop options, routing header and destination options: a transport header, or the
 * fragment header. It may lie at the packet's very end. NO_TRANSPORT when those headers do not fit into the packet,
 * or are more than anybody needs.
 */
export function transportOffset(view: DataView, off: number): number {
  const link = lastLink(view, off);
  if (link === NO_TRANSPORT || link === off + NEXT_HEADER)
    return link === NO_TRANSPORT ? link : off + IPV6_HEADER_BYTES;
  return link + extensionBytes(view, link);
}

/** Number of the protocol at {@link transportOffset}, PROTOCOL_FRAGMENT for a fragment; NO_TRANSPORT where that is. */
export function transportProtocol(view: DataView, off: number): number {
  const link = lastLink(view, off);
  return link === NO_TRANSPORT ? link : view.getUint8(link);
}

/**
 * Number of the protocol in the first fragment of a packet (RFC 8200 section 4.5), or in an atomic one; NO_TRANSPORT for
 * a later fragment, and for what is no fragment.
 */
export function firstFragmentProtocol(view: DataView, off: number): number {
  const link = lastLink(view, off);
  if (link === NO_TRANSPORT || view.getUint8(link) !== PROTOCOL_FRAGMENT) return NO_TRANSPORT;
  const at = transportOffset(view, off);
  if (at + EXTENSION_UNIT > off + IPV6_HEADER_BYTES + payloadLength(view, off)) return NO_TRANSPORT;
  const later = (view.getUint16(at + FRAGMENT_OFFSET) & FRAGMENT_OFFSET_MASK) !== 0;
  return later ? NO_TRANSPORT : view.getUint8(at + EXTENSION_NEXT_HEADER);
}

/** Offset of the byte that names what is behind the last extension header: one of the header's, or its first byte. */
function lastLink(view: DataView, off: number): number {
  let link = off + NEXT_HEADER;
  let at = off + IPV6_HEADER_BYTES;
  const end = at + payloadLength(view, off);
  for (let passed = 0; isExtension(view.getUint8(link)); passed++) {
    if (passed === MAX_EXTENSION_HEADERS || at + EXTENSION_UNIT > end) return NO_TRANSPORT;
    link = at + EXTENSION_NEXT_HEADER;
    at += extensionBytes(view, at);
    if (at > end) return NO_TRANSPORT;
  }
  return link;
}

function isExtension(header: number): boolean {
  return header === HOP_BY_HOP || header === ROUTING || header === DESTINATION_OPTIONS;
}

/** Bytes of the extension header at `at`; its length field does not count the first eight (RFC 8200 section 4.3). */
function extensionBytes(view: DataView, at: number): number {
  return (view.getUint8(at + EXTENSION_LENGTH) + 1) * EXTENSION_UNIT;
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
