/** The connections of a worker by their names, with the bounds a VM has. */
import { VM_FLOWS, VM_HALF_OPEN_FLOWS } from '../../config/limits.ts';
import { MAX_PORTS } from '../../switch/tables.ts';
import { FlowIndex } from '../flow-index.ts';
import type { FlowKey } from '../flow-key.ts';
import { LIMIT_FLOWS, LIMIT_HALF_OPEN, USE_FLOWS, USE_HALF_OPEN, USE_RESTING, VmUse } from '../vm-use.ts';
import { TcpFlow } from './flow.ts';
import type { FlowEvents } from './flow-events.ts';

/** Flows of a VM that may be at rest; one more ends at once instead (RFC 9293 section 3.6.1 lets it, with timestamps) */
export const VM_RESTING_FLOWS = 8192;
const FIRST_BUCKETS = 1024;

/** Whether the VM on `port` may have one more half-open connection. */
export function hasTcpRoom(use: VmUse, port: number): boolean {
  return (
    use.total(USE_FLOWS, port) < use.limit(LIMIT_FLOWS, port, VM_FLOWS) &&
    use.total(USE_HALF_OPEN, port) < use.limit(LIMIT_HALF_OPEN, port, VM_HALF_OPEN_FLOWS)
  );
}

export class FlowTable {
  readonly #events: FlowEvents;
  readonly #use: VmUse;
  readonly #firstOf: (TcpFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  readonly #index = new FlowIndex<TcpFlow>(FIRST_BUCKETS);

  /** @param use where it is counted what the flows of a VM are, over all workers */
  constructor(events: FlowEvents, use = new VmUse()) {
    this.#events = events;
    this.#use = use;
  }

  get size(): number {
    return this.#index.size;
  }

  /** Flows of a VM, at all workers. */
  flowsOf(port: number): number {
    return this.#use.total(USE_FLOWS, port);
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
    return hasTcpRoom(this.#use, port);
  }

  /** A new half-open flow of that name, which nobody has. */
  add(key: FlowKey): TcpFlow {
    const flow = new TcpFlow(this.#events);
    flow.take(key);
    this.#index.add(flow);
    this.#use.add(USE_FLOWS, key.port, 1);
    flow.isHalfOpen = true;
    this.#use.add(USE_HALF_OPEN, key.port, 1);
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
    this.#use.add(USE_HALF_OPEN, flow.port, -1);
  }

  /** Takes an ended flow off its VM's count while it rests. False when too many do: it has to end at once. */
  rest(flow: TcpFlow): boolean {
    if (this.#use.total(USE_RESTING, flow.port) >= VM_RESTING_FLOWS) return false;
    flow.isResting = true;
    this.#use.add(USE_FLOWS, flow.port, -1);
    this.#use.add(USE_RESTING, flow.port, 1);
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
    this.#use.add(flow.isResting ? USE_RESTING : USE_FLOWS, flow.port, -1);
  }
}
