/**
 * IPv6 neighbour discovery (RFC 4861), with the DNS option of RFC 8106; the offset is that of the ICMPv6 message.
 * Contract: with `check(view, off, length)` true the message is as long as its type says and its options end where it
 * does; no accessor reads outside. The `emit` functions write exactly as many bytes as they return, and leave the
 * checksum to icmpv6.ts.
 */
import { emitHeader, ICMPV6_HEADER_BYTES, type } from './icmpv6.ts';
import { writeAddress } from './ipv6.ts';

export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const REDIRECT = 137;

/** Hop limit of every such packet: no router has passed it on (RFC 4861 section 3.1) */
export const HOP_LIMIT = 255;

/** Option: the sender's link-layer address */
export const SOURCE_LINK_LAYER = 1;
/** Option: the target's link-layer address */
export const TARGET_LINK_LAYER = 2;
const PREFIX_INFORMATION = 3;
const MTU = 5;
const RECURSIVE_DNS_SERVER = 25;
/** No such option. */
export const NO_OPTION = -1;

/** Flags of a neighbour advertisement (RFC 4861 section 4.4) */
export const ROUTER = 0x80000000 | 0;
export const SOLICITED = 0x40000000;
export const OVERRIDE = 0x20000000;

/** Flags of a prefix (RFC 4861 section 4.6.2) */
export const ON_LINK = 0x80;
export const AUTONOMOUS = 0x40;

const TARGET = ICMPV6_HEADER_BYTES;
const TARGET_BYTES = 16;
/** Bytes of each type before its options */
const ROUTER_SOLICITATION_BYTES = ICMPV6_HEADER_BYTES;
const ROUTER_ADVERTISEMENT_BYTES = ICMPV6_HEADER_BYTES + 8;
const NEIGHBOUR_BYTES = TARGET + TARGET_BYTES;
const REDIRECT_BYTES = TARGET + 2 * TARGET_BYTES;

// An option's length counts units of eight bytes, its two bytes of head included (RFC 4861 section 4.6)
const OPTION_LENGTH = 1;
const OPTION_DATA = 2;
const OPTION_UNIT = 8;
const LINK_LAYER_BYTES = 8;
const PREFIX_BYTES = 32;
const MTU_BYTES = 8;
const DNS_BYTES = 24;

const REACHABLE_TIME = 8;
const RETRANS_TIMER = 12;

/** True for a type of neighbour discovery. */
export function isType(type: number): boolean {
  return type >= ROUTER_SOLICITATION && type <= REDIRECT;
}

/**
 * True when the message is of one of the types, long enough for it, and followed by nothing but options none of
 * which is empty or longer than what is left (RFC 4861 sections 6.1 and 7.1).
 */
export function check(view: DataView, off: number, length: number): boolean {
  if (length < ICMPV6_HEADER_BYTES) return false;
  const fixed = fixedBytes(type(view, off));
  if (fixed === 0 || length < fixed) return false;
  let at = off + fixed;
  const end = off + length;
  while (at + OPTION_UNIT <= end) {
    const bytes = optionBytes(view, at);
    if (bytes === 0) return false;
    at += bytes;
  }
  return at === end;
}

/** Bytes before the options of a message of this type, 0 for any other type. */
function fixedBytes(type: number): number {
  switch (type) {
    case ROUTER_SOLICITATION:
      return ROUTER_SOLICITATION_BYTES;
    case ROUTER_ADVERTISEMENT:
      return ROUTER_ADVERTISEMENT_BYTES;
    case NEIGHBOUR_SOLICITATION:
    case NEIGHBOUR_ADVERTISEMENT:
      return NEIGHBOUR_BYTES;
    case REDIRECT:
      return REDIRECT_BYTES;
    default:
      return 0;
  }
}

function optionBytes(view: DataView, at: number): number {
  return view.getUint8(at + OPTION_LENGTH) * OPTION_UNIT;
}

/** Word `i` (0 to 3) of the target address of a neighbour solicitation or advertisement, int32. */
export function targetWord(view: DataView, off: number, i: number): number {
  return view.getInt32(off + TARGET + 4 * i);
}

/** True when the target is in ff00::/8, which a target never is (RFC 4861 section 7.1.1). */
export function isTargetMulticast(view: DataView, off: number): boolean {
  return view.getUint8(off + TARGET) === 0xff;
}

/** True when the target is in fe80::/10 (RFC 4291 section 2.4). */
export function isTargetLinkLocal(view: DataView, off: number): boolean {
  return (view.getUint16(off + TARGET) & 0xffc0) === 0xfe80;
}

/** Offset of the first option of a kind, or {@link NO_OPTION}; the message passed {@link check} with this `length`. */
export function option(view: DataView, off: number, length: number, kind: number): number {
  const end = off + length;
  for (let at = off + fixedBytes(type(view, off)); at < end; at += optionBytes(view, at)) {
    if (view.getUint8(at) === kind) return at;
  }
  return NO_OPTION;
}

/** Upper 16 bits of the MAC in the link-layer option at `at`. */
export function linkHigh(view: DataView, at: number): number {
  return view.getUint16(at + OPTION_DATA);
}

/** Lower 32 bits of the MAC in the link-layer option at `at`, int32. */
export function linkLow(view: DataView, at: number): number {
  return view.getInt32(at + OPTION_DATA + 2);
}

/** Writes a neighbour advertisement (RFC 4861 section 4.4) without options. Returns its bytes. */
export function emitAdvertisement(
  view: DataView,
  off: number,
  flags: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): number {
  emitHeader(view, off, NEIGHBOUR_ADVERTISEMENT, 0, flags);
  writeAddress(view, off + TARGET, word0, word1, word2, word3);
  return NEIGHBOUR_BYTES;
}

/** Bytes of what {@link emitSolicitation} writes. */
export const SOLICITATION_BYTES: number = NEIGHBOUR_BYTES + LINK_LAYER_BYTES;

/** Writes a neighbour solicitation (RFC 4861 section 4.3) for the address with the sender's MAC. Returns its bytes. */
export function emitSolicitation(
  view: DataView,
  off: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
  high: number,
  low: number,
): number {
  emitHeader(view, off, NEIGHBOUR_SOLICITATION, 0, 0);
  writeAddress(view, off + TARGET, word0, word1, word2, word3);
  return NEIGHBOUR_BYTES + emitLinkLayer(view, off + NEIGHBOUR_BYTES, SOURCE_LINK_LAYER, high, low);
}

/**
 * Writes a router advertisement (RFC 4861 section 4.2) without options that leaves the hosts' timers alone and knows
 * no DHCPv6. Returns its bytes.
 *
 * @param hopLimit that hosts shall use  @param lifetime of the default route, `s`, at most 65,535
 */
export function emitRouterAdvertisement(
  view: DataView,
  off: number,
  hopLimit: number,
  lifetime: number,
): number {
  emitHeader(view, off, ROUTER_ADVERTISEMENT, 0, (hopLimit << 24) | lifetime);
  view.setInt32(off + REACHABLE_TIME, 0);
  view.setInt32(off + RETRANS_TIMER, 0);
  return ROUTER_ADVERTISEMENT_BYTES;
}

/** Writes a link-layer option, SOURCE_LINK_LAYER or TARGET_LINK_LAYER, at `at`. Returns its bytes. */
export function emitLinkLayer(view: DataView, at: number, kind: number, high: number, low: number): number {
  emitOptionHead(view, at, kind, LINK_LAYER_BYTES);
  view.setUint16(at + OPTION_DATA, high);
  view.setInt32(at + OPTION_DATA + 2, low);
  return LINK_LAYER_BYTES;
}

/**
 * Writes the option that tells a prefix (RFC 4861 section 4.6.2), its bits behind `prefixLength` zero, at `at`.
 * Returns its bytes.
 *
 * @param flags ON_LINK, AUTONOMOUS  @param valid lifetime, `s`  @param preferred lifetime, `s`
 */
export function emitPrefix(
  view: DataView,
  at: number,
  prefixLength: number,
  flags: number,
  valid: number,
  preferred: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): number {
  emitOptionHead(view, at, PREFIX_INFORMATION, PREFIX_BYTES);
  view.setUint8(at + 2, prefixLength);
  view.setUint8(at + 3, flags);
  view.setInt32(at + 4, valid);
  view.setInt32(at + 8, preferred);
  view.setInt32(at + 12, 0);
  writeAddress(
    view,
    at + 16,
    word0 & prefixMask(prefixLength),
    word1 & prefixMask(prefixLength - 32),
    word2 & prefixMask(prefixLength - 64),
    word3 & prefixMask(prefixLength - 96),
  );
  return PREFIX_BYTES;
}

/** Mask of the first `bits` of a word, which may be fewer than none or more than all. */
function prefixMask(bits: number): number {
  // A shift by 32 would be a shift by 0
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** Writes the option that tells the link's MTU (RFC 4861 section 4.6.4), `mtu` bytes, at `at`. Returns its bytes. */
export function emitMtu(view: DataView, at: number, mtu: number): number {
  emitOptionHead(view, at, MTU, MTU_BYTES);
  view.setUint16(at + 2, 0);
  view.setInt32(at + 4, mtu);
  return MTU_BYTES;
}

/** Writes the option that tells one DNS server (RFC 8106 section 5.1), for `lifetime` s, at `at`. Returns its bytes. */
export function emitDnsServer(
  view: DataView,
  at: number,
  lifetime: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
): number {
  emitOptionHead(view, at, RECURSIVE_DNS_SERVER, DNS_BYTES);
  view.setUint16(at + 2, 0);
  view.setInt32(at + 4, lifetime);
  writeAddress(view, at + 8, word0, word1, word2, word3);
  return DNS_BYTES;
}

function emitOptionHead(view: DataView, at: number, kind: number, bytes: number): void {
  view.setUint8(at, kind);
  view.setUint8(at + OPTION_LENGTH, bytes / OPTION_UNIT);
}
