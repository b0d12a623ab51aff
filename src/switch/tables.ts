/**
 * What the workers know about ports and networks, in shared memory: written by the control thread when something is
 * attached or changes, and by a worker when it learns a port's addresses. The networks' part is network-table.ts.
 *
 * A port is a number from 1 to MAX_PORTS - 1. Port 0 stands for the gateway of whichever network a frame is in, and
 * no real port has that number. Identity is the port: addresses are attributes of it.
 *
 * The lookups from address to port are a {@link SharedMap} each: `fdb` by MAC, `neighbours` by IPv4 address,
 * `neighbours6` by IPv6 address, all within a network. `hostFlows` remembers the flows the host began over its host
 * port (switch/host-policy).
 *
 * In a network of clones many ports have the same addresses: each has its own, and no lookup leads to any of them.
 */
import { MAX_NETWORKS } from '../config/limits.ts';
import { allocateNetworks, type NetworkMemory, NetworkTable } from './network-table.ts';
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
const IPV6_CAPACITY = 2 * MAX_IPV6_ADDRESSES * MAX_PORTS;
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
const LEASE = 11;
const IPV6_CONFIGURED = 12;
const IPV6 = 16;

export interface TableMemory extends NetworkMemory {
  readonly ports: SharedArrayBuffer;
  readonly fdb: SharedArrayBuffer;
  readonly neighbours: SharedArrayBuffer;
  readonly neighbours6: SharedArrayBuffer;
  readonly hostFlows: SharedArrayBuffer;
}

export function allocateTables(): TableMemory {
  return {
    ...allocateNetworks(),
    ports: new SharedArrayBuffer(MAX_PORTS * PORT_INTS * Int32Array.BYTES_PER_ELEMENT),
    fdb: allocateSharedMap(FDB_CAPACITY),
    neighbours: allocateSharedMap(FDB_CAPACITY),
    neighbours6: allocateSharedMap(IPV6_CAPACITY),
    hostFlows: allocateSharedMap(HOST_FLOW_CAPACITY),
  };
}

export class Tables extends NetworkTable {
  readonly fdb: SharedMap;
  readonly neighbours: SharedMap;
  readonly hostFlows: SharedMap;
  readonly #neighbours6: SharedMap;
  readonly #ports: Int32Array;
  readonly #owner: number;

  /** @param owner number of this thread among those that share the memory */
  constructor(memory: TableMemory, owner: number) {
    super(memory);
    this.fdb = new SharedMap(memory.fdb);
    this.neighbours = new SharedMap(memory.neighbours);
    this.#neighbours6 = new SharedMap(memory.neighbours6);
    this.hostFlows = new SharedMap(memory.hostFlows);
    this.#ports = new Int32Array(memory.ports);
    this.#owner = owner;
  }

  get owner(): number {
    return this.#owner;
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
    this.#neighbours6.removeValue(port, this.#owner);
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

  /** Address that the port is offered by DHCP, int32, 0 for none. */
  leaseAddress(port: number): number {
    return this.#ports[port * PORT_INTS + LEASE] as number;
  }

  setLease(port: number, address: number): void {
    this.#ports[port * PORT_INTS + LEASE] = address;
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
    let entry = NONE;
    if (!this.clones(network)) {
      // Aged or not: an entry that is no destination any more still tells whose the address is.
      const held = this.fdb.find(low, high, network, 0);
      if (held !== NONE && !this.#yields(this.fdb.value(held), MAC_STATE, port, state)) return false;
      const expiry = state === ADDRESS_CONFIGURED ? PINNED : now + FDB_AGE_SECONDS;
      entry = this.fdb.insert(low, high, network, port, expiry, this.#owner);
      if (entry === NONE) return false;
    }
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
    if (!this.clones(network)) {
      const held = this.neighbours.find(address, 0, network, now);
      if (held !== NONE && !this.#yields(this.neighbours.value(held), IP_STATE, port, state)) return false;
      if (this.neighbours.insert(address, 0, network, port, PINNED, this.#owner) === NONE) return false;
    }
    const base = port * PORT_INTS;
    this.#ports[base + IP] = address;
    this.#ports[base + IP_STATE] = state;
    return true;
  }

  /** True when these four words are one of the port's IPv6 addresses. */
  hasIpv6(port: number, word0: number, word1: number, word2: number, word3: number): boolean {
    return this.#findIpv6(port, word0, word1, word2, word3) !== NONE;
  }

  /** How many IPv6 addresses a port has, beside link-local ones. */
  ipv6Count(port: number): number {
    return this.#ports[port * PORT_INTS + IPV6_COUNT] as number;
  }

  /** Word `word` (0 to 3) of a port's IPv6 address number `index`, int32. */
  ipv6Word(port: number, index: number, word: number): number {
    return this.#ports[port * PORT_INTS + IPV6 + index * 4 + word] as number;
  }

  /** The port of a network that has an IPv6 address, NONE when no port has. */
  portOfIpv6(network: number, word0: number, word1: number, word2: number, word3: number): number {
    const entry = this.#neighbours6.find(word3, word2, prefixKey(word0, word1, network), 0);
    if (entry === NONE) return NONE;
    const port = this.#neighbours6.value(entry);
    return this.hasIpv6(port, word0, word1, word2, word3) ? port : NONE;
  }

  #findIpv6(port: number, word0: number, word1: number, word2: number, word3: number): number {
    const base = port * PORT_INTS;
    const count = this.#ports[base + IPV6_COUNT] as number;
    for (let at = base + IPV6; at < base + IPV6 + count * 4; at += 4) {
      if (
        this.#ports[at] === word0 &&
        this.#ports[at + 1] === word1 &&
        this.#ports[at + 2] === word2 &&
        this.#ports[at + 3] === word3
      ) {
        return at;
      }
    }
    return NONE;
  }

  /**
   * Adds an IPv6 address to a port. False when it has as many as it may, or another port of its network has it, unless
   * it is configured here and only learned there.
   */
  bindIpv6(
    port: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    state: number = ADDRESS_LEARNED,
  ): boolean {
    const base = port * PORT_INTS;
    const count = this.#ports[base + IPV6_COUNT] as number;
    if (count >= MAX_IPV6_ADDRESSES) return false;
    const network = this.network(port);
    if (!this.clones(network)) {
      const prefix = prefixKey(word0, word1, network);
      const held = this.#neighbours6.find(word3, word2, prefix, 0);
      const holder = held === NONE ? port : this.#neighbours6.value(held);
      if (holder !== port) {
        if (state !== ADDRESS_CONFIGURED || !this.#yieldIpv6(holder, word0, word1, word2, word3))
          return false;
      }
      if (this.#neighbours6.insert(word3, word2, prefix, port, PINNED, this.#owner) === NONE) return false;
    }
    let at = base + IPV6 + count * 4;
    if (state === ADDRESS_CONFIGURED) {
      // Configured ones stand first: the rest can be forgotten by their count.
      const first = base + IPV6 + (this.#ports[base + IPV6_CONFIGURED] as number) * 4;
      this.#ports.copyWithin(at, first, first + 4);
      this.#ports[base + IPV6_CONFIGURED] = (this.#ports[base + IPV6_CONFIGURED] as number) + 1;
      at = first;
    }
    this.#ports[at] = word0;
    this.#ports[at + 1] = word1;
    this.#ports[at + 2] = word2;
    this.#ports[at + 3] = word3;
    this.#ports[base + IPV6_COUNT] = count + 1;
    return true;
  }

  /** Takes an address from a port that only learned it. False when the port is configured with it or has another. */
  #yieldIpv6(holder: number, word0: number, word1: number, word2: number, word3: number): boolean {
    const base = holder * PORT_INTS;
    const at = this.#findIpv6(holder, word0, word1, word2, word3);
    if (at < base + IPV6 + (this.#ports[base + IPV6_CONFIGURED] as number) * 4) return false;
    const count = (this.#ports[base + IPV6_COUNT] as number) - 1;
    const last = base + IPV6 + count * 4;
    this.#ports.copyWithin(at, last, last + 4);
    this.#ports[base + IPV6_COUNT] = count;
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
    this.#forgetLearnedIpv6(port);
  }

  #forgetLearnedIpv6(port: number): void {
    const base = port * PORT_INTS;
    const network = this.network(port);
    const count = this.#ports[base + IPV6_COUNT] as number;
    const configured = this.#ports[base + IPV6_CONFIGURED] as number;
    this.#ports[base + IPV6_COUNT] = configured;
    for (let at = base + IPV6 + configured * 4; at < base + IPV6 + count * 4; at += 4) {
      const prefix = prefixKey(this.#ports[at] as number, this.#ports[at + 1] as number, network);
      const [word2, word3] = [this.#ports[at + 2] as number, this.#ports[at + 3] as number];
      this.#neighbours6.remove(word3, word2, prefix, this.#owner);
    }
  }

  /** Frees locks that the thread `owner`, which is gone, may have died holding. */
  unlockDead(owner: number): void {
    this.fdb.unlockDead(owner);
    this.neighbours.unlockDead(owner);
    this.#neighbours6.unlockDead(owner);
    this.hostFlows.unlockDead(owner);
  }
}

/**
 * Key of an IPv6 address's upper half within a network, whose number is its last bits (MAX_NETWORKS is a power of two). Two halves may share one, so
 * that of two addresses with the same lower half the second is refused although it is free: a squatter could have
 * taken the address itself.
 */
function prefixKey(word0: number, word1: number, network: number): number {
  const hash = Math.imul(Math.imul(word0, 0x9e3779b1) ^ word1, 0x85ebca6b);
  return (hash & -MAX_NETWORKS) | network;
}
