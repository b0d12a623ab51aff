/**
 * Whose turn it is to read from its host: round robin between VMs, so many bytes for each, and first come first served
 * between the flows of one. A VM with a thousand flows, or with the fastest host, gets no more than one with a single
 * flow: that may have all of its VM's bytes, and what a flow leaves goes to the next.
 */
import { MAX_PORTS } from '../../switch/tables.ts';
import type { TcpFlow } from './flow.ts';

/** Bytes a VM's flows may read in one round, be they one or many */
const QUANTUM_BYTES = 256 * 1024;

export class ReadyQueue {
  readonly #first: (TcpFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  readonly #last: (TcpFlow | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  /** Ports with ready flows, in the order of their turns */
  readonly #ports = new Int32Array(MAX_PORTS);
  readonly #turns = new Int32Array(MAX_PORTS);
  readonly #listed = new Uint8Array(MAX_PORTS);
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  add(flow: TcpFlow): void {
    if (flow.isReady) return;
    flow.isReady = true;
    flow.nextReady = undefined;
    const { port } = flow;
    const last = this.#last[port];
    if (last === undefined) this.#first[port] = flow;
    else last.nextReady = flow;
    this.#last[port] = flow;
    this.#list(port);
  }

  #list(port: number): void {
    if (this.#listed[port] === 1) return;
    this.#listed[port] = 1;
    this.#ports[this.#count++] = port;
  }

  #take(port: number): TcpFlow | undefined {
    const flow = this.#first[port];
    if (flow === undefined) return undefined;
    this.#first[port] = flow.nextReady;
    if (flow.nextReady === undefined) this.#last[port] = undefined;
    flow.nextReady = undefined;
    flow.isReady = false;
    return flow;
  }

  /**
   * Gives every VM its round.
   *
   * @param turn reads at most so many bytes for a flow, returns how many, and adds the flow again if it wants more
   */
  round(turn: (flow: TcpFlow, bytes: number) => number): void {
    const count = this.#count;
    this.#count = 0;
    this.#turns.set(this.#ports.subarray(0, count));
    for (let i = 0; i < count; i++) {
      const port = this.#turns[i] as number;
      this.#listed[port] = 0;
      this.#serve(port, turn);
    }
  }

  #serve(port: number, turn: (flow: TcpFlow, bytes: number) => number): void {
    let left = QUANTUM_BYTES;
    // Those that get ready again at their turn are behind it: they have their next one in the next round.
    const end = this.#last[port];
    for (let flow = this.#take(port); flow !== undefined; flow = this.#take(port)) {
      left -= turn(flow, left);
      if (left <= 0 || flow === end) break;
    }
    // What is left over is not saved up.
    if (this.#first[port] !== undefined) this.#list(port);
  }
}
