/**
 * A token bucket per port: what a port may cause is bounded in rate, with room for a burst. Kept by each worker for
 * the ports it receives from.
 */
import type { Clock } from '../sys/clock.ts';
import { MAX_PORTS } from './tables.ts';

export class RateLimit {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #burst: number;
  readonly #tokens: Float64Array;
  readonly #filledMs: Int32Array;

  /** @param perSecond events a port may cause per second  @param burst events it may cause at once */
  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = new Float64Array(MAX_PORTS).fill(burst);
    this.#filledMs = new Int32Array(MAX_PORTS).fill(clock.ms);
  }

  /** Takes one event of `port`'s allowance; false when there is none left. */
  take(port: number): boolean {
    const now = this.#clock.ms;
    // Unsigned: a port may well be quiet for longer than the 24 days after which the clock's sign changes.
    const elapsed = (now - (this.#filledMs[port] as number)) >>> 0;
    this.#filledMs[port] = now;
    const tokens = Math.min(this.#burst, (this.#tokens[port] as number) + elapsed * this.#perMs);
    const allowed = tokens >= 1;
    this.#tokens[port] = allowed ? tokens - 1 : tokens;
    return allowed;
  }
}
