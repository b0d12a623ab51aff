/**
 * The names that the gateway answers itself.
 *
 * Theory of operation. In the domain tapswitch.internal, `gateway` is the gateway, `host` the host port's address (or
 * the gateway's, where there is none), and a VM's id the VM, with the addresses it has at the moment of the question.
 * The configuration adds names of its own in other domains. All of them have reverse names too. Nothing in the domain
 * or about the network's own subnets is anybody else's business: what is not known there does not exist, and no such
 * question leaves the host.
 *
 * Who asks is a port, and what it may know follows from that: on an isolated network the VM's own name and the fixed
 * ones, on a shared one those of all VMs. Other names are as if they did not exist.
 */
import { INTERNAL_DOMAIN } from '../../config/dns.ts';
import { firstOf, type IpPrefix, type IpWords, isIpv4, isSameIp } from '../../config/ip.ts';
import {
  encodeName,
  RCODE_NOERROR,
  RCODE_NXDOMAIN,
  RCODE_REFUSED,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_PTR,
} from '../../wire/dns.ts';
import { parseReverse, type ReverseName } from './reverse.ts';

/** What is known of one network. */
export interface NetworkNames {
  readonly isolated: boolean;
  readonly gateway: readonly IpWords[];
  /** Addresses of the host port; none where the network has none */
  readonly host: readonly IpWords[];
  /** The network's own, of both families */
  readonly subnets: readonly IpPrefix[];
  /** Addresses by name, names in lower case and outside tapswitch.internal */
  readonly records: ReadonlyMap<string, readonly IpWords[]>;
}

/** Whoever knows the addresses that VMs have now. */
export interface AddressBook {
  addressesOf(port: number): readonly IpWords[];
  /** The VM's port of a shared network that has an address, 0 for none. */
  portOf(network: number, address: IpWords): number;
}

/** An answer without records and with RCODE_NOERROR: the name exists, but has nothing of the type. */
export interface LocalAnswer {
  readonly rcode: number;
  readonly addresses: readonly IpWords[];
  /** Name of the address asked for, see `encodeName` */
  readonly pointer: Uint8Array | undefined;
}

interface Network {
  names: NetworkNames;
  /** Addresses of the names that are the same for every port, by name */
  fixed: Map<string, readonly IpWords[]>;
  /** Names of those addresses, by {@link keyOf} */
  pointers: Map<string, Uint8Array>;
}

interface Vm {
  readonly network: number;
  /** Its name in lower case, as a question has it */
  readonly name: string;
  readonly pointer: Uint8Array;
}

const UNKNOWN: LocalAnswer = { rcode: RCODE_NXDOMAIN, addresses: [], pointer: undefined };
const NOTHING: LocalAnswer = { rcode: RCODE_NOERROR, addresses: [], pointer: undefined };
const REFUSED: LocalAnswer = { ...UNKNOWN, rcode: RCODE_REFUSED };
const GATEWAY_NAME = `gateway.${INTERNAL_DOMAIN}`;
const HOST_NAME = `host.${INTERNAL_DOMAIN}`;

export class NameTable {
  readonly #book: AddressBook;
  readonly #networks = new Map<number, Network>();
  readonly #vms = new Map<number, Vm>();
  /** Ports by network and name */
  readonly #ports = new Map<string, number>();

  constructor(book: AddressBook) {
    this.#book = book;
  }

  setNetwork(network: number, names: NetworkNames): void {
    const host = names.host.length > 0 ? names.host : names.gateway;
    const fixed = new Map([...names.records, [HOST_NAME, host], [GATEWAY_NAME, names.gateway]]);
    const pointers = new Map<string, Uint8Array>();
    // An address of several names is called by the last of them, the gateway's before all.
    for (const [name, addresses] of fixed) {
      const pointer = encodeName(name);
      if (pointer === undefined) throw new Error(`${name} cannot be a name`);
      for (const address of addresses) pointers.set(keyOf(address), pointer);
    }
    this.#networks.set(network, { names, fixed, pointers });
  }

  /**
   * Gives a VM its name. One whose id cannot be a name (`a..b`) has none; of two whose ids differ in case only, the
   * first has the name, for as long as it is there.
   */
  addVm(port: number, network: number, id: string): void {
    this.removeVm(port);
    const pointer = encodeName(`${id}.${INTERNAL_DOMAIN}`);
    if (pointer === undefined) return;
    const vm = { network, name: `${id}.${INTERNAL_DOMAIN}`.toLowerCase(), pointer };
    this.#vms.set(port, vm);
    const key = `${network}/${vm.name}`;
    if (!this.#ports.has(key)) this.#ports.set(key, port);
  }

  removeVm(port: number): void {
    const vm = this.#vms.get(port);
    if (vm === undefined) return;
    this.#vms.delete(port);
    const key = `${vm.network}/${vm.name}`;
    if (this.#ports.get(key) === port) this.#ports.delete(key);
  }

  /**
   * Answers a question of the VM on `port`; `undefined` when others may know.
   *
   * @param name in lower case, as `questionName` gives it  @param type asked for, any value
   */
  answer(network: number, port: number, name: string, type: number): LocalAnswer | undefined {
    const entry = this.#networks.get(network);
    if (entry === undefined) return REFUSED;
    const fixed = entry.fixed.get(name);
    if (fixed !== undefined) return ofType(fixed, type);
    if (name === INTERNAL_DOMAIN) return NOTHING;
    if (name.endsWith(`.${INTERNAL_DOMAIN}`)) return this.#aboutVm(entry, network, port, name, type);
    const reverse = parseReverse(name);
    return reverse && this.#aboutAddress(entry, network, port, reverse, type);
  }

  #aboutVm(entry: Network, network: number, port: number, name: string, type: number): LocalAnswer {
    const own = this.#vms.get(port)?.name === name ? port : undefined;
    const other = entry.names.isolated ? undefined : this.#ports.get(`${network}/${name}`);
    const found = own ?? other;
    return found === undefined ? UNKNOWN : ofType(this.#book.addressesOf(found), type);
  }

  #aboutAddress(
    entry: Network,
    network: number,
    port: number,
    { block, whole }: ReverseName,
    type: number,
  ): LocalAnswer | undefined {
    const single = whole && block.length === 128;
    const pointer = single ? this.#pointerOf(entry, network, port, block.address) : undefined;
    if (pointer !== undefined) {
      return type === TYPE_PTR || type === TYPE_ANY ? { ...NOTHING, pointer } : NOTHING;
    }
    if (!entry.names.subnets.some((subnet) => isWithin(block, subnet))) return undefined;
    // A block has names below it, whichever those are; an address without name has none.
    return whole && !single ? NOTHING : UNKNOWN;
  }

  #pointerOf(entry: Network, network: number, port: number, address: IpWords): Uint8Array | undefined {
    const fixed = entry.pointers.get(keyOf(address));
    if (fixed !== undefined) return fixed;
    if (this.#book.addressesOf(port).some((own) => isSameIp(own, address)))
      return this.#vms.get(port)?.pointer;
    if (entry.names.isolated) return undefined;
    return this.#vms.get(this.#book.portOf(network, address))?.pointer;
  }
}

function ofType(addresses: readonly IpWords[], type: number): LocalAnswer {
  const wanted = addresses.filter((address) => {
    return type === TYPE_ANY || type === (isIpv4(address) ? TYPE_A : TYPE_AAAA);
  });
  return { ...NOTHING, addresses: wanted };
}

/** True when all of `block` belongs to `subnet`. */
function isWithin(block: IpPrefix, subnet: IpPrefix): boolean {
  if (block.length < subnet.length) return false;
  return isSameIp(firstOf(block.address, subnet.length), firstOf(subnet.address, subnet.length));
}

function keyOf(address: IpWords): string {
  return address.join();
}
