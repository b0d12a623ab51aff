/**
 * The flows of a worker, by the VM's port and the four numbers of a connection, with the bounds a VM has.
 *
 * Identity is the port: two VMs with the same address have flows of their own.
 */
import { MAX_PORTS } from '../../switch/tables.ts';
import { TcpFlow } from './flow.ts';
import type { FlowEvents } from './flow-events.ts';

/** Flows a VM may have, those at rest in TIME-WAIT not counted */
export const VM_FLOWS = 8192;
/** Flows of a VM that may be at rest; one more ends at once instead (RFC 9293 section 3.6.1 lets it, with timestamps) */
export const VM_RESTING_FLOWS = 8192;
/** Flows of a VM that are not open yet */
export const VM_HALF_OPEN_FLOWS = 1024;
const FIRST_BUCKETS = 1024;

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

function hashOf(key: FlowKey | TcpFlow): number {
  let hash = Math.imul(key.guestPort | (key.remotePort << 16), 0x9e3779b1) ^ Math.imul(key.port, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ key.remote3, 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 13) ^ key.remote2 ^ key.guest3, 0xc2b2ae35);
  return hash ^ (hash >>> 16) ^ key.remote1 ^ key.remote0;
}

function matches(flow: TcpFlow, key: FlowKey): boolean {
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
  readonly #halfOpenOf = new Int32Array(MAX_PORTS);
  readonly #restingOf = new Int32Array(MAX_PORTS);
  readonly #firstOf: (TcpFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  #buckets: (TcpFlow | undefined)[] = new Array(FIRST_BUCKETS).fill(undefined);
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

  /** The first of a VM's flows; the others follow by `nextOfPort`. */
  firstOf(port: number): TcpFlow | undefined {
    return this.#firstOf[port];
  }

  find(key: FlowKey): TcpFlow | undefined {
    let flow = this.#buckets[hashOf(key) & (this.#buckets.length - 1)];
    while (flow !== undefined && !matches(flow, key)) flow = flow.nextInBucket;
    return flow;
  }

  /** Whether one more half-open flow of `port` is within its bounds. */
  hasRoom(port: number): boolean {
    return (
      (this.#flowsOf[port] as number) < VM_FLOWS && (this.#halfOpenOf[port] as number) < VM_HALF_OPEN_FLOWS
    );
  }

  /** A new half-open flow of that name, which nobody has. */
  add(key: FlowKey): TcpFlow {
    const flow = new TcpFlow(this.#events);
    flow.port = key.port;
    flow.guest0 = key.guest0;
    flow.guest1 = key.guest1;
    flow.guest2 = key.guest2;
    flow.guest3 = key.guest3;
    flow.guestPort = key.guestPort;
    flow.remote0 = key.remote0;
    flow.remote1 = key.remote1;
    flow.remote2 = key.remote2;
    flow.remote3 = key.remote3;
    flow.remotePort = key.remotePort;
    if (this.#size >= this.#buckets.length) this.#grow();
    this.#link(flow);
    this.#size++;
    this.#flowsOf[key.port]!++;
    flow.isHalfOpen = true;
    this.#halfOpenOf[key.port]!++;
    const first = this.#firstOf[key.port];
    flow.nextOfPort = first;
    if (first !== undefined) first.previousOfPort = flow;
    this.#firstOf[key.port] = flow;
    return flow;
  }

  /** Changes the guest's IPv4 address of a flow that is not open yet. */
  rename(flow: TcpFlow, address: number): void {
    this.#unlink(flow);
    flow.guest3 = address;
    this.#link(flow);
  }

  #unlink(flow: TcpFlow): void {
    const bucket = hashOf(flow) & (this.#buckets.length - 1);
    let at = this.#buckets[bucket] as TcpFlow;
    if (at === flow) this.#buckets[bucket] = flow.nextInBucket;
    else {
      while (at.nextInBucket !== flow) at = at.nextInBucket as TcpFlow;
      at.nextInBucket = flow.nextInBucket;
    }
    flow.nextInBucket = undefined;
  }

  #link(flow: TcpFlow): void {
    const bucket = hashOf(flow) & (this.#buckets.length - 1);
    flow.nextInBucket = this.#buckets[bucket];
    this.#buckets[bucket] = flow;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array(old.length * 2).fill(undefined);
    for (let flow of old) {
      while (flow !== undefined) {
        const next: TcpFlow | undefined = flow.nextInBucket;
        this.#link(flow);
        flow = next;
      }
    }
  }

  /** The flow is open: it does not count as half-open any more. */
  opened(flow: TcpFlow): void {
    if (!flow.isHalfOpen) return;
    flow.isHalfOpen = false;
    this.#halfOpenOf[flow.port]!--;
  }

  /** Takes an ended flow off its VM's count while it rests. False when too many do: it has to end at once. */
  rest(flow: TcpFlow): boolean {
    if ((this.#restingOf[flow.port] as number) >= VM_RESTING_FLOWS) return false;
    flow.isResting = true;
    this.#flowsOf[flow.port]!--;
    this.#restingOf[flow.port]!++;
    return true;
  }

  /** Forgets a flow. */
  remove(flow: TcpFlow): void {
    this.opened(flow);
    this.#unlink(flow);
    if (flow.previousOfPort === undefined) this.#firstOf[flow.port] = flow.nextOfPort;
    else flow.previousOfPort.nextOfPort = flow.nextOfPort;
    if (flow.nextOfPort !== undefined) flow.nextOfPort.previousOfPort = flow.previousOfPort;
    flow.nextOfPort = undefined;
    flow.previousOfPort = undefined;
    this.#size--;
    if (flow.isResting) this.#restingOf[flow.port]!--;
    else this.#flowsOf[flow.port]!--;
  }
}
