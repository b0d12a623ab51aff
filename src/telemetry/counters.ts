/**
 * Counters of every port, in memory shared between the datapath workers and the control thread.
 *
 * Each worker counts in a block of its own, so that no two threads ever write one cell; a reader adds the blocks
 * up. Cells are doubles: exact up to 2^53, read and written without allocation.
 */
import { DROP_REASONS, type DropReason } from './drops.ts';

const RX_FRAMES = 0;
const RX_BYTES = 1;
const TX_FRAMES = 2;
const TX_BYTES = 3;
const REFUSALS = 4;
const DROPS = 5;
const CELLS_PER_PORT = DROPS + DROP_REASONS.length;
const CELL_BYTES = Float64Array.BYTES_PER_ELEMENT;

/** What one port has counted since it was attached. */
export interface PortStats {
  /** Frames taken in from the port; a GSO frame counts once */
  readonly rxFrames: number;
  readonly rxBytes: number;
  /** Frames handed to the port */
  readonly txFrames: number;
  readonly txBytes: number;
  /** Frames dropped, by reason: at the port they came in by, or could not leave by. Reasons never met are absent */
  readonly drops: Partial<Record<DropReason, number>>;
}

/** Memory for `workers` blocks of `ports` ports. */
export function allocateCounters(workers: number, ports: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * ports * CELLS_PER_PORT * CELL_BYTES);
}

/** One worker's block, to count in. */
export class CounterBlock {
  readonly #cells: Float64Array;

  constructor(buffer: SharedArrayBuffer, worker: number, ports: number) {
    const cells = ports * CELLS_PER_PORT;
    this.#cells = new Float64Array(buffer, worker * cells * CELL_BYTES, cells);
  }

  received(port: number, frames: number, bytes: number): void {
    const base = port * CELLS_PER_PORT;
    this.#cells[base + RX_FRAMES]! += frames;
    this.#cells[base + RX_BYTES]! += bytes;
  }

  /** Bytes this worker has taken in from the port so far. */
  receivedBytes(port: number): number {
    return this.#cells[port * CELLS_PER_PORT + RX_BYTES] as number;
  }

  sent(port: number, frames: number, bytes: number): void {
    const base = port * CELLS_PER_PORT;
    this.#cells[base + TX_FRAMES]! += frames;
    this.#cells[base + TX_BYTES]! += bytes;
  }

  /** Counts attempts to send that the port's device had no room for and has counted, too; whatever became of the frame. */
  refused(port: number, attempts: number): void {
    this.#cells[port * CELLS_PER_PORT + REFUSALS]! += attempts;
  }

  dropped(port: number, reason: number, frames: number): void {
    this.#cells[port * CELLS_PER_PORT + DROPS + reason]! += frames;
  }
}

/** Every block together, to read from and to clear. */
export class CounterReader {
  readonly #cells: Float64Array;
  readonly #block: number;

  constructor(buffer: SharedArrayBuffer, ports: number) {
    this.#cells = new Float64Array(buffer);
    this.#block = ports * CELLS_PER_PORT;
  }

  #sum(port: number, cell: number): number {
    let total = 0;
    for (let at = port * CELLS_PER_PORT + cell; at < this.#cells.length; at += this.#block) {
      total += this.#cells[at] as number;
    }
    return total;
  }

  read(port: number): PortStats {
    const drops: Partial<Record<DropReason, number>> = {};
    for (const [index, reason] of DROP_REASONS.entries()) {
      const frames = this.#sum(port, DROPS + index);
      if (frames > 0) drops[reason] = frames;
    }
    return {
      rxFrames: this.#sum(port, RX_FRAMES),
      rxBytes: this.#sum(port, RX_BYTES),
      txFrames: this.#sum(port, TX_FRAMES),
      txBytes: this.#sum(port, TX_BYTES),
      drops,
    };
  }

  /** Attempts to send that a port's device had no room for: not each was a frame's last. */
  refusals(port: number): number {
    return this.#sum(port, REFUSALS);
  }

  /** Zeroes a port's cells before its number is used again; no worker may know the port at that moment. */
  clear(port: number): void {
    for (let at = port * CELLS_PER_PORT; at < this.#cells.length; at += this.#block) {
      this.#cells.fill(0, at, at + CELLS_PER_PORT);
    }
  }
}
