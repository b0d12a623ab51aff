/**
 * What the workers know about networks, in shared memory: written by the control thread before anything is attached.
 * A network is a number from 0 to MAX_NETWORKS - 1.
 */
import { MAX_NETWORKS } from '../config/limits.ts';

const NETWORK_INTS = 16;
const ISOLATED = 0;
const GATEWAY_ADDRESS = 1;
const SUBNET = 2;
const MASK = 3;
const HOST_PORT = 4;
const HOST_ADDRESS = 5;
const CLONES = 6;
const MTU = 7;
const GATEWAY6 = 8; // to 11
const PREFIX6 = 12;

/** Prefix length of an IPv6 network whose guests make their own addresses (RFC 4291 section 2.5.1). */
const DEFAULT_PREFIX6 = 64;
const DEFAULT_MTU = 1500;
const NO_GATEWAY6 = [0, 0, 0, 0] as const;

const PORT_NUMBERS = 65_536;
const ALLOW_INTS = PORT_NUMBERS / 32;
/** Bitmaps of the host's ports that guests of a network may reach: one per network and protocol. */
const ALLOW_TCP = 0;
const ALLOW_UDP = 1;

export interface NetworkMemory {
  readonly networks: SharedArrayBuffer;
  readonly allowed: SharedArrayBuffer;
}

export function allocateNetworks(): NetworkMemory {
  const ints = (count: number) => new SharedArrayBuffer(count * Int32Array.BYTES_PER_ELEMENT);
  return { networks: ints(MAX_NETWORKS * NETWORK_INTS), allowed: ints(MAX_NETWORKS * 2 * ALLOW_INTS) };
}

export interface NetworkRecord {
  readonly isolated: boolean;
  /** IPv4 addresses as int32 */
  readonly gateway: number;
  readonly subnet: number;
  readonly mask: number;
  /** The gateway's IPv6 address as four int32; without it the gateway knows no IPv6 here */
  readonly gateway6?: readonly [number, number, number, number];
  /** Length of the IPv6 prefix that `gateway6` is in, 64 unless given */
  readonly prefix6?: number;
  /** Bytes of the longest packet that guests are told to send, 1500 unless given */
  readonly mtu?: number;
  /** Any number of ports may have the same addresses, and none knows of another; only where `isolated` */
  readonly clones?: boolean;
}

export class NetworkTable {
  readonly #networks: Int32Array;
  readonly #allowed: Int32Array;

  constructor(memory: NetworkMemory) {
    this.#networks = new Int32Array(memory.networks);
    this.#allowed = new Int32Array(memory.allowed);
  }

  setNetwork(network: number, record: NetworkRecord): void {
    const base = network * NETWORK_INTS;
    this.#networks[base + ISOLATED] = record.isolated ? 1 : 0;
    this.#networks[base + GATEWAY_ADDRESS] = record.gateway;
    this.#networks[base + SUBNET] = record.subnet;
    this.#networks[base + MASK] = record.mask;
    this.#networks[base + HOST_PORT] = 0;
    this.#networks[base + CLONES] = record.clones ? 1 : 0;
    this.#networks[base + MTU] = record.mtu ?? DEFAULT_MTU;
    this.#networks.set(record.gateway6 ?? NO_GATEWAY6, base + GATEWAY6);
    this.#networks[base + PREFIX6] = record.prefix6 ?? DEFAULT_PREFIX6;
  }

  /** Makes `port` the host port of `network`, with the host's address there (int32). */
  setHostPort(network: number, port: number, address: number): void {
    const base = network * NETWORK_INTS;
    this.#networks[base + HOST_ADDRESS] = address;
    this.#networks[base + HOST_PORT] = port;
  }

  /** Takes the host port away, and what guests may begin with it. */
  removeHostPort(network: number): void {
    this.setHostPort(network, 0, 0);
    this.#allowed.fill(0, network * 2 * ALLOW_INTS, (network + 1) * 2 * ALLOW_INTS);
  }

  isolated(network: number): boolean {
    return this.#networks[network * NETWORK_INTS + ISOLATED] === 1;
  }

  /** True when ports of the network may share addresses. */
  clones(network: number): boolean {
    return this.#networks[network * NETWORK_INTS + CLONES] === 1;
  }

  /** Bytes of the longest packet that guests are told to send. */
  mtu(network: number): number {
    return this.#networks[network * NETWORK_INTS + MTU] as number;
  }

  gatewayAddress(network: number): number {
    return this.#networks[network * NETWORK_INTS + GATEWAY_ADDRESS] as number;
  }

  /** True when the gateway has an IPv6 address in the network. */
  hasGateway6(network: number): boolean {
    return !this.isGateway6(network, 0, 0, 0, 0);
  }

  /** Word `i` (0 to 3) of the gateway's IPv6 address, int32. */
  gateway6(network: number, i: number): number {
    return this.#networks[network * NETWORK_INTS + GATEWAY6 + i] as number;
  }

  /** True when these four words are the gateway's IPv6 address; `::` is, where it has none. */
  isGateway6(network: number, word0: number, word1: number, word2: number, word3: number): boolean {
    const at = network * NETWORK_INTS + GATEWAY6;
    return (
      this.#networks[at] === word0 &&
      this.#networks[at + 1] === word1 &&
      this.#networks[at + 2] === word2 &&
      this.#networks[at + 3] === word3
    );
  }

  /** Length of the network's IPv6 prefix. */
  prefix6(network: number): number {
    return this.#networks[network * NETWORK_INTS + PREFIX6] as number;
  }

  /** Network mask of the IPv4 subnet, int32. */
  mask(network: number): number {
    return this.#networks[network * NETWORK_INTS + MASK] as number;
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
}
