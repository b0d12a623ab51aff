/**
 * A wire in simulated time: what is sent arrives later by its turn on the line and the wire's length, or not at all,
 * or late. Times are whole microseconds, so that a run is the same everywhere.
 */

/** What a wire does to what passes it. */
export interface Impairments {
  /** Probability that something is lost, 0 to 1 */
  readonly loss: number;
  /** Probability that something is overtaken by what comes {@link OVERTAKEN_US} later */
  readonly reorder: number;
  /** Time on the way, `us` */
  readonly delayUs: number;
}

/** Bytes that pass the wire in a microsecond: 1 Gbit/s */
const BYTES_PER_US = 125;
/** At full rate eight segments of 1,500 bytes: enough that all but the most patient take one for lost */
const OVERTAKEN_US = 100;

/** Numbers below 1, the same for the same seed (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

export class Wire<T> {
  readonly #how: Impairments;
  readonly #roll: () => number;
  readonly #queue: { readonly atUs: number; readonly what: T }[] = [];
  #first = 0;
  #freeUs = 0;
  /** What was lost so far */
  lost = 0;

  constructor(how: Impairments, roll: () => number) {
    this.#how = how;
    this.#roll = roll;
  }

  /** Puts something of `bytes` bytes on the wire, which waits for what is being sent. */
  send(what: T, bytes: number, nowUs: number): void {
    const { loss, reorder, delayUs } = this.#how;
    this.#freeUs = Math.max(this.#freeUs, nowUs) + Math.ceil(bytes / BYTES_PER_US);
    if (loss > 0 && this.#roll() < loss) {
      this.lost++;
      return;
    }
    const late = reorder > 0 && this.#roll() < reorder ? OVERTAKEN_US : 0;
    const atUs = this.#freeUs + delayUs + late;
    const queue = this.#queue;
    let at = queue.length;
    while (at > this.#first && queue[at - 1]!.atUs > atUs) at--;
    queue.splice(at, 0, { atUs, what });
  }

  /** When something arrives next, `Infinity` when nothing is under way. */
  get nextUs(): number {
    return this.#queue[this.#first]?.atUs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes out what arrives next. */
  take(): T {
    const { what } = this.#queue[this.#first++]!;
    if (this.#first === 1024) {
      this.#queue.splice(0, this.#first);
      this.#first = 0;
    }
    return what;
  }
}
