/** The connections of a worker by their names, with the bounds a VM has. */
import { MAX_PORTS } from '../../switch/tables.ts';
import { FlowIndex } from '../flow-index.ts';
import type { FlowKey } from '../flow-key.ts';
import { TcpFlow } from './flow.ts';
import type { FlowEvents } from './flow-events.ts';

/** Flows a VM may have, those at rest in TIME-WAIT not counted */
export const VM_FLOWS = 8192;
/** Flows of a VM that may be at rest; one more ends at once instead (RFC 9293 section 3.6.1 lets it, with timestamps) */
export const VM_RESTING_FLOWS = 8192;
/** Flows of a VM that are not open yet */
export const VM_HALF_OPEN_FLOWS = 1024;
const FIRST_BUCKETS = 1024;

export class FlowTable {
  readonly #events: FlowEvents;
  readonly #flowsOf = new Int32Array(MAX_PORTS);
  readonly #halfOpenOf = new Int32Array(MAX_PORTS);
  readonly #restingOf = new Int32Array(MAX_PORTS);
  readonly #firstOf: (TcpFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  readonly #index = new FlowIndex<TcpFlow>(FIRST_BUCKETS);

  constructor(events: FlowEvents) {
    this.#events = events;
  }

  get size(): number {
    return this.#index.size;
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
    return this.#index.find(key);
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
    flow.take(key);
    this.#index.add(flow);
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
    this.#index.remove(flow);
    flow.guest3 = address;
    this.#index.add(flow);
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
    this.#index.remove(flow);
    if (flow.previousOfPort === undefined) this.#firstOf[flow.port] = flow.nextOfPort;
    else flow.previousOfPort.nextOfPort = flow.nextOfPort;
    if (flow.nextOfPort !== undefined) flow.nextOfPort.previousOfPort = flow.previousOfPort;
    flow.nextOfPort = undefined;
    flow.previousOfPort = undefined;
    if (flow.isResting) this.#restingOf[flow.port]!--;
    else this.#flowsOf[flow.port]!--;
  }
}
