/**
 * What the flows of each VM take of what is bounded, over all workers.
 *
 * Each worker counts in a block of its own, so that no two threads ever write one cell, and adds all blocks up where a
 * bound is asked for. Two that ask at the same moment may each grant the last of it: a bound is exceeded by what the
 * workers take in one step at most.
 */
import { MAX_PORTS } from '../switch/tables.ts';

export const USE_FLOWS = 0;
export const USE_HALF_OPEN = 1;
export const USE_RESTING = 2;
export const USE_BUFFER_BYTES = 3;
const KINDS = 4;
const BLOCK_CELLS = KINDS * MAX_PORTS;

export function allocateVmUse(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * BLOCK_CELLS * Int32Array.BYTES_PER_ELEMENT);
}

export class VmUse {
  readonly #cells: Int32Array;
  readonly #own: number;

  /** @param worker whose block {@link add} counts in */
  constructor(memory: SharedArrayBuffer = allocateVmUse(1), worker = 0) {
    this.#cells = new Int32Array(memory);
    this.#own = worker * BLOCK_CELLS;
  }

  add(kind: number, port: number, amount: number): void {
    this.#cells[this.#own + kind * MAX_PORTS + port]! += amount;
  }

  /** What all workers together have taken. */
  total(kind: number, port: number): number {
    let total = 0;
    for (let at = kind * MAX_PORTS + port; at < this.#cells.length; at += BLOCK_CELLS) {
      total += this.#cells[at] as number;
    }
    return total;
  }

  /** What one worker has taken. */
  of(worker: number, kind: number, port: number): number {
    return this.#cells[worker * BLOCK_CELLS + kind * MAX_PORTS + port] as number;
  }

  /** Forgets what a worker had taken that is gone. */
  clear(worker: number): void {
    this.#cells.fill(0, worker * BLOCK_CELLS, (worker + 1) * BLOCK_CELLS);
  }
}
