/**
 * DHCP (RFC 2131) and its options (RFC 2132); the offset is that of the BOOTP message, `length` its bytes. Contract:
 * with `check(view, off, length)` true no accessor reads outside, whatever the options' lengths say. `emitReply` writes
 * exactly HEADER_BYTES, each `put` function writes one option at `at` and returns the offset behind it, and `finish`
 * closes the message. The option field alone is read: options in `sname` and `file` (option 52) are not.
 */

/** Bytes before the first option, magic cookie included */
export const HEADER_BYTES = 240;
/** Shortest message that BOOTP relays and some clients take (RFC 1542 section 2.1) */
export const MINIMUM_BYTES = 300;

export const SERVER_PORT = 67;
export const CLIENT_PORT = 68;

// Message types (RFC 2132 section 9.6)
export const DISCOVER = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DECLINE = 4;
export const ACK = 5;
export const NAK = 6;
export const RELEASE = 7;
export const INFORM = 8;

// Options (RFC 2132; 121 is RFC 3442)
const PAD = 0;
export const OPTION_SUBNET_MASK = 1;
export const OPTION_ROUTER = 3;
export const OPTION_DNS_SERVER = 6;
export const OPTION_HOST_NAME = 12;
export const OPTION_DOMAIN_NAME = 15;
export const OPTION_MTU = 26;
export const OPTION_REQUESTED_ADDRESS = 50;
export const OPTION_LEASE_SECONDS = 51;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_SERVER = 54;
export const OPTION_RENEWAL_SECONDS = 58;
export const OPTION_REBINDING_SECONDS = 59;
export const OPTION_CLIENT_IDENTIFIER = 61;
export const OPTION_CLASSLESS_ROUTES = 121;
const END = 255;
/** No such option. */
export const NO_OPTION = -1;
/** Bytes of an option before its data */
export const OPTION_HEAD_BYTES = 2;
/** Bytes of data an option may have */
export const MAX_OPTION_BYTES = 255;

// Fields by their names in RFC 2131 section 2
const OP = 0;
const HTYPE = 1;
const HLEN = 2;
const HOPS = 3;
const XID = 4;
const SECS = 8;
const FLAGS = 10;
const CIADDR = 12;
const YIADDR = 16;
const SIADDR = 20;
const GIADDR = 24;
const CHADDR = 28;
const COOKIE = 236;

const BOOT_REQUEST = 1;
const BOOT_REPLY = 2;
const HARDWARE_ETHERNET = 1;
const MAC_BYTES = 6;
const MAGIC_COOKIE = 0x63825363;
const BROADCAST_FLAG = 0x8000;

/** True for a client's message with an Ethernet address and room for options. */
export function check(view: DataView, off: number, length: number): boolean {
  return isMessage(view, off, length, BOOT_REQUEST);
}

/** The same for a server's; what holds for accessors with {@link check} true holds here. */
export function checkReply(view: DataView, off: number, length: number): boolean {
  return isMessage(view, off, length, BOOT_REPLY);
}

function isMessage(view: DataView, off: number, length: number, operation: number): boolean {
  return (
    length >= HEADER_BYTES &&
    view.getUint8(off + OP) === operation &&
    view.getUint8(off + HTYPE) === HARDWARE_ETHERNET &&
    view.getUint8(off + HLEN) === MAC_BYTES &&
    view.getInt32(off + COOKIE) === MAGIC_COOKIE
  );
}

/** Transaction, int32. */
export function transaction(view: DataView, off: number): number {
  return view.getInt32(off + XID);
}

/** All sixteen flags, of which the first is the one below. */
export function flags(view: DataView, off: number): number {
  return view.getUint16(off + FLAGS);
}

/** True when the client can only take broadcast before it has its address (RFC 2131 section 4.1). */
export function wantsBroadcast(view: DataView, off: number): boolean {
  return (flags(view, off) & BROADCAST_FLAG) !== 0;
}

/** Address the client says it uses (`ciaddr`), int32, 0 while it has none. */
export function clientAddress(view: DataView, off: number): number {
  return view.getInt32(off + CIADDR);
}

/** Address given to the client (`yiaddr`), int32. */
export function givenAddress(view: DataView, off: number): number {
  return view.getInt32(off + YIADDR);
}

/** Address of the relay that passed the message on (`giaddr`), int32, 0 without one. */
export function relayAddress(view: DataView, off: number): number {
  return view.getInt32(off + GIADDR);
}

/** Upper 16 bits of the client's MAC. */
export function clientHigh(view: DataView, off: number): number {
  return view.getUint16(off + CHADDR);
}

/** Lower 32 bits of the client's MAC, int32. */
export function clientLow(view: DataView, off: number): number {
  return view.getInt32(off + CHADDR + 2);
}

/**
 * Offset of the first option `code`, head first, or {@link NO_OPTION}. All of its data lies inside the message;
 * an option that reaches past the end ends the search.
 */
export function option(view: DataView, off: number, length: number, code: number): number {
  const end = off + length;
  let at = off + HEADER_BYTES;
  while (at < end) {
    const found = view.getUint8(at);
    if (found === PAD) {
      at++;
      continue;
    }
    if (found === END || at + OPTION_HEAD_BYTES > end) return NO_OPTION;
    const next = at + OPTION_HEAD_BYTES + optionLength(view, at);
    if (next > end) return NO_OPTION;
    if (found === code) return at;
    at = next;
  }
  return NO_OPTION;
}

/** Bytes of data of the option at `at`. */
export function optionLength(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}

/** Message type (option 53), 0 where there is none. */
export function messageType(view: DataView, off: number, length: number): number {
  const at = option(view, off, length, OPTION_MESSAGE_TYPE);
  return at === NO_OPTION || optionLength(view, at) !== 1 ? 0 : view.getUint8(at + OPTION_HEAD_BYTES);
}

/** Address in an option of four bytes, int32; 0 where it is absent or of another size. */
export function addressOption(view: DataView, off: number, length: number, code: number): number {
  const at = option(view, off, length, code);
  return at === NO_OPTION || optionLength(view, at) !== 4 ? 0 : view.getInt32(at + OPTION_HEAD_BYTES);
}

/**
 * Writes a server's reply up to the first option: no relay, no boot file, everything else zero.
 *
 * @param flags as the client sent them  @param client its `ciaddr`  @param given its new address, 0 for none
 */
export function emitReply(
  view: DataView,
  off: number,
  transaction: number,
  flags: number,
  client: number,
  given: number,
  high: number,
  low: number,
): void {
  view.setUint8(off + OP, BOOT_REPLY);
  view.setUint8(off + HTYPE, HARDWARE_ETHERNET);
  view.setUint8(off + HLEN, MAC_BYTES);
  view.setUint8(off + HOPS, 0);
  view.setInt32(off + XID, transaction);
  view.setUint16(off + SECS, 0);
  view.setUint16(off + FLAGS, flags);
  view.setInt32(off + CIADDR, client);
  view.setInt32(off + YIADDR, given);
  view.setInt32(off + SIADDR, 0);
  view.setInt32(off + GIADDR, 0);
  view.setUint16(off + CHADDR, high);
  view.setInt32(off + CHADDR + 2, low);
  view.setInt16(off + CHADDR + MAC_BYTES, 0);
  for (let at = off + CHADDR + MAC_BYTES + 2; at < off + COOKIE; at += 4) view.setInt32(at, 0);
  view.setInt32(off + COOKIE, MAGIC_COOKIE);
}

/** Writes an option of one byte. */
export function putByte(view: DataView, at: number, code: number, value: number): number {
  view.setUint8(at, code);
  view.setUint8(at + 1, 1);
  view.setUint8(at + 2, value);
  return at + 3;
}

/** Writes an option of 16 bits. */
export function putWord(view: DataView, at: number, code: number, value: number): number {
  view.setUint8(at, code);
  view.setUint8(at + 1, 2);
  view.setUint16(at + 2, value);
  return at + 4;
}

/** Writes an option of 32 bits: an address, or a number of seconds. */
export function putLong(view: DataView, at: number, code: number, value: number): number {
  view.setUint8(at, code);
  view.setUint8(at + 1, 4);
  view.setInt32(at + 2, value);
  return at + 6;
}

/** Writes an option of the first `count` bytes (at most MAX_OPTION_BYTES) of `bytes`. */
export function putBytes(view: DataView, at: number, code: number, bytes: Uint8Array, count: number): number {
  view.setUint8(at, code);
  view.setUint8(at + 1, count);
  for (let i = 0; i < count; i++) view.setUint8(at + OPTION_HEAD_BYTES + i, bytes[i] as number);
  return at + OPTION_HEAD_BYTES + count;
}

/** Writes the option of classless routes (RFC 3442) with one, the default route by `router`. */
export function putDefaultRoute(view: DataView, at: number, router: number): number {
  view.setUint8(at, OPTION_CLASSLESS_ROUTES);
  view.setUint8(at + 1, 5);
  view.setUint8(at + 2, 0);
  view.setInt32(at + 3, router);
  return at + 7;
}

/** Ends the options at `at` and pads the message at `off` to MINIMUM_BYTES. Returns its bytes. */
export function finish(view: DataView, off: number, at: number): number {
  view.setUint8(at, END);
  let end = at + 1;
  while (end < off + MINIMUM_BYTES) view.setUint8(end++, PAD);
  return end - off;
}
