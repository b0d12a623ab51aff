/**
 * The flows of a worker without connection, by their names. Those of a VM are in the order of their last use, so that
 * the one idle for longest is at hand.
 */
import { MAX_PORTS } from '../../switch/tables.ts';
import { FlowIndex } from '../flow-index.ts';
import type { FlowKey } from '../flow-key.ts';
import { DatagramFlow, type FlowEvents } from './flow.ts';

const FIRST_BUCKETS = 256;

export class FlowTable {
  readonly #events: FlowEvents;
  readonly #flowsOf = new Int32Array(MAX_PORTS);
  readonly #oldestOf: (DatagramFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  readonly #newestOf: (DatagramFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  readonly #index = new FlowIndex<DatagramFlow>(FIRST_BUCKETS);

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

  /** The flow of a VM that was used before all its others. */
  oldestOf(port: number): DatagramFlow | undefined {
    return this.#oldestOf[port];
  }

  find(key: FlowKey): DatagramFlow | undefined {
    return this.#index.find(key);
  }

  /** A new flow of that name, which nobody has. */
  add(key: FlowKey): DatagramFlow {
    const flow = new DatagramFlow(key, this.#events);
    this.#index.add(flow);
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

  /** Forgets a flow. */
  remove(flow: DatagramFlow): void {
    this.#index.remove(flow);
    this.#takeOut(flow);
    this.#flowsOf[flow.port]!--;
  }
}
