/**
 * The flows of a worker without connection, by the VM's port, the guest's end and the remote one, with the bound a VM
 * has. Those of a VM are in the order of their last use, so that the one idle for longest is at hand.
 *
 * Identity is the port: two VMs with the same address have flows of their own.
 */
import { MAX_PORTS } from '../../switch/tables.ts';
import { DatagramFlow, type FlowEvents } from './flow.ts';

const FIRST_BUCKETS = 256;

/** The numbers that name a flow; one of them is filled and looked for, again and again. */
export class FlowKey {
  port = 0;
  guest0 = 0;
  guest1 = 0;
  guest2 = 0;
  guest3 = 0;
  guestPort = 0;
  remote0 = 0;
  remote1 = 0;
  remote2 = 0;
  remote3 = 0;
  remotePort = 0;
}

function hashOf(key: FlowKey | DatagramFlow): number {
  let hash = Math.imul(key.guestPort | (key.remotePort << 16), 0x9e3779b1) ^ Math.imul(key.port, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ key.remote3, 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 13) ^ key.remote2 ^ key.guest3, 0xc2b2ae35);
  return hash ^ (hash >>> 16) ^ key.remote1 ^ key.remote0;
}

function matches(flow: DatagramFlow, key: FlowKey): boolean {
  return (
    flow.guestPort === key.guestPort &&
    flow.remotePort === key.remotePort &&
    flow.port === key.port &&
    flow.remote3 === key.remote3 &&
    flow.guest3 === key.guest3 &&
    flow.remote2 === key.remote2 &&
    flow.guest2 === key.guest2 &&
    flow.remote1 === key.remote1 &&
    flow.guest1 === key.guest1 &&
    flow.remote0 === key.remote0 &&
    flow.guest0 === key.guest0
  );
}

export class FlowTable {
  readonly #events: FlowEvents;
  readonly #flowsOf = new Int32Array(MAX_PORTS);
  readonly #oldestOf: (DatagramFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  readonly #newestOf: (DatagramFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  #buckets: (DatagramFlow | undefined)[] = new Array(FIRST_BUCKETS).fill(undefined);
  #size = 0;

  constructor(events: FlowEvents) {
    this.#events = events;
  }

  get size(): number {
    return this.#size;
  }

  /** Flows of a VM. */
  flowsOf(port: number): number {
    return this.#flowsOf[port] as number;
  }

  /** The flow of a VM that was used before all its others. */
  oldestOf(port: number): DatagramFlow | undefined {
    return this.#oldestOf[port];
  }

  find(key: FlowKey): DatagramFlow | undefined {
    let flow = this.#buckets[hashOf(key) & (this.#buckets.length - 1)];
    while (flow !== undefined && !matches(flow, key)) flow = flow.nextInBucket;
    return flow;
  }

  /** A new flow of that name, which nobody has. */
  add(key: FlowKey): DatagramFlow {
    const flow = new DatagramFlow(key, this.#events);
    if (this.#size >= this.#buckets.length) this.#grow();
    this.#link(flow);
    this.#size++;
    this.#flowsOf[flow.port]!++;
    this.#append(flow);
    return flow;
  }

  /** Notes that a flow was used at `nowMs`. */
  touch(flow: DatagramFlow, nowMs: number): void {
    flow.usedMs = nowMs;
    if (flow.newer === undefined) return;
    this.#takeOut(flow);
    this.#append(flow);
  }

  #append(flow: DatagramFlow): void {
    const newest = this.#newestOf[flow.port];
    flow.older = newest;
    flow.newer = undefined;
    if (newest === undefined) this.#oldestOf[flow.port] = flow;
    else newest.newer = flow;
    this.#newestOf[flow.port] = flow;
  }

  #takeOut(flow: DatagramFlow): void {
    if (flow.older === undefined) this.#oldestOf[flow.port] = flow.newer;
    else flow.older.newer = flow.newer;
    if (flow.newer === undefined) this.#newestOf[flow.port] = flow.older;
    else flow.newer.older = flow.older;
    flow.older = undefined;
    flow.newer = undefined;
  }

  #link(flow: DatagramFlow): void {
    const bucket = hashOf(flow) & (this.#buckets.length - 1);
    flow.nextInBucket = this.#buckets[bucket];
    this.#buckets[bucket] = flow;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array(old.length * 2).fill(undefined);
    for (let flow of old) {
      while (flow !== undefined) {
        const next: DatagramFlow | undefined = flow.nextInBucket;
        this.#link(flow);
        flow = next;
      }
    }
  }

  /** Forgets a flow. */
  remove(flow: DatagramFlow): void {
    const bucket = hashOf(flow) & (this.#buckets.length - 1);
    let at = this.#buckets[bucket] as DatagramFlow;
    if (at === flow) this.#buckets[bucket] = flow.nextInBucket;
    else {
      while (at.nextInBucket !== flow) at = at.nextInBucket as DatagramFlow;
      at.nextInBucket = flow.nextInBucket;
    }
    flow.nextInBucket = undefined;
    this.#takeOut(flow);
    this.#size--;
    this.#flowsOf[flow.port]!--;
  }
}
