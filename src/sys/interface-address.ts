/** Addresses of interfaces as rtnetlink carries them (`struct ifaddrmsg` and IFA_… of linux/if_addr.h). */
import { addressText, parsePrefix } from './ip-text.ts';
import {
  attribute,
  concat,
  message,
  type NetlinkMessage,
  parseAttributes,
  readNumber,
  u32,
} from './netlink-message.ts';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const AF_INET = 2;
export const AF_INET6 = 10;

const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_NODAD = 2;
const RT_SCOPE_UNIVERSE = 0;

export interface InterfaceAddress {
  /** Interface the address is on */
  readonly index: number;
  readonly family: 4 | 6;
  readonly address: string;
  /** Length, `bits` */
  readonly prefix: number;
}

/** AF_INET or AF_INET6, by the address's length. */
export function addressFamily(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6;
}

/** RTM_NEWADDR or RTM_DELADDR of `address/prefix`; IPv6 without duplicate address detection. */
export function addressMessage(
  type: number,
  flags: number,
  index: number,
  addressAndPrefix: string,
): Uint8Array {
  const { address, prefix } = parsePrefix(addressAndPrefix);
  const family = addressFamily(address);
  const addressFlags = family === AF_INET6 ? IFA_F_NODAD : 0;
  const header = concat([Uint8Array.of(family, prefix, addressFlags, RT_SCOPE_UNIVERSE), u32(index)]);
  return message(type, flags, header, [attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)]);
}

/** Request for every address. */
export function addressListMessage(): Uint8Array {
  return message(RTM_GETADDR, 0, new Uint8Array(IFADDRMSG_BYTES));
}

/** Reads an RTM_NEWADDR message; `undefined` where it is cut short or of another family. */
export function parseAddress({ payload }: NetlinkMessage): InterfaceAddress | undefined {
  if (payload.length < IFADDRMSG_BYTES) return undefined;
  const attributes = parseAttributes(payload.subarray(IFADDRMSG_BYTES));
  // Of a point-to-point interface IFA_ADDRESS is the other end's: its own is IFA_LOCAL, which IPv6 leaves out.
  const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (address === undefined || (payload[0] !== AF_INET && payload[0] !== AF_INET6)) return undefined;
  return {
    index: readNumber(payload.subarray(4, 8)) as number,
    family: payload[0] === AF_INET ? 4 : 6,
    address: addressText(address),
    prefix: payload[1] as number,
  };
}
