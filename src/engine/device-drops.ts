/**
 * Frames that an interface dropped and no send of ours was told of.
 *
 * Theory of operation. A TAP drops what its queue has no room for and counts it (`tx_dropped`), whoever sent it: the
 * fast path, whose frames the kernel hands over behind our back, the device's queue where segments go through it, or
 * the datapath, which goes past that queue, hears of each refusal (ENOBUFS) and counts it. The rest of the device's
 * figure is what would be lost without a trace. Only a TAP is asked: other devices count other things there.
 *
 * The two figures are not read at one moment: refusals that the device has counted may not have been counted by us
 * yet, two for each thread at most (a frame at which one call ended, and with which the next began), and a thread that
 * the kernel has put aside there counts them when it runs again. So many of a figure are left out until it is old. What
 * is shown may thus be late by a few frames, and never falls. A device that refuses frames without counting them (a
 * stopped queue) makes it too low, never too high.
 */
import { nowSeconds } from '../sys/clock.ts';
import type { LinkStatistics } from '../sys/link-statistics.ts';

/** Attempts of one thread's that a device may have refused and the thread not counted yet */
const LATE_PER_THREAD = 2;
/** Age from which on every thread has counted what a figure contains, `s`, of a clock of whole seconds */
const SETTLED_SECONDS = 2;

/** By how much one counter grows beyond another that accounts for a part of it, a little later. */
export class Surplus {
  readonly #late: number;
  /** The counters at the beginning */
  #total: number;
  #known: number;
  #last: number;
  /** An earlier total, and when it was read; the latest of which all is known that ever will be */
  #earlier: number;
  #earlierSeconds: number;
  #settled: number;
  #taken = 0;

  /**
   * @param known what of `total` is accounted for elsewhere; both as they stand at the beginning
   * @param late how much of `total` may not be in `known` yet at any moment
   */
  constructor(total: number, known: number, late: number, seconds: number) {
    this.#late = late;
    this.#total = total;
    this.#known = known;
    this.#last = total;
    this.#earlier = total;
    this.#earlierSeconds = seconds;
    this.#settled = total;
  }

  /** What is certain by now and has not been taken yet. */
  take(total: number, known: number, seconds: number): number {
    if (total < this.#last) this.#beginAgain(total, known);
    this.#last = total;
    if (seconds - this.#earlierSeconds >= SETTLED_SECONDS) {
      this.#settled = this.#earlier;
      this.#earlier = total;
      this.#earlierSeconds = seconds;
    }
    const certain = Math.max(this.#settled, total - this.#late);
    const fresh = Math.max(0, certain - this.#total - (known - this.#known) - this.#taken);
    this.#taken += fresh;
    return fresh;
  }

  /** A counter that ran backwards counts from zero again: what came between cannot be known. */
  #beginAgain(total: number, known: number): void {
    this.#total = total;
    this.#known = known;
    this.#earlier = total;
    this.#settled = total;
    this.#taken = 0;
  }
}

/** One interface's, from now on. */
export class DeviceDrops {
  readonly #statistics: LinkStatistics;
  readonly #index: number;
  readonly #surplus: Surplus;

  /**
   * @param statistics of the interface's namespace; the caller's to close
   * @param refused frames that the interface has refused the datapath so far
   * @param threads threads that send to it
   */
  constructor(statistics: LinkStatistics, index: number, refused: number, threads: number) {
    this.#statistics = statistics;
    this.#index = index;
    const dropped = statistics.transmitDropped(index) ?? 0;
    this.#surplus = new Surplus(dropped, refused, LATE_PER_THREAD * threads, nowSeconds());
  }

  /** Frames dropped since this was last asked, `refused()` ones left out. An interface that is gone has no more. */
  take(refused: () => number): number {
    const dropped = this.#statistics.transmitDropped(this.#index);
    // In this order: what is refused meanwhile is known already.
    return dropped === undefined ? 0 : this.#surplus.take(dropped, refused(), nowSeconds());
  }
}
