/**
 * The fast path: unicast IPv4 between two VMs of a shared network, handed over by the kernel.
 *
 * Theory of operation. What the switch has decided once (these two ports, these addresses) it writes into two BPF
 * maps; a program on each port's interface then sends such frames straight out of the other port's interface, whole
 * and without a copy, and a filter on our packet socket with the same decision spares us the frame. Everything else,
 * ARP, multicast, IPv6, strangers, spoofed sources, the gateway, the host port, takes the way through the datapath,
 * which stays able to carry it all: without the capability for BPF nothing but speed is lost.
 *
 *     frame -> packet socket: filter says 0 ---x
 *           -> TCX program: redirect to the other interface
 *
 * A frame that meets a map in change may be decided differently by the two programs, and then be lost or seen twice,
 * once. Programs and maps live as long as our descriptors: they end with the process, and the guard behind them
 * holds.
 *
 * One instance serves one network namespace: interface indexes mean something only there.
 */
import {
  attachSocketFilter,
  attachTcxIngress,
  BpfMap,
  detachLink,
  loadProgram,
  PROGRAM,
} from '../sys/bpf.ts';
import { close } from '../sys/libc.ts';
import { inNamespace } from '../sys/netns.ts';
import {
  DESTINATION,
  type FilterMaps,
  filterProgram,
  PORT,
  redirectProgram,
  snifferProgram,
} from './program.ts';

/** What the fast path must know of a port: its addresses and its network, as the switch has them. */
export interface FastPort {
  readonly network: number;
  /** Upper 16 and lower 32 bits of the MAC */
  readonly macHigh: number;
  readonly macLow: number;
  /** IPv4 address, int32 */
  readonly address: number;
}

/** What has taken the fast path of a port; frames and bytes as everywhere in the counters. */
export interface FastCounts {
  readonly rxFrames: number;
  readonly rxBytes: number;
  readonly txFrames: number;
  readonly txBytes: number;
}

const NO_COUNTS: FastCounts = { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0 };

/** Of a frame on the fast path, what a socket that looks on gets: the headers, and something of what is behind */
export const SNIFFED_BYTES = 512;

// The first interface of every namespace is its loopback.
const LOOPBACK_INDEX = 1;

interface Attached {
  readonly link: number;
  port: FastPort | undefined;
  /** What {@link FastPath.take} has reported of the entry in the map */
  reported: FastCounts;
  /** What it has not, of entries removed since */
  unreported: FastCounts;
}

function combine(a: FastCounts, b: FastCounts, sign: 1 | -1): FastCounts {
  return {
    rxFrames: a.rxFrames + sign * b.rxFrames,
    rxBytes: a.rxBytes + sign * b.rxBytes,
    txFrames: a.txFrames + sign * b.txFrames,
    txBytes: a.txBytes + sign * b.txBytes,
  };
}

function indexKey(index: number): Uint8Array {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(index);
  return key;
}

function writeMac(buffer: Buffer, offset: number, { macHigh, macLow }: FastPort): void {
  buffer.writeUInt16BE(macHigh, offset);
  buffer.writeInt32BE(macLow, offset + 2);
}

function destinationKey(port: FastPort): Uint8Array {
  const key = Buffer.alloc(DESTINATION.bytes);
  key.writeUInt32LE(port.network, DESTINATION.network);
  writeMac(key, DESTINATION.macHigh, port);
  return key;
}

function same(a: FastPort | undefined, b: FastPort | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.network === b.network && a.macHigh === b.macHigh && a.macLow === b.macLow && a.address === b.address
  );
}

export class FastPath {
  readonly #namespace: string | undefined;
  readonly #ports: BpfMap;
  readonly #destinations: BpfMap;
  readonly #redirect: number;
  readonly #filter: number;
  readonly #maps: FilterMaps;
  readonly #attached = new Map<number, Attached>();
  /** Program of sockets that look on, once there was one */
  #sniffer: number | undefined;

  /**
   * @param namespace path of the network namespace it is for; our own where undefined
   * @param capacity ports it can have
   * @param flows descriptor of the map of connections that are offloaded there, if any are
   * @throws SysError EPERM without CAP_BPF, EINVAL on a kernel before 6.6
   */
  constructor(namespace: string | undefined, capacity: number, flows: number | undefined) {
    this.#namespace = namespace;
    const opened: number[] = [];
    const owned = (fd: number): number => {
      opened.push(fd);
      return fd;
    };
    try {
      this.#ports = BpfMap.make(4, PORT.bytes, capacity);
      owned(this.#ports.fd);
      this.#destinations = BpfMap.make(DESTINATION.bytes, 4, capacity);
      owned(this.#destinations.fd);
      this.#maps = { ports: this.#ports.fd, destinations: this.#destinations.fd, flows };
      const redirect = redirectProgram(this.#ports.fd, this.#destinations.fd);
      this.#redirect = owned(loadProgram(PROGRAM.interfaceIngress, redirect));
      this.#filter = owned(loadProgram(PROGRAM.socketFilter, filterProgram(this.#maps)));
      // A kernel before 6.6 takes the program and refuses the link: better known now than at each port.
      close(inNamespace(namespace, () => attachTcxIngress(this.#redirect, LOOPBACK_INDEX, true)));
    } catch (error) {
      for (const fd of opened) close(fd);
      throw error;
    }
  }

  /** Puts the programs in place at a port; no frame takes the fast path until {@link update}. Takes about 10 ms. */
  attach(index: number, sockets: readonly number[]): void {
    for (const socket of sockets) attachSocketFilter(socket, this.#filter);
    const link = inNamespace(this.#namespace, () => attachTcxIngress(this.#redirect, index, true));
    this.#attached.set(index, { link, port: undefined, reported: NO_COUNTS, unreported: NO_COUNTS });
  }

  /**
   * Lets a packet socket of a port's interface look on: it sees {@link SNIFFED_BYTES} of each frame that comes in there and
   * takes the fast path, and of each that goes out. Throws SysError.
   */
  sniff(fd: number): void {
    this.#sniffer ??= loadProgram(PROGRAM.socketFilter, snifferProgram(this.#maps, SNIFFED_BYTES));
    attachSocketFilter(fd, this.#sniffer);
  }

  /** Says what a port is now; undefined takes it off the fast path. Nothing is done where nothing has changed. */
  update(index: number, port: FastPort | undefined): void {
    const attached = this.#attached.get(index);
    if (attached === undefined || same(attached.port, port)) return;
    if (attached.port !== undefined) {
      attached.unreported = this.take(index);
      attached.reported = NO_COUNTS;
      const key = destinationKey(attached.port);
      // Another port may have been given the MAC meanwhile.
      if (this.#destinations.get(key)?.join() === indexKey(index).join()) this.#destinations.delete(key);
      this.#ports.delete(indexKey(index));
    }
    attached.port = port;
    if (port === undefined) return;
    const entry = Buffer.alloc(PORT.bytes);
    writeMac(entry, PORT.macHigh, port);
    entry.writeUInt32LE(port.network, PORT.network);
    entry.writeInt32BE(port.address, PORT.address);
    this.#ports.set(indexKey(index), entry);
    this.#destinations.set(destinationKey(port), indexKey(index));
  }

  /** What has taken the fast path of a port since this was last asked. */
  take(index: number): FastCounts {
    const attached = this.#attached.get(index);
    if (attached === undefined) return NO_COUNTS;
    const counted = attached.port === undefined ? NO_COUNTS : this.#read(index);
    const fresh = combine(combine(counted, attached.reported, -1), attached.unreported, 1);
    attached.reported = counted;
    attached.unreported = NO_COUNTS;
    return fresh;
  }

  #read(index: number): FastCounts {
    const entry = this.#ports.get(indexKey(index));
    if (entry === undefined) return NO_COUNTS;
    const view = new DataView(entry.buffer, entry.byteOffset);
    const at = (offset: number) => Number(view.getBigUint64(offset, true));
    return {
      rxFrames: at(PORT.rxFrames),
      rxBytes: at(PORT.rxBytes),
      txFrames: at(PORT.txFrames),
      txBytes: at(PORT.txBytes),
    };
  }

  /** Takes a port's program away; the socket's filter goes with the socket. */
  detach(index: number): void {
    this.update(index, undefined);
    const attached = this.#attached.get(index);
    if (attached === undefined) return;
    this.#attached.delete(index);
    detachLink(attached.link);
    close(attached.link);
  }

  close(): void {
    for (const index of [...this.#attached.keys()]) this.detach(index);
    for (const fd of [this.#redirect, this.#filter, this.#ports.fd, this.#destinations.fd]) close(fd);
    if (this.#sniffer !== undefined) close(this.#sniffer);
  }
}
