/**
 * A port behind a bad cable: what the wrapped port receives is lost, doubled, damaged, delayed or overtaken, with
 * given probabilities and a seeded generator, so that a run can be repeated. For tests and experiments; it copies
 * every frame.
 */
import type { CounterBlock } from '../telemetry/counters.ts';
import { DROP } from '../telemetry/drops.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import type { FrameBatch } from './batch.ts';
import type { PieceQueue } from './piece-queue.ts';
import type { Port } from './port.ts';

export interface FaultPlan {
  /** Probability that a frame is lost, 0 to 1 */
  readonly loss?: number;
  /** Probability that a frame comes twice */
  readonly duplicate?: number;
  /** Probability that one bit of a frame is flipped */
  readonly corrupt?: number;
  /** Probability that a frame is held back so that later ones overtake it */
  readonly reorder?: number;
  /** Time every frame is held, `ms` */
  readonly delayMs?: number;
  /** Further time a frame chosen for reordering is held, `ms` (default 1) */
  readonly reorderMs?: number;
  /** Start of the random sequence (default 1) */
  readonly seed?: number;
}

/** Frames that may be held at once; what comes beyond is lost like any other. */
const HELD_FRAMES = 4096;

interface HeldFrame {
  readonly dueMs: number;
  readonly condition: number;
  readonly bytes: Uint8Array;
}

/** mulberry32, a 32-bit generator that is good enough for tossing coins. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Milliseconds from `now` until `due`, negative when past; right across the clock's wrap. */
function until(due: number, now: number): number {
  return (due - now) | 0;
}

export class FaultyPort implements Port {
  readonly #inner: Port;
  readonly #number: number;
  readonly #plan: Required<FaultPlan>;
  readonly #counters: CounterBlock;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #held: HeldFrame[] = [];

  /** @param now milliseconds as sys/clock counts them: int32 that wraps */
  constructor(inner: Port, number: number, plan: FaultPlan, counters: CounterBlock, now: () => number) {
    this.#inner = inner;
    this.#number = number;
    const none = { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, delayMs: 0, reorderMs: 1, seed: 1 };
    this.#plan = { ...none, ...plan };
    this.#counters = counters;
    this.#now = now;
    this.#random = generator(this.#plan.seed);
  }

  get fd(): number {
    return this.#inner.fd;
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
  }

  #lose(): void {
    this.#counters.dropped(this.#number, DROP['fault-injected'], 1);
  }

  #hold(frame: HeldFrame): void {
    if (this.#held.length >= HELD_FRAMES) {
      this.#lose();
      return;
    }
    let at = this.#held.length;
    while (at > 0 && until((this.#held[at - 1] as HeldFrame).dueMs, frame.dueMs) > 0) at--;
    this.#held.splice(at, 0, frame);
  }

  #damage(bytes: Uint8Array): void {
    const bit = Math.floor(this.#random() * (bytes.length - VNET_HEADER_BYTES) * 8);
    const at = VNET_HEADER_BYTES + (bit >> 3);
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
  }

  receive(batch: FrameBatch): number {
    const now = this.#now();
    const arrived = this.#inner.receive(batch);
    for (let i = 0; i < arrived; i++) {
      if (this.#happens(this.#plan.loss)) {
        this.#lose();
        continue;
      }
      const start = batch.start[i] as number;
      const bytes = batch.u8.slice(start, start + (batch.length[i] as number));
      if (bytes.length > VNET_HEADER_BYTES && this.#happens(this.#plan.corrupt)) this.#damage(bytes);
      const late = this.#happens(this.#plan.reorder) ? this.#plan.reorderMs : 0;
      const frame = {
        dueMs: (now + this.#plan.delayMs + late) | 0,
        condition: batch.condition[i] as number,
        bytes,
      };
      this.#hold(frame);
      if (this.#happens(this.#plan.duplicate)) this.#hold(frame);
    }
    let count = 0;
    while (
      count < batch.capacity &&
      this.#held.length > 0 &&
      until((this.#held[0] as HeldFrame).dueMs, now) <= 0
    ) {
      const frame = this.#held.shift() as HeldFrame;
      batch.u8.set(frame.bytes, batch.start[count]);
      batch.length[count] = frame.bytes.length;
      batch.condition[count] = frame.condition;
      count++;
    }
    return count;
  }

  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void {
    this.#inner.transmit(batch, slots, first, count);
  }

  transmitPieces(queue: PieceQueue, first: number, count: number): void {
    this.#inner.transmitPieces(queue, first, count);
  }

  dueInMs(): number {
    const next = this.#held[0];
    return next === undefined ? -1 : Math.max(0, until(next.dueMs, this.#now()));
  }
}
