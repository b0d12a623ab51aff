/**
 * The life of flows without connection: nobody says when one is over, so each ends when it was silent for long enough,
 * or gives way when its VM has as many as it may.
 */
import type { GatewayContext } from '../context.ts';
import type { FlowKey } from '../flow-key.ts';
import type { DatagramFlow, FlowEvents } from './flow.ts';
import { FlowTable } from './flow-table.ts';

/** Silence after which a flow gives way to a new one of its VM, `ms` */
export const IDLE_MS = 1000;

export class Flows {
  readonly #context: GatewayContext;
  readonly #events: FlowEvents;
  readonly #table: FlowTable;
  readonly #limit: (port: number) => number;
  readonly #timeoutMs: (flow: DatagramFlow) => number;

  /**
   * @param limit flows the VM on a port may have
   * @param timeoutMs silence after which a flow ends
   */
  constructor(
    context: GatewayContext,
    events: FlowEvents,
    limit: (port: number) => number,
    timeoutMs: (flow: DatagramFlow) => number,
  ) {
    this.#context = context;
    this.#events = events;
    this.#table = new FlowTable(events);
    this.#limit = limit;
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#table.size;
  }

  /** The VM's flow that was used before all its others; they follow by `newer`. */
  oldestOf(port: number): DatagramFlow | undefined {
    return this.#table.oldestOf(port);
  }

  find(key: FlowKey): DatagramFlow | undefined {
    return this.#table.find(key);
  }

  /** Whether a VM may have one more; its flow that was idle for longest may have ended for that. */
  makeRoom(port: number): boolean {
    if (this.#table.flowsOf(port) < this.#limit(port)) return true;
    const oldest = this.#table.oldestOf(port);
    if (oldest === undefined || ((this.#context.clock.ms - oldest.usedMs) | 0) < IDLE_MS) return false;
    this.end(oldest);
    return true;
  }

  /** A new flow of that name, which nobody has. */
  add(key: FlowKey): DatagramFlow {
    const { clock, timers } = this.#context;
    const flow = this.#table.add(key);
    flow.usedMs = clock.ms;
    timers.set(flow.timer, clock.ms, this.#timeoutMs(flow));
    return flow;
  }

  /** Notes that something went either way. */
  touch(flow: DatagramFlow): void {
    this.#table.touch(flow, this.#context.clock.ms);
  }

  /** The flow's timer has run out, which is not moved at each use: ends the flow, or looks again later. */
  timerExpired(flow: DatagramFlow): void {
    const { clock, timers } = this.#context;
    const leftMs = this.#timeoutMs(flow) - ((clock.ms - flow.usedMs) | 0);
    if (leftMs > 0) timers.set(flow.timer, clock.ms, leftMs);
    else this.end(flow);
  }

  end(flow: DatagramFlow): void {
    flow.timer.cancel();
    if (flow.fd >= 0) this.#context.sockets.close(flow.token);
    flow.fd = -1;
    this.#table.remove(flow);
    this.#events.ended(flow);
  }

  /** Ends all flows of a VM. How many there were. */
  endPort(port: number): number {
    let ended = 0;
    for (let flow = this.#table.oldestOf(port); flow !== undefined; flow = this.#table.oldestOf(port)) {
      this.end(flow);
      ended++;
    }
    return ended;
  }
}
