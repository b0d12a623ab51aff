/**
 * How a worker waits for its next event: by sleeping, or, where the last one was not long in coming, by looking again
 * for a moment first.
 *
 * Theory of operation. Waking a thread whose processor has gone idle takes longer than moving a frame does, above all
 * inside a virtual machine. So the length of each wait decides about the next: after one of at most {@link LOOK_US} it
 * looks that long before it sleeps. Between two looks the processor is offered to whoever else wants it. A switch with
 * nothing to do sleeps, and what comes now and then finds it asleep.
 */
import type { Clock } from '../sys/clock.ts';
import type { Epoll } from '../sys/epoll.ts';
import { schedYield } from '../sys/libc.ts';

/** Longest time a worker looks before it sleeps, `us`: a few times what waking takes */
const LOOK_US = 50;

export class EventWait {
  readonly #epoll: Pick<Epoll, 'wait'>;
  readonly #clock: Pick<Clock, 'us' | 'tick'>;
  #looks = false;

  constructor(epoll: Pick<Epoll, 'wait'>, clock: Pick<Clock, 'us' | 'tick'>) {
    this.#epoll = epoll;
    this.#clock = clock;
  }

  /** Waits up to `timeoutMs` for events and returns how many there are; the clock is up to date then. */
  next(timeoutMs: number): number {
    if (timeoutMs === 0) return this.#ask(0);
    const since = this.#clock.us;
    if (this.#looks) {
      do {
        const ready = this.#ask(0);
        if (ready > 0) return ready;
        schedYield();
      } while (((this.#clock.us - since) | 0) < LOOK_US);
    }
    const ready = this.#ask(timeoutMs);
    const waited = (this.#clock.us - since) | 0;
    this.#looks = waited >= 0 && waited < LOOK_US;
    return ready;
  }

  #ask(timeoutMs: number): number {
    const ready = this.#epoll.wait(timeoutMs);
    this.#clock.tick();
    return ready;
  }
}
