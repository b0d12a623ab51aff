/**
 * The Ethernet II header (IEEE 802.3, clause 3). Contract: with `check(view, off, length)` true no accessor reads
 * outside; `writeHeader` writes exactly ETHERNET_HEADER_BYTES. A frame may be longer than what it carries
 * (padding to the minimum of 60 bytes): trust the length inside the packet.
 */

/** The MAC of everybody, ff:ff:ff:ff:ff:ff */
export const BROADCAST_HIGH = 0xffff;
export const BROADCAST_LOW = -1;
export const ETHERNET_HEADER_BYTES = 14;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_QINQ = 0x88a8;

const DESTINATION = 0;
const SOURCE = 6;
const ETHER_TYPE = 12;
const LOW = 2;
const GROUP_BIT = 0x01;

/** True when `length` bytes hold the header. */
export function check(_view: DataView, _off: number, length: number): boolean {
  return length >= ETHERNET_HEADER_BYTES;
}

/** Upper 16 bits of the destination MAC. */
export function destinationHigh(view: DataView, off: number): number {
  return view.getUint16(off + DESTINATION);
}

/** Lower 32 bits of the destination MAC, int32. */
export function destinationLow(view: DataView, off: number): number {
  return view.getInt32(off + DESTINATION + LOW);
}

/** Upper 16 bits of the source MAC. */
export function sourceHigh(view: DataView, off: number): number {
  return view.getUint16(off + SOURCE);
}

/** Lower 32 bits of the source MAC, int32. */
export function sourceLow(view: DataView, off: number): number {
  return view.getInt32(off + SOURCE + LOW);
}

/** EtherType, any value; below 0x0600 it is an IEEE 802.3 length. */
export function etherType(view: DataView, off: number): number {
  return view.getUint16(off + ETHER_TYPE);
}

/** True when the destination is a group: multicast or broadcast. */
export function isMulticast(view: DataView, off: number): boolean {
  return (view.getUint8(off + DESTINATION) & GROUP_BIT) !== 0;
}

/** True when the destination is ff:ff:ff:ff:ff:ff. */
export function isBroadcast(view: DataView, off: number): boolean {
  return destinationHigh(view, off) === 0xffff && destinationLow(view, off) === -1;
}

/** Replaces the destination MAC. */
export function writeDestination(view: DataView, off: number, high: number, low: number): void {
  view.setUint16(off + DESTINATION, high);
  view.setInt32(off + DESTINATION + LOW, low);
}

/** Writes the header. */
export function writeHeader(
  view: DataView,
  off: number,
  dstHigh: number,
  dstLow: number,
  srcHigh: number,
  srcLow: number,
  type: number,
): void {
  view.setUint16(off + DESTINATION, dstHigh);
  view.setInt32(off + DESTINATION + LOW, dstLow);
  view.setUint16(off + SOURCE, srcHigh);
  view.setInt32(off + SOURCE + LOW, srcLow);
  view.setUint16(off + ETHER_TYPE, type);
}
