/** Network interfaces as rtnetlink describes them (`struct ifinfomsg` and IFLA_… of linux/if_link.h). */
import { type NetlinkMessage, parseAttributes, readNumber, readText } from './netlink-message.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTEXT_FILTER_SKIP_STATS = 8;

export const IFINFOMSG_BYTES = 16;
export const IFF_UP = 0x1;
export const IFF_NOARP = 0x80;
const IFF_LOWER_UP = 0x10000;
const AF_UNSPEC = 0;
const ARPHRD_ETHER = 1;

export const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  txQueueLength: 13,
  linkInfo: 18,
  afSpec: 26,
  namespaceFd: 28,
  extMask: 29,
  carrier: 33,
} as const;

export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;

/** A network interface at the moment it was read. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** Driver: `tun` (a TAP too), `veth`, `bridge`, …; '' for a device without one */
  readonly kind: string;
  /** ARPHRD_… (linux/if_arp.h), 1 for Ethernet */
  readonly arpHardwareType: number;
  /** Largest payload, `bytes` */
  readonly mtu: number;
  /** Hardware address, lower-case with colons; '' for a device without one */
  readonly mac: string;
  /** Set up by the administrator (IFF_UP) */
  readonly up: boolean;
  /** Something at the other end: a process holds the TAP, the veth's peer is up. Independent of `up` for a TAP */
  readonly carrier: boolean;
  /** Index of the bridge or bond it belongs to, 0 for none */
  readonly master: number;
  /** Queue towards the device, `packets` */
  readonly txQueueLength: number;
  /** Index of a veth's other end, in that end's own namespace; 0 for other kinds */
  readonly peerIndex: number;
}

/** Text of a hardware address, lower-case with colons; '' for none. */
/** It carries Ethernet frames. */
export function isEthernet({ arpHardwareType }: Pick<Link, 'arpHardwareType'>): boolean {
  return arpHardwareType === ARPHRD_ETHER;
}

export function macText(address: Uint8Array | undefined): string {
  return address === undefined ? '' : Array.from(address, (n) => n.toString(16).padStart(2, '0')).join(':');
}

/** Bytes of a MAC address. Throws RangeError for other text. */
export function macBytes(mac: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) throw new RangeError(`'${mac}' is not a MAC address`);
  return Uint8Array.from(mac.split(':'), (pair) => Number.parseInt(pair, 16));
}

/** Reads an RTM_NEWLINK or RTM_DELLINK message; `undefined` where it is cut short or not about the link itself. */
export function parseLink({ payload }: NetlinkMessage): Link | undefined {
  if (payload.length < IFINFOMSG_BYTES) return undefined;
  // A bridge sends the same types with its own family when a port's role changes: that is no link's coming or going.
  if (payload[0] !== AF_UNSPEC) return undefined;
  const header = new DataView(payload.buffer, payload.byteOffset, IFINFOMSG_BYTES);
  const flags = header.getUint32(8, true);
  const attributes = parseAttributes(payload.subarray(IFINFOMSG_BYTES));
  const kind = readText(parseAttributes(attributes.get(IFLA.linkInfo)).get(IFLA_INFO_KIND));
  const carrier = readNumber(attributes.get(IFLA.carrier));
  return {
    index: header.getInt32(4, true),
    name: readText(attributes.get(IFLA.name)),
    kind,
    arpHardwareType: header.getUint16(2, true),
    mtu: readNumber(attributes.get(IFLA.mtu)) ?? 0,
    mac: macText(attributes.get(IFLA.address)),
    up: (flags & IFF_UP) !== 0,
    carrier: carrier === undefined ? (flags & IFF_LOWER_UP) !== 0 : carrier !== 0,
    master: readNumber(attributes.get(IFLA.master)) ?? 0,
    txQueueLength: readNumber(attributes.get(IFLA.txQueueLength)) ?? 0,
    peerIndex: kind === 'veth' ? (readNumber(attributes.get(IFLA.link)) ?? 0) : 0,
  };
}
