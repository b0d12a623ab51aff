/** Neighbours of interfaces, and the MACs that bridges know (`struct ndmsg` and NDA_… of linux/neighbour.h). */
import { addressText } from './ip-text.ts';
import { macText } from './link.ts';
import { withRouteNetlink } from './netlink.ts';
import { message, type NetlinkMessage, parseAttributes, readNumber } from './netlink-message.ts';

const RTM_GETNEIGH = 30;
const AF_INET = 2;
const AF_BRIDGE = 7;
const NDMSG_BYTES = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_VLAN = 5;
const NDA_MASTER = 9;

/** NUD_… by their bits */
const STATES: Readonly<Record<number, string>> = {
  1: 'INCOMPLETE',
  2: 'REACHABLE',
  4: 'STALE',
  8: 'DELAY',
  16: 'PROBE',
  32: 'FAILED',
  64: 'NOARP',
  128: 'PERMANENT',
};
const NUD_NOARP = 64;
const NUD_PERMANENT = 128;

export interface Neighbour {
  /** Interface it is a neighbour on */
  readonly index: number;
  readonly address: string;
  /** Undefined while it is not known */
  readonly mac: string | undefined;
  /** As ip-neighbour(8) names it */
  readonly state: string;
}

export interface ForwardingEntry {
  /** Port that frames to the MAC leave by */
  readonly index: number;
  readonly mac: string;
  /** `local`: the host's own. `static`: set by hand; frames move it to another port unless it is sticky, too */
  readonly kind: 'learned' | 'static' | 'local';
  /** 0 for none */
  readonly vlan: number;
}

/** Reads an RTM_NEWNEIGH message of IPv4, `undefined` for any other. */
export function parseNeighbour({ payload }: NetlinkMessage): Neighbour | undefined {
  if (payload.length < NDMSG_BYTES || payload[0] !== AF_INET) return undefined;
  const attributes = parseAttributes(payload.subarray(NDMSG_BYTES));
  const address = attributes.get(NDA_DST);
  if (address === undefined) return undefined;
  const mac = attributes.get(NDA_LLADDR);
  const state = readNumber(payload.subarray(8, 10)) as number;
  return {
    index: readNumber(payload.subarray(4, 8)) as number,
    address: addressText(address),
    mac: mac && macText(mac),
    state: STATES[state] ?? 'NONE',
  };
}

/** Reads an RTM_NEWNEIGH message of a bridge's table, `undefined` for any other (of a device's own filter, too). */
export function parseForwardingEntry({ payload }: NetlinkMessage): ForwardingEntry | undefined {
  if (payload.length < NDMSG_BYTES || payload[0] !== AF_BRIDGE) return undefined;
  const attributes = parseAttributes(payload.subarray(NDMSG_BYTES));
  const mac = attributes.get(NDA_LLADDR);
  if (mac === undefined || !attributes.has(NDA_MASTER)) return undefined;
  const state = readNumber(payload.subarray(8, 10)) as number;
  return {
    index: readNumber(payload.subarray(4, 8)) as number,
    mac: macText(mac),
    kind: state & NUD_PERMANENT ? 'local' : state & NUD_NOARP ? 'static' : 'learned',
    vlan: readNumber(attributes.get(NDA_VLAN)) ?? 0,
  };
}

function list<T>(operation: string, family: number, parse: (received: NetlinkMessage) => T | undefined): T[] {
  const header = new Uint8Array(NDMSG_BYTES);
  header[0] = family;
  return withRouteNetlink((socket) => socket.list(operation, message(RTM_GETNEIGH, 0, header), parse));
}

/** IPv4 neighbours of the thread's namespace. Throws SysError. */
export function listNeighbours(): Neighbour[] {
  return list('list neighbours', AF_INET, parseNeighbour);
}

/** What the bridges of the thread's namespace know. Throws SysError. */
export function listForwardingEntries(): ForwardingEntry[] {
  return list('list forwarding entries', AF_BRIDGE, parseForwardingEntry);
}
