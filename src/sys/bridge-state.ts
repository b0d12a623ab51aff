/** What a Linux bridge and its ports are doing, through rtnetlink (IFLA_BR_…, IFLA_BRPORT_… of linux/if_link.h). */
import {
  IFINFOMSG_BYTES,
  IFLA,
  IFLA_INFO_DATA,
  type Link,
  parseLink,
  RTEXT_FILTER_SKIP_STATS,
  RTM_GETLINK,
} from './link.ts';
import { withRouteNetlink } from './netlink.ts';
import {
  attribute,
  eachAttribute,
  message,
  type NetlinkMessage,
  parseAttributes,
  readNumber,
  u32,
} from './netlink-message.ts';

const AF_BRIDGE = 7;
const RTEXT_FILTER_BRVLAN = 2;

const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT = {
  state: 1,
  learning: 8,
  unicastFlood: 9,
  broadcastFlood: 30,
  isolated: 33,
  locked: 39,
} as const;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_NF_CALL_IPTABLES = 36;
const IFLA_BR_NF_CALL_ARPTABLES = 38;

const IFLA_BRIDGE_VLAN_INFO = 2;
const BRIDGE_VLAN_INFO_PVID = 2;
const BRIDGE_VLAN_INFO_UNTAGGED = 4;

/** States of a port in spanning tree, by their number (linux/if_bridge.h) */
const STATES = ['disabled', 'listening', 'learning', 'forwarding', 'blocking'] as const;
export type PortState = (typeof STATES)[number];

/** How the bridge treats a port. Flags the kernel does not know are as if it had none of them. */
export interface BridgePort {
  readonly state: PortState;
  readonly learning: boolean;
  /** Frames to MACs that the bridge does not know leave by it */
  readonly unicastFlood: boolean;
  readonly broadcastFlood: boolean;
  /** It reaches no other isolated port */
  readonly isolated: boolean;
  /** Frames come in by it only from MACs that the bridge was told of */
  readonly locked: boolean;
}

export interface BridgeSettings {
  readonly vlanFiltering: boolean;
  /** The bridge's own flags; those of the namespace, under /proc/sys/net/bridge, do the same for all bridges */
  readonly callIptables: boolean;
  readonly callArptables: boolean;
}

/** An interface, with what the bridge says of it where it is a port or a bridge. */
export interface BridgeLink extends Link {
  readonly port: BridgePort | undefined;
  readonly bridge: BridgeSettings | undefined;
  /** Index of the interface it stands on (of a VLAN or macvlan), 0 for none */
  readonly lower: number;
}

export interface PortVlan {
  readonly id: number;
  /** Untagged frames that come in are of this VLAN */
  readonly pvid: boolean;
  /** Its frames leave without a tag */
  readonly untagged: boolean;
}

function parsePort(data: Uint8Array | undefined): BridgePort | undefined {
  if (data === undefined) return undefined;
  const attributes = parseAttributes(data);
  const flag = (type: number, otherwise: number) => (readNumber(attributes.get(type)) ?? otherwise) !== 0;
  return {
    state: STATES[readNumber(attributes.get(IFLA_BRPORT.state)) ?? 0] ?? 'disabled',
    learning: flag(IFLA_BRPORT.learning, 1),
    unicastFlood: flag(IFLA_BRPORT.unicastFlood, 1),
    broadcastFlood: flag(IFLA_BRPORT.broadcastFlood, 1),
    isolated: flag(IFLA_BRPORT.isolated, 0),
    locked: flag(IFLA_BRPORT.locked, 0),
  };
}

function parseSettings(data: Uint8Array | undefined): BridgeSettings {
  const attributes = parseAttributes(data);
  const flag = (type: number) => (readNumber(attributes.get(type)) ?? 0) !== 0;
  return {
    vlanFiltering: flag(IFLA_BR_VLAN_FILTERING),
    callIptables: flag(IFLA_BR_NF_CALL_IPTABLES),
    callArptables: flag(IFLA_BR_NF_CALL_ARPTABLES),
  };
}

/** Reads an RTM_NEWLINK message; `undefined` where it is no link's. */
export function parseBridgeLink(received: NetlinkMessage): BridgeLink | undefined {
  const link = parseLink(received);
  if (link === undefined) return undefined;
  const attributes = parseAttributes(received.payload.subarray(IFINFOMSG_BYTES));
  const info = parseAttributes(attributes.get(IFLA.linkInfo));
  return {
    ...link,
    // Of another kind of master (a bond, Open vSwitch) the data would mean something else: the caller sees the kind.
    port: link.master === 0 ? undefined : parsePort(info.get(IFLA_INFO_SLAVE_DATA)),
    bridge: link.kind === 'bridge' ? parseSettings(info.get(IFLA_INFO_DATA)) : undefined,
    lower: readNumber(attributes.get(IFLA.link)) ?? 0,
  };
}

/** Reads an RTM_NEWLINK message of the bridge's family: an interface, and the VLANs it is in. */
export function parsePortVlans({
  payload,
}: NetlinkMessage): { index: number; vlans: PortVlan[] } | undefined {
  if (payload.length < IFINFOMSG_BYTES || payload[0] !== AF_BRIDGE) return undefined;
  const index = readNumber(payload.subarray(4, 8)) as number;
  const vlans: PortVlan[] = [];
  const attributes = parseAttributes(payload.subarray(IFINFOMSG_BYTES));
  eachAttribute(attributes.get(IFLA.afSpec) ?? new Uint8Array(), (type, value) => {
    if (type !== IFLA_BRIDGE_VLAN_INFO || value.length !== 4) return;
    const flags = readNumber(value.subarray(0, 2)) as number;
    const id = readNumber(value.subarray(2, 4)) as number;
    const has = (flag: number) => (flags & flag) !== 0;
    vlans.push({ id, pvid: has(BRIDGE_VLAN_INFO_PVID), untagged: has(BRIDGE_VLAN_INFO_UNTAGGED) });
  });
  return { index, vlans };
}

function linkRequest(family: number, filter: number): Uint8Array {
  const header = new Uint8Array(IFINFOMSG_BYTES);
  header[0] = family;
  return message(RTM_GETLINK, 0, header, [attribute(IFLA.extMask, u32(filter))]);
}

/** Every interface of the thread's namespace. Throws SysError. */
export function listBridgeLinks(): BridgeLink[] {
  const request = linkRequest(0, RTEXT_FILTER_SKIP_STATS);
  return withRouteNetlink((socket) => socket.list('list links', request, parseBridgeLink));
}

/** VLANs of every bridge and port of the thread's namespace, by interface index. Throws SysError. */
export function listPortVlans(): Map<number, readonly PortVlan[]> {
  const request = linkRequest(AF_BRIDGE, RTEXT_FILTER_BRVLAN);
  const found = withRouteNetlink((socket) => socket.list('list VLANs', request, parsePortVlans));
  return new Map(found.map(({ index, vlans }) => [index, vlans]));
}
