/**
 * What the flows of each VM take of what is bounded, over all workers.
 *
 * Each worker counts in a block of its own, so that no two threads ever write one cell, and adds all blocks up where a
 * bound is asked for. Two that ask at the same moment may each grant the last of it: a bound is exceeded by what the
 * workers take in one step at most. The bounds themselves lie behind the blocks, for the control thread to set.
 */
import type { FlowLimits } from '../config/network.ts';
import { MAX_PORTS } from '../switch/tables.ts';

export const USE_FLOWS = 0;
export const USE_HALF_OPEN = 1;
export const USE_RESTING = 2;
export const USE_BUFFER_BYTES = 3;
const KINDS = 4;
const BLOCK_CELLS = KINDS * MAX_PORTS;

/** Bounds that may be set for each VM */
export const LIMIT_FLOWS = 0;
export const LIMIT_HALF_OPEN = 1;
export const LIMIT_BUFFER_BYTES = 2;
export const LIMIT_DATAGRAM_FLOWS = 3;
const LIMITS = 4;
const LIMIT_CELLS = LIMITS * MAX_PORTS;

export function allocateVmUse(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer((workers * BLOCK_CELLS + LIMIT_CELLS) * Int32Array.BYTES_PER_ELEMENT);
}

export class VmUse {
  readonly #cells: Int32Array;
  readonly #own: number;
  readonly #limits: Int32Array;

  /** @param worker whose block {@link add} counts in */
  constructor(memory: SharedArrayBuffer = allocateVmUse(1), worker = 0) {
    const cells = memory.byteLength / Int32Array.BYTES_PER_ELEMENT - LIMIT_CELLS;
    this.#cells = new Int32Array(memory, 0, cells);
    this.#limits = new Int32Array(memory, cells * Int32Array.BYTES_PER_ELEMENT);
    this.#own = worker * BLOCK_CELLS;
  }

  add(kind: number, port: number, amount: number): void {
    this.#cells[this.#own + kind * MAX_PORTS + port]! += amount;
  }

  setLimits(port: number, { tcpFlows, halfOpenFlows, bufferBytes, udpFlows }: FlowLimits): void {
    this.#limits[LIMIT_FLOWS * MAX_PORTS + port] = tcpFlows;
    this.#limits[LIMIT_HALF_OPEN * MAX_PORTS + port] = halfOpenFlows;
    this.#limits[LIMIT_BUFFER_BYTES * MAX_PORTS + port] = bufferBytes;
    this.#limits[LIMIT_DATAGRAM_FLOWS * MAX_PORTS + port] = udpFlows;
  }

  /** A VM's bound, `otherwise` where none is set for it. */
  limit(kind: number, port: number, otherwise: number): number {
    return this.#limits[kind * MAX_PORTS + port] || otherwise;
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
