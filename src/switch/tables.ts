/**
 * What the workers know about ports and networks, in shared memory: written by the control thread when something is
 * attached or changes, and by a worker when it learns a port's addresses.
 *
 * A port is a number from 1 to MAX_PORTS - 1. Port 0 stands for the gateway of whichever network a frame is in, and
 * no real port has that number. Identity is the port: addresses are attributes of it.
 *
 * The lookups from address to port are a {@link SharedMap} each: `fdb` by MAC, `neighbours` by IPv4 address, both
 * within a network. `hostFlows` remembers the flows the host began over its host port (switch/host-policy).
 */
import { MAX_NETWORKS } from '../config/limits.ts';
import { allocateSharedMap, NONE, PINNED, SharedMap } from './shared-map.ts';

export const MAX_PORTS = 4096;
export const GATEWAY_PORT = 0;

export const KIND_NONE = 0;
export const KIND_VM = 1;
export const KIND_HOST = 2;

/** How a port came to an address. */
export const ADDRESS_UNKNOWN = 0;
export const ADDRESS_CONFIGURED = 1;
export const ADDRESS_LEARNED = 2;

/** IPv6 addresses a port may have in use at once, beside link-local ones. */
export const MAX_IPV6_ADDRESSES = 8;

/** Silence after which a learned MAC is no destination any more, `s`. */
export const FDB_AGE_SECONDS = 300;
const FDB_CAPACITY = 4 * MAX_PORTS;
const HOST_FLOW_CAPACITY = 65_536;

const PORT_INTS = 64;
const KIND = 0;
const NETWORK = 1;
const CARRIER = 2;
const MAC_STATE = 3;
const MAC_HIGH = 4;
const MAC_LOW = 5;
const IP_STATE = 6;
const IP = 7;
const FDB_ENTRY = 8;
const IPV6_COUNT = 9;
const MAC_SEEN = 10;
const IPV6 = 16;

const NETWORK_INTS = 16;
const ISOLATED = 0;
const GATEWAY_ADDRESS = 1;
const SUBNET = 2;
const MASK = 3;
const HOST_PORT = 4;
const HOST_ADDRESS = 5;

const PORT_NUMBERS = 65_536;
const ALLOW_INTS = PORT_NUMBERS / 32;
/** Bitmaps of the host's ports that guests of a network may reach: one per network and protocol. */
const ALLOW_TCP = 0;
const ALLOW_UDP = 1;

export interface TableMemory {
  readonly ports: SharedArrayBuffer;
  readonly networks: SharedArrayBuffer;
  readonly allowed: SharedArrayBuffer;
  readonly fdb: SharedArrayBuffer;
  readonly neighbours: SharedArrayBuffer;
  readonly hostFlows: SharedArrayBuffer;
}

export function allocateTables(): TableMemory {
  const ints = (count: number) => new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT);
  return {
    ports: ints(MAX_PORTS * PORT_INTS),
    networks: ints(MAX_NETWORKS * NETWORK_INTS),
    allowed: ints(MAX_NETWORKS * 2 * ALLOW_INTS),
    fdb: allocateSharedMap(FDB_CAPACITY),
    neighbours: allocateSharedMap(FDB_CAPACITY),
    hostFlows: allocateSharedMap(HOST_FLOW_CAPACITY),
  };
}

export interface NetworkRecord {
  readonly isolated: boolean;
  /** IPv4 addresses as int32 */
  readonly gateway: number;
  readonly subnet: number;
  readonly mask: number;
}

export class Tables {
  readonly fdb: SharedMap;
  readonly neighbours: SharedMap;
  readonly hostFlows: SharedMap;
  readonly #ports: Int32Array;
  readonly #networks: Int32Array;
  readonly #allowed: Int32Array;
  readonly #owner: number;

  /** @param owner number of this thread among those that share the memory */
  constructor(memory: TableMemory, owner: number) {
    this.fdb = new SharedMap(memory.fdb);
    this.neighbours = new SharedMap(memory.neighbours);
    this.hostFlows = new SharedMap(memory.hostFlows);
    this.#ports = new Int32Array(memory.ports);
    this.#networks = new Int32Array(memory.networks);
    this.#allowed = new Int32Array(memory.allowed);
    this.#owner = owner;
  }

  get owner(): number {
    return this.#owner;
  }

  // --- networks -------------------------------------------------------------------------------------------
  setNetwork(network: number, record: NetworkRecord): void {
    const base = network * NETWORK_INTS;
    this.#networks[base + ISOLATED] = record.isolated ? 1 : 0;
    this.#networks[base + GATEWAY_ADDRESS] = record.gateway;
    this.#networks[base + SUBNET] = record.subnet;
    this.#networks[base + MASK] = record.mask;
    this.#networks[base + HOST_PORT] = 0;
  }

  /** Makes `port` the host port of `network`, with the host's address there (int32). */
  setHostPort(network: number, port: number, address: number): void {
    const base = network * NETWORK_INTS;
    this.#networks[base + HOST_ADDRESS] = address;
    this.#networks[base + HOST_PORT] = port;
  }

  isolated(network: number): boolean {
    return this.#networks[network * NETWORK_INTS + ISOLATED] === 1;
  }

  gatewayAddress(network: number): number {
    return this.#networks[network * NETWORK_INTS + GATEWAY_ADDRESS] as number;
  }

  /** Number of the network's host port, 0 when it has none. */
  hostPort(network: number): number {
    return this.#networks[network * NETWORK_INTS + HOST_PORT] as number;
  }

  hostAddress(network: number): number {
    return this.#networks[network * NETWORK_INTS + HOST_ADDRESS] as number;
  }

  inSubnet(network: number, address: number): boolean {
    const base = network * NETWORK_INTS;
    return (
      ((address ^ (this.#networks[base + SUBNET] as number)) & (this.#networks[base + MASK] as number)) === 0
    );
  }

  /** True for the first and the last address of the network's subnet, which are nobody's. */
  isBroadcast(network: number, address: number): boolean {
    const base = network * NETWORK_INTS;
    const subnet = this.#networks[base + SUBNET] as number;
    return address === subnet || address === (subnet | ~(this.#networks[base + MASK] as number));
  }

  allowFromGuests(network: number, protocol: 'tcp' | 'udp', port: number): void {
    const at = this.#allowIndex(network, protocol === 'tcp' ? ALLOW_TCP : ALLOW_UDP, port);
    this.#allowed[at] = (this.#allowed[at] as number) | (1 << (port & 31));
  }

  /** True when guests of `network` may begin flows to the host's TCP (`udp` false) or UDP port. */
  allowedFromGuests(network: number, udp: boolean, port: number): boolean {
    const at = this.#allowIndex(network, udp ? ALLOW_UDP : ALLOW_TCP, port);
    return (((this.#allowed[at] as number) >>> (port & 31)) & 1) === 1;
  }

  #allowIndex(network: number, bitmap: number, port: number): number {
    return (network * 2 + bitmap) * ALLOW_INTS + (port >>> 5);
  }

  // --- ports ----------------------------------------------------------------------------------------------
  /** Makes a port known; its addresses are unknown and its carrier down until set. */
  addPort(port: number, kind: number, network: number): void {
    const base = port * PORT_INTS;
    this.#ports.fill(0, base, base + PORT_INTS);
    this.#ports[base + NETWORK] = network;
    this.#ports[base + FDB_ENTRY] = NONE;
    this.#ports[base + KIND] = kind;
  }

  /** Forgets a port and everything that leads to it. */
  removePort(port: number): void {
    this.fdb.removeValue(port, this.#owner);
    this.neighbours.removeValue(port, this.#owner);
    this.hostFlows.removeValue(port, this.#owner);
    this.#ports[port * PORT_INTS + KIND] = KIND_NONE;
  }

  kind(port: number): number {
    return this.#ports[port * PORT_INTS + KIND] as number;
  }

  network(port: number): number {
    return this.#ports[port * PORT_INTS + NETWORK] as number;
  }

  carrier(port: number): boolean {
    return this.#ports[port * PORT_INTS + CARRIER] === 1;
  }

  setCarrier(port: number, carrier: boolean): void {
    this.#ports[port * PORT_INTS + CARRIER] = carrier ? 1 : 0;
  }

  // --- a port's MAC ---------------------------------------------------------------------------------------
  macState(port: number): number {
    return this.#ports[port * PORT_INTS + MAC_STATE] as number;
  }

  macHigh(port: number): number {
    return this.#ports[port * PORT_INTS + MAC_HIGH] as number;
  }

  macLow(port: number): number {
    return this.#ports[port * PORT_INTS + MAC_LOW] as number;
  }

  /**
   * Gives a port its MAC and an FDB entry: pinned when configured, ageing when learned.
   * False when another port of the network has that MAC, unless it is configured here and only learned there.
   */
  bindMac(port: number, high: number, low: number, state: number, now: number): boolean {
    const network = this.network(port);
    // Aged or not: an entry that is no destination any more still tells whose the address is.
    const held = this.fdb.find(low, high, network, 0);
    if (held !== NONE && !this.#yields(this.fdb.value(held), MAC_STATE, port, state)) return false;
    const expiry = state === ADDRESS_CONFIGURED ? PINNED : now + FDB_AGE_SECONDS;
    const entry = this.fdb.insert(low, high, network, port, expiry, this.#owner);
    if (entry === NONE) return false;
    const base = port * PORT_INTS;
    this.#ports[base + MAC_HIGH] = high;
    this.#ports[base + MAC_LOW] = low;
    this.#ports[base + FDB_ENTRY] = entry;
    this.#ports[base + MAC_STATE] = state;
    return true;
  }

  /**
   * Notes that a port's learned MAC is in use, so that its FDB entry does not age; an entry that aged away in the
   * meantime is made anew. Once a second is enough.
   */
  refreshMac(port: number, now: number): void {
    const base = port * PORT_INTS;
    if (this.#ports[base + MAC_STATE] !== ADDRESS_LEARNED || this.#ports[base + MAC_SEEN] === now) return;
    this.#ports[base + MAC_SEEN] = now;
    const high = this.#ports[base + MAC_HIGH] as number;
    const low = this.#ports[base + MAC_LOW] as number;
    const network = this.#ports[base + NETWORK] as number;
    const entry = this.#ports[base + FDB_ENTRY] as number;
    if (entry !== NONE && this.fdb.find(low, high, network, now) === entry) {
      this.fdb.refresh(entry, now + FDB_AGE_SECONDS);
    } else {
      this.bindMac(port, high, low, ADDRESS_LEARNED, now);
    }
  }

  /**
   * True when `port` may have an address that `holder` has: it is the same port, or the address is configured here
   * and only learned there, which the holder then forgets.
   *
   * @param field MAC_STATE or IP_STATE
   */
  #yields(holder: number, field: number, port: number, state: number): boolean {
    if (holder === port) return true;
    const at = holder * PORT_INTS + field;
    if (state !== ADDRESS_CONFIGURED || this.#ports[at] === ADDRESS_CONFIGURED) return false;
    this.#ports[at] = ADDRESS_UNKNOWN;
    return true;
  }

  // --- a port's IP addresses ------------------------------------------------------------------------------
  ipState(port: number): number {
    return this.#ports[port * PORT_INTS + IP_STATE] as number;
  }

  ip(port: number): number {
    return this.#ports[port * PORT_INTS + IP] as number;
  }

  /** Gives a port its IPv4 address (int32). False like {@link bindMac}. */
  bindIp(port: number, address: number, state: number, now: number): boolean {
    const network = this.network(port);
    const held = this.neighbours.find(address, 0, network, now);
    if (held !== NONE && !this.#yields(this.neighbours.value(held), IP_STATE, port, state)) return false;
    if (this.neighbours.insert(address, 0, network, port, PINNED, this.#owner) === NONE) return false;
    const base = port * PORT_INTS;
    this.#ports[base + IP] = address;
    this.#ports[base + IP_STATE] = state;
    return true;
  }

  /** True when `words` (4 int32) is one of the port's IPv6 addresses. */
  hasIpv6(port: number, word0: number, word1: number, word2: number, word3: number): boolean {
    const base = port * PORT_INTS;
    const count = this.#ports[base + IPV6_COUNT] as number;
    for (let at = base + IPV6; at < base + IPV6 + count * 4; at += 4) {
      if (
        this.#ports[at] === word0 &&
        this.#ports[at + 1] === word1 &&
        this.#ports[at + 2] === word2 &&
        this.#ports[at + 3] === word3
      ) {
        return true;
      }
    }
    return false;
  }

  /** Adds an IPv6 address to a port. False when it has as many as it may, or another port of its network has it. */
  bindIpv6(port: number, word0: number, word1: number, word2: number, word3: number): boolean {
    const base = port * PORT_INTS;
    const count = this.#ports[base + IPV6_COUNT] as number;
    if (count >= MAX_IPV6_ADDRESSES) return false;
    const network = this.network(port);
    for (let other = 1; other < MAX_PORTS; other++) {
      if (other === port || this.kind(other) === KIND_NONE || this.network(other) !== network) continue;
      if (this.hasIpv6(other, word0, word1, word2, word3)) return false;
    }
    const at = base + IPV6 + count * 4;
    this.#ports[at] = word0;
    this.#ports[at + 1] = word1;
    this.#ports[at + 2] = word2;
    this.#ports[at + 3] = word3;
    this.#ports[base + IPV6_COUNT] = count + 1;
    return true;
  }

  /** Forgets the addresses a port was not configured with: whoever was there is gone. */
  forgetLearned(port: number): void {
    const base = port * PORT_INTS;
    const network = this.network(port);
    if (this.#ports[base + MAC_STATE] === ADDRESS_LEARNED) {
      this.fdb.remove(this.macLow(port), this.macHigh(port), network, this.#owner);
      this.#ports[base + MAC_STATE] = ADDRESS_UNKNOWN;
      this.#ports[base + FDB_ENTRY] = NONE;
    }
    if (this.#ports[base + IP_STATE] === ADDRESS_LEARNED) {
      this.neighbours.remove(this.ip(port), 0, network, this.#owner);
      this.#ports[base + IP_STATE] = ADDRESS_UNKNOWN;
    }
    this.#ports[base + IPV6_COUNT] = 0;
  }

  /** Frees locks that the thread `owner`, which is gone, may have died holding. */
  unlockDead(owner: number): void {
    this.fdb.unlockDead(owner);
    this.neighbours.unlockDead(owner);
    this.hostFlows.unlockDead(owner);
  }
}
