/**
 * Which ports are received from in a round of the datapath: deficit round robin by bytes, so that a VM with 64 KB
 * frames, whose batch is forty times as long as another's, has not forty times its share of the thread.
 *
 * Theory of operation. Each round in which a port has frames gives it a quantum; what a batch took beyond that it has
 * to wait for, a round for each quantum, while others have their turns. No more than a quantum is saved up, and a port
 * that is alone waits for nobody. Who waits stays readable: the thread does not sleep meanwhile.
 */
import { MAX_PORTS } from '../switch/tables.ts';
import type { CounterBlock } from '../telemetry/counters.ts';

/** Bytes a port may send in a round before it has to wait; about as much work as a batch of short frames */
export const RECEIVE_QUANTUM_BYTES = 512 * 1024;

export class ReceiveTurns {
  readonly #counters: CounterBlock;
  /** Bytes of each port's that its balance knows of */
  readonly #charged = new Float64Array(MAX_PORTS);
  readonly #balance = new Float64Array(MAX_PORTS);

  /** @param counters where the thread counts what it receives */
  constructor(counters: CounterBlock) {
    this.#counters = counters;
  }

  /** A port begins, with whatever it has counted before. */
  add(port: number): void {
    this.#charged[port] = this.#counters.receivedBytes(port);
    this.#balance[port] = 0;
  }

  /** Whether it is a readable port's turn in this round. */
  take(port: number, alone: boolean): boolean {
    const total = this.#counters.receivedBytes(port);
    const since = total - (this.#charged[port] as number);
    this.#charged[port] = total;
    const balance = (this.#balance[port] as number) - since + RECEIVE_QUANTUM_BYTES;
    this.#balance[port] = alone ? 0 : Math.min(balance, RECEIVE_QUANTUM_BYTES);
    return alone || balance > 0;
  }
}
