/**
 * TCP connections that the kernel carries between a guest and the world: the map of them, and the program at the
 * interfaces they pass.
 *
 * Theory of operation. A worker that wants a connection of bulk off its hands asks the control thread, which puts the program
 * at the VM's interface and at the one towards the other end (the loopback's, where that is on the host), and a filter on our
 * packet sockets, so that they get nothing of what the program sends on. The worker then writes the connection's two entries by itself
 * (gateway/tcp/offload.ts).
 *
 *     guest -> TAP: known? translate --> route, loopback or uplink -> other end
 *     other end -> loopback or uplink: known? translate --> TAP -> guest
 *
 * A program costs every segment of its interface a look into the map, so those are taken away again once there has been no
 * connection for a while. Map and programs live as long as our descriptors. Only our own network namespace has offloading: a socket
 * of the host's and a TAP of another namespace do not meet in the kernel.
 */
import {
  attachSocketFilter,
  attachTcxIngress,
  BpfMap,
  detachLink,
  loadProgram,
  PROGRAM,
  tcxLinkInterface,
} from '../sys/bpf.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { FLOW, FLOW_KEY, workerOf } from './flow-entry.ts';
import { relayProgram } from './flow-program.ts';
import { filterProgram, snifferProgram } from './program.ts';

/** Entries: two for each connection */
const CAPACITY = 4096;

export class FlowOffload {
  readonly #flows: BpfMap;
  readonly #relay: number;
  readonly #filter: number;
  /** Links by interface index */
  readonly #links = new Map<number, number>();
  #sniffer: number | undefined;
  /** No connection has been since the last {@link rest} */
  #isQuiet = false;

  /** @throws SysError EPERM without CAP_BPF, EINVAL on a kernel before 6.6 */
  constructor() {
    this.#flows = BpfMap.make(FLOW_KEY.bytes, FLOW.bytes, CAPACITY);
    const opened = [this.#flows.fd];
    try {
      this.#relay = loadProgram(PROGRAM.interfaceIngress, relayProgram(this.#flows.fd));
      opened.push(this.#relay);
      this.#filter = loadProgram(PROGRAM.socketFilter, filterProgram({ flows: this.#flows.fd }));
    } catch (error) {
      for (const fd of opened) close(fd);
      throw error;
    }
  }

  /** Descriptor of the map of connections, {@link FLOW_KEY} to {@link FLOW}. */
  get fd(): number {
    return this.#flows.fd;
  }

  /** Puts the program at an interface, where it is not yet: 8 ms. Throws SysError. */
  attach(index: number): void {
    this.#isQuiet = false;
    const link = this.#links.get(index);
    if (link !== undefined && tcxLinkInterface(link) === index) return;
    this.detach(index);
    this.#links.set(index, attachTcxIngress(this.#relay, index, true));
  }

  /** Takes it away from there. */
  detach(index: number): void {
    const link = this.#links.get(index);
    if (link === undefined) return;
    this.#links.delete(index);
    try {
      detachLink(link);
    } catch (error) {
      // It has gone with its interface.
      if (!(error instanceof SysError)) throw error;
    }
    close(link);
  }

  /** Lets packet sockets of a VM that has no other filter pass over what is offloaded. Throws SysError. */
  filter(sockets: readonly number[]): void {
    for (const socket of sockets) attachSocketFilter(socket, this.#filter);
  }

  /** Lets a packet socket of a VM's interface look on at what is offloaded: see FastPath. Throws SysError. */
  sniff(fd: number, bytes: number): void {
    this.#sniffer ??= loadProgram(PROGRAM.socketFilter, snifferProgram({ flows: this.#flows.fd }, bytes));
    attachSocketFilter(fd, this.#sniffer);
  }

  /** The program is at that interface. */
  isAt(index: number): boolean {
    return this.#links.has(index);
  }

  /** Forgets the connections of a worker that has died: both ends are told when they next say something. */
  forget(worker: number): void {
    const keys: Uint8Array[] = [];
    for (let key = this.#flows.next(); key !== undefined; key = this.#flows.next(key)) {
      const entry = this.#flows.get(key);
      if (entry !== undefined && workerOf(entry) === worker) keys.push(key);
    }
    for (const key of keys) this.#flows.delete(key);
  }

  /** Takes the programs away where there has been no connection since the last time. */
  rest(): void {
    if (this.#links.size === 0) return;
    const isQuiet = this.#flows.next() === undefined;
    if (isQuiet && this.#isQuiet) for (const index of [...this.#links.keys()]) this.detach(index);
    this.#isQuiet = isQuiet;
  }

  close(): void {
    for (const index of [...this.#links.keys()]) this.detach(index);
    for (const fd of [this.#flows.fd, this.#relay, this.#filter]) close(fd);
    if (this.#sniffer !== undefined) close(this.#sniffer);
  }
}
