/**
 * A bad stretch of cable, one way: frames that enter it are lost, doubled, damaged, delayed or overtaken, by a seeded
 * generator, and come out when they are due. It holds copies.
 */
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';

export interface Faults {
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
const NO_FAULTS = { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, delayMs: 0, reorderMs: 1, seed: 1 };

export interface HeldFrame {
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

export class Impairment {
  readonly #faults: Required<Faults>;
  readonly #lose: () => void;
  readonly #random: () => number;
  readonly #held: HeldFrame[] = [];

  /** @param lose counts one frame as lost */
  constructor(faults: Faults, lose: () => void) {
    this.#faults = { ...NO_FAULTS, ...faults };
    this.#lose = lose;
    this.#random = generator(this.#faults.seed);
  }

  #happens(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
  }

  /** Whether the next frame is lost, which is counted. To be asked before a frame is copied for {@link enter}. */
  loses(): boolean {
    const lost = this.#happens(this.#faults.loss);
    if (lost) this.#lose();
    return lost;
  }

  /** Takes in a frame, virtio-net header first, that is nobody else's. */
  enter(bytes: Uint8Array, condition: number, nowMs: number): void {
    const { corrupt, reorder, reorderMs, delayMs, duplicate } = this.#faults;
    if (bytes.length > VNET_HEADER_BYTES && this.#happens(corrupt)) this.#damage(bytes);
    const late = this.#happens(reorder) ? reorderMs : 0;
    const frame = { dueMs: (nowMs + delayMs + late) | 0, condition, bytes };
    this.#hold(frame);
    if (this.#happens(duplicate)) this.#hold(frame);
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

  /** Takes out the next frame that is due, if there is one. */
  leave(nowMs: number): HeldFrame | undefined {
    const next = this.#held[0];
    return next !== undefined && until(next.dueMs, nowMs) <= 0 ? this.#held.shift() : undefined;
  }

  /** Milliseconds until {@link leave} has a frame, negative for never. */
  dueInMs(nowMs: number): number {
    const next = this.#held[0];
    return next === undefined ? -1 : Math.max(0, until(next.dueMs, nowMs));
  }
}
