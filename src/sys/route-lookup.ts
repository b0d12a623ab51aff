/** The route that the kernel would take for an address, policy rules and all (RTM_GETROUTE of rtnetlink(7)). */
import { SysError } from './errno.ts';
import { addressFamily } from './interface-address.ts';
import { addressBytes, addressText } from './ip-text.ts';
import { withRouteNetlink } from './netlink.ts';
import {
  attribute,
  concat,
  message,
  type NetlinkMessage,
  parseAttributes,
  readNumber,
  u32,
} from './netlink-message.ts';

const RTM_GETROUTE = 26;
const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
const RTN_LOCAL = 2;

export interface FoundRoute {
  /** The address is the host's own */
  readonly local: boolean;
  /** Interface it leaves by, 0 for none */
  readonly index: number;
  readonly gateway: string | undefined;
  /** Address it leaves from */
  readonly source: string | undefined;
}

/**
 * Looks up the way to `address`, for packets from `source` where given, else for any that the kernel may choose.
 *
 * @returns the name of the kernel's error where there is none, e.g. ENETUNREACH
 * @throws RangeError for text that is no address
 */
export function lookUpRoute(address: string, source?: string): FoundRoute | string {
  const to = addressBytes(address);
  const attributes = [attribute(RTA_DST, to)];
  if (source !== undefined) attributes.push(attribute(RTA_SRC, addressBytes(source)));
  const bits = to.length * 8;
  const family = addressFamily(to);
  const header = concat([
    Uint8Array.of(family, bits, source === undefined ? 0 : bits, 0, 0, 0, 0, 0),
    u32(0),
  ]);
  const request = message(RTM_GETROUTE, 0, header, attributes);
  try {
    return parseRoute(withRouteNetlink((socket) => socket.get(`look up the route to ${address}`, request)));
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

function parseRoute({ payload }: NetlinkMessage): FoundRoute {
  const found = parseAttributes(payload.subarray(RTMSG_BYTES));
  const text = (type: number) => {
    const value = found.get(type);
    return value && addressText(value);
  };
  return {
    local: payload[7] === RTN_LOCAL,
    index: readNumber(found.get(RTA_OIF)) ?? 0,
    gateway: text(RTA_GATEWAY),
    source: text(RTA_PREFSRC),
  };
}
