/**
 * ARP for IPv4 over Ethernet (RFC 826); the offset is that of the ARP packet. Contract: with
 * `check(view, off, length)` true no accessor reads outside; `emit` writes exactly ARP_BYTES.
 */

export const ARP_BYTES = 28;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

// Fields by their names in RFC 826 (ar$hrd ...)
const HRD = 0;
const PRO = 2;
const HLN = 4;
const PLN = 5;
const OP = 6;
const SHA = 8;
const SPA = 14;
const THA = 18;
const TPA = 24;
const LOW = 2;

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;
const MAC_BYTES = 6;
const IPV4_BYTES = 4;

/** True for a whole packet with Ethernet hardware and IPv4 protocol addresses of the right sizes, any operation. */
export function check(view: DataView, off: number, length: number): boolean {
  return (
    length >= ARP_BYTES &&
    view.getUint16(off + HRD) === HARDWARE_ETHERNET &&
    view.getUint16(off + PRO) === PROTOCOL_IPV4 &&
    view.getUint8(off + HLN) === MAC_BYTES &&
    view.getUint8(off + PLN) === IPV4_BYTES
  );
}

/** ARP_REQUEST, ARP_REPLY or any other 16-bit value. */
export function operation(view: DataView, off: number): number {
  return view.getUint16(off + OP);
}

/** Upper 16 bits of the sender's MAC. */
export function senderHigh(view: DataView, off: number): number {
  return view.getUint16(off + SHA);
}

/** Lower 32 bits of the sender's MAC, int32. */
export function senderLow(view: DataView, off: number): number {
  return view.getInt32(off + SHA + LOW);
}

/** The sender's IPv4 address, int32. */
export function senderAddress(view: DataView, off: number): number {
  return view.getInt32(off + SPA);
}

/** Upper 16 bits of the target's MAC. */
export function targetHigh(view: DataView, off: number): number {
  return view.getUint16(off + THA);
}

/** Lower 32 bits of the target's MAC, int32. */
export function targetLow(view: DataView, off: number): number {
  return view.getInt32(off + THA + LOW);
}

/** The target's IPv4 address, int32. */
export function targetAddress(view: DataView, off: number): number {
  return view.getInt32(off + TPA);
}

/** Writes a packet. */
export function emit(
  view: DataView,
  off: number,
  operation: number,
  senderHigh: number,
  senderLow: number,
  senderAddress: number,
  targetHigh: number,
  targetLow: number,
  targetAddress: number,
): void {
  view.setUint16(off + HRD, HARDWARE_ETHERNET);
  view.setUint16(off + PRO, PROTOCOL_IPV4);
  view.setUint8(off + HLN, MAC_BYTES);
  view.setUint8(off + PLN, IPV4_BYTES);
  view.setUint16(off + OP, operation);
  view.setUint16(off + SHA, senderHigh);
  view.setInt32(off + SHA + LOW, senderLow);
  view.setInt32(off + SPA, senderAddress);
  view.setUint16(off + THA, targetHigh);
  view.setInt32(off + THA + LOW, targetLow);
  view.setInt32(off + TPA, targetAddress);
}
