/** Interfaces, addresses and routes of one network namespace, through rtnetlink(7). */
import { ENODEV, SysError } from './errno.ts';
import {
  AF_INET6,
  addressFamily,
  addressListMessage,
  addressMessage,
  type InterfaceAddress,
  parseAddress,
  RTM_DELADDR,
  RTM_NEWADDR,
} from './interface-address.ts';
import { addressBytes, type Prefix, parsePrefix } from './ip-text.ts';
import { check, close, open } from './libc.ts';
import {
  IFF_NOARP,
  IFF_UP,
  IFINFOMSG_BYTES,
  IFLA,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  type Link,
  macBytes,
  parseLink,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from './link.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink.ts';
import {
  attribute,
  concat,
  message,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nested,
  text,
  u8,
  u16,
  u32,
} from './netlink-message.ts';

export type { InterfaceAddress } from './interface-address.ts';
export type { Link } from './link.ts';
export { type LinkEvent, LinkMonitor } from './link-monitor.ts';

const RTM_NEWROUTE = 24;

const IFNAMSIZ = 16;
const VETH_INFO_PEER = 1;
const IFLA_BR_STP_STATE = 5;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_VLAN_DEFAULT_PVID = 39;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;

const O_RDONLY_CLOEXEC = 0x80000;

export interface BridgeOptions {
  readonly vlanFiltering?: boolean;
  /** VLAN of untagged frames at new ports; 0 for none */
  readonly defaultPvid?: number;
  readonly stp?: boolean;
}

export interface LinkChanges {
  readonly up?: boolean;
  /** `bytes` */
  readonly mtu?: number;
  /** Index of the bridge or bond to join; 0 releases */
  readonly master?: number;
  /** Six pairs of hexadecimal digits with colons */
  readonly mac?: string;
  /** `packets` */
  readonly txQueueLength?: number;
  /** `none`: the host forms no IPv6 link-local address on it. Forgotten by the kernel when the link changes namespace */
  readonly addrGenMode?: 'none';
  readonly arp?: boolean;
  /** Namespace to move to; the other changes, `addrGenMode` excepted, are made there */
  readonly namespacePath?: string;
}

export interface Route {
  /** `address/prefix`, or `default` */
  readonly destination: string;
  readonly gateway?: string;
  /** Interface to leave by */
  readonly index?: number;
}

function ifinfomsg(index = 0, flags = 0, change = 0): Uint8Array {
  const header = new Uint8Array(IFINFOMSG_BYTES);
  const view = new DataView(header.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return header;
}

const linkInfo = (kind: string, data: readonly Uint8Array[]): Uint8Array =>
  nested(IFLA.linkInfo, [attribute(IFLA_INFO_KIND, text(kind)), nested(IFLA_INFO_DATA, data)]);

const WITHOUT_STATISTICS = attribute(IFLA.extMask, u32(RTEXT_FILTER_SKIP_STATS));

/** Runs `work` with the attribute, an open descriptor, that places a link in a namespace; without one for our own. */
function withNamespace<T>(path: string | undefined, work: (placement: readonly Uint8Array[]) => T): T {
  if (path === undefined) return work([]);
  const fd = check(`open ${path}`, open(path, O_RDONLY_CLOEXEC, 0));
  try {
    return work([attribute(IFLA.namespaceFd, u32(fd))]);
  } finally {
    close(fd);
  }
}

/** Runs `work` and takes one error for success: the kernel is already, or cannot but be, as asked. */
function allowing(code: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof SysError) || error.code !== code) throw error;
  }
}

/**
 * Reads and changes the interfaces of the network namespace that the thread was in when it was made; usable
 * from anywhere afterwards. Changing needs CAP_NET_ADMIN. Every method throws SysError where the kernel refuses.
 */
export class RouteSocket {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  close(): void {
    this.#socket.close();
  }

  links(): Link[] {
    const request = message(RTM_GETLINK, 0, ifinfomsg(), [WITHOUT_STATISTICS]);
    return this.#socket.list('list links', request, parseLink);
  }

  linkByName(name: string): Link | undefined {
    if (name === '' || Buffer.byteLength(name) >= IFNAMSIZ) return undefined;
    return this.#link(`look up link ${name}`, ifinfomsg(), [attribute(IFLA.name, text(name))]);
  }

  linkByIndex(index: number): Link | undefined {
    if (index <= 0) return undefined;
    return this.#link(`look up link ${index}`, ifinfomsg(index), []);
  }

  #link(operation: string, header: Uint8Array, attributes: readonly Uint8Array[]): Link | undefined {
    const request = message(RTM_GETLINK, 0, header, [...attributes, WITHOUT_STATISTICS]);
    const found = this.#socket.find(operation, request, ENODEV);
    return found && parseLink(found);
  }

  /** Makes a pair of Ethernet interfaces joined back to back, the second one in another namespace where given. */
  createVeth(name: string, peerName: string, peerNamespacePath?: string): void {
    withNamespace(peerNamespacePath, (placement) => {
      const peer = concat([ifinfomsg(), attribute(IFLA.name, text(peerName)), ...placement]);
      this.#create(`create veth ${name}`, name, linkInfo('veth', [attribute(VETH_INFO_PEER, peer)]));
    });
  }

  createBridge(name: string, { vlanFiltering, defaultPvid, stp }: BridgeOptions = {}): void {
    const data: Uint8Array[] = [];
    if (vlanFiltering !== undefined) data.push(attribute(IFLA_BR_VLAN_FILTERING, u8(Number(vlanFiltering))));
    if (defaultPvid !== undefined) data.push(attribute(IFLA_BR_VLAN_DEFAULT_PVID, u16(defaultPvid)));
    if (stp !== undefined) data.push(attribute(IFLA_BR_STP_STATE, u32(Number(stp))));
    this.#create(`create bridge ${name}`, name, linkInfo('bridge', data));
  }

  #create(operation: string, name: string, info: Uint8Array): void {
    const attributes = [attribute(IFLA.name, text(name)), info];
    const flags = NLM_F_CREATE | NLM_F_EXCL;
    this.#socket.request(operation, message(RTM_NEWLINK, flags, ifinfomsg(), attributes));
  }

  /** Removes a link, and a veth's other end with it. */
  deleteLink(index: number): void {
    this.#socket.request(`delete link ${index}`, message(RTM_DELLINK, 0, ifinfomsg(index)));
  }

  changeLink(index: number, changes: LinkChanges): void {
    // On its own and first: no address may form when the link comes up, and a link without IPv6 forms none anyway.
    if (changes.addrGenMode !== undefined)
      allowing('EAFNOSUPPORT', () => this.#disableAddressGeneration(index));
    withNamespace(changes.namespacePath, (placement) => {
      const attributes = [...placement];
      let flags = 0;
      let change = 0;
      const setFlag = (flag: number, on: boolean | undefined) => {
        if (on === undefined) return;
        change |= flag;
        if (on) flags |= flag;
      };
      setFlag(IFF_UP, changes.up);
      setFlag(IFF_NOARP, changes.arp === undefined ? undefined : !changes.arp);
      const { mac, mtu, master, txQueueLength } = changes;
      if (mac !== undefined) attributes.push(attribute(IFLA.address, macBytes(mac)));
      if (mtu !== undefined) attributes.push(attribute(IFLA.mtu, u32(mtu)));
      if (master !== undefined) attributes.push(attribute(IFLA.master, u32(master)));
      if (txQueueLength !== undefined) attributes.push(attribute(IFLA.txQueueLength, u32(txQueueLength)));
      if (change === 0 && attributes.length === 0) return;
      const request = message(RTM_NEWLINK, 0, ifinfomsg(index, flags, change), attributes);
      this.#socket.request(`change link ${index}`, request);
    });
  }

  #disableAddressGeneration(index: number): void {
    const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, u8(IN6_ADDR_GEN_MODE_NONE));
    const attributes = [nested(IFLA.afSpec, [nested(AF_INET6, [mode])])];
    const request = message(RTM_NEWLINK, 0, ifinfomsg(index), attributes);
    this.#socket.request(`stop address generation on link ${index}`, request);
  }

  addresses(): InterfaceAddress[] {
    return this.#socket.list('list addresses', addressListMessage(), parseAddress);
  }

  /** Adds `address/prefix` (usable at once: IPv6 without duplicate address detection). Already there is fine. */
  addAddress(index: number, addressAndPrefix: string): void {
    const attempt = () =>
      this.#changeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, addressAndPrefix);
    allowing('EEXIST', attempt);
  }

  /** Takes `address/prefix` away. Not there is fine. */
  removeAddress(index: number, addressAndPrefix: string): void {
    allowing('EADDRNOTAVAIL', () => this.#changeAddress(RTM_DELADDR, 0, index, addressAndPrefix));
  }

  #changeAddress(type: number, flags: number, index: number, addressAndPrefix: string): void {
    const operation = `${type === RTM_NEWADDR ? 'add' : 'remove'} address ${addressAndPrefix}`;
    this.#socket.request(operation, addressMessage(type, flags, index, addressAndPrefix));
  }

  /** Adds a route to the main table. Throws SysError EEXIST where the destination has one. */
  addRoute({ destination, gateway, index }: Route): void {
    const via = gateway === undefined ? undefined : addressBytes(gateway);
    const to: Prefix =
      destination === 'default'
        ? { address: new Uint8Array(via?.length ?? 4), prefix: 0 }
        : parsePrefix(destination);
    const scope = via === undefined && to.address.length === 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    const header = concat([
      Uint8Array.of(
        addressFamily(to.address),
        to.prefix,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        scope,
        RTN_UNICAST,
      ),
      u32(0),
    ]);
    const attributes: Uint8Array[] = [];
    if (to.prefix > 0) attributes.push(attribute(RTA_DST, to.address));
    if (via !== undefined) attributes.push(attribute(RTA_GATEWAY, via));
    if (index !== undefined) attributes.push(attribute(RTA_OIF, u32(index)));
    const request = message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, header, attributes);
    this.#socket.request(`add route to ${destination}`, request);
  }
}

/** Runs `work`, which must be synchronous, with a socket of the thread's namespace. */
export function withRouteSocket<T>(work: (routes: RouteSocket) => T): T {
  const routes = new RouteSocket();
  try {
    return work(routes);
  } finally {
    routes.close();
  }
}
