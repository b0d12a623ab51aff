/**
 * The frames of one batch, sorted by the port they leave by, so that each port gets its own by one call, in the
 * order they came.
 *
 * A row of slot numbers for each port that has any; rows are given out afresh for every batch, so that a batch for
 * two ports touches two rows, however many ports there are.
 */
import { BATCH_FRAMES } from '../port/batch.ts';
import { MAX_PORTS } from '../switch/tables.ts';

const NO_ROW = -1;

export class EgressQueues {
  /** Slot numbers, row after row */
  readonly slots = new Int32Array(MAX_PORTS * BATCH_FRAMES);
  readonly #rowOf = new Int32Array(MAX_PORTS).fill(NO_ROW);
  readonly #ports = new Int32Array(MAX_PORTS);
  readonly #counts = new Int32Array(MAX_PORTS);
  #rows = 0;

  /** Rows in use. */
  get rows(): number {
    return this.#rows;
  }

  /** Puts the frame in `slot` behind those that leave by `port` already. */
  add(port: number, slot: number): void {
    let row = this.#rowOf[port] as number;
    if (row === NO_ROW) {
      row = this.#rows++;
      this.#rowOf[port] = row;
      this.#ports[row] = port;
      this.#counts[row] = 0;
    }
    const count = this.#counts[row] as number;
    this.slots[row * BATCH_FRAMES + count] = slot;
    this.#counts[row] = count + 1;
  }

  port(row: number): number {
    return this.#ports[row] as number;
  }

  /** Index of the row's first slot number in {@link slots}. */
  first(row: number): number {
    return row * BATCH_FRAMES;
  }

  count(row: number): number {
    return this.#counts[row] as number;
  }

  clear(): void {
    for (let row = 0; row < this.#rows; row++) this.#rowOf[this.#ports[row] as number] = NO_ROW;
    this.#rows = 0;
  }
}
