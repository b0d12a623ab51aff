/**
 * The gateway's timers: setting, moving and cancelling one costs the same however many there are.
 *
 * Theory of operation. Three rings of 256 lists: the first holds what is due within 256 ms, a list a millisecond; the
 * second within 65 s, a list for 256 ms; the third the rest, a list for 65 s. As time goes on, each list of a coarse
 * ring is dealt out to the finer one when its turn comes. Lists are intrusive, so nothing is allocated.
 *
 * Times are int32 milliseconds that wrap (sys/clock); a timer may be at most 12 days away.
 */
const RING_SLOTS = 256;
const SLOT_MASK = RING_SLOTS - 1;
const RING_BITS = 8;
const RINGS = 3;
const FARTHEST_MS = 2 ** 30;

/** Whoever is told that a timer has run out. */
export interface Timed {
  /** @param timer the one that has, for whoever has several */
  expire(timer: Timer): void;
}

export class Timer {
  readonly owner: Timed | undefined;
  dueMs = 0;
  next: Timer = this;
  previous: Timer = this;

  constructor(owner: Timed | undefined) {
    this.owner = owner;
  }

  get isSet(): boolean {
    return this.next !== this;
  }

  /** Takes the timer out of its list. */
  cancel(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.next = this;
    this.previous = this;
  }
}

export class TimerWheel {
  /** Head of each list, ring after ring: a timer of nobody's */
  readonly #heads: Timer[] = Array.from({ length: RINGS * RING_SLOTS }, () => new Timer(undefined));
  /** Everything due before is done */
  #nowMs: number;
  /** Nothing is due before this: found by looking, and brought forward by what is set since */
  #quietUntilMs: number;

  /** @param nowMs the present */
  constructor(nowMs: number) {
    this.#nowMs = nowMs;
    this.#quietUntilMs = nowMs;
  }

  /** Lets `timer` run out `delayMs` after `nowMs`, whenever it was to before. */
  set(timer: Timer, nowMs: number, delayMs: number): void {
    if (timer.isSet) timer.cancel();
    // Never at once: a timer set again by its owner would run out for ever.
    timer.dueMs = (nowMs + Math.max(1, Math.min(delayMs, FARTHEST_MS))) | 0;
    if (((timer.dueMs - this.#quietUntilMs) | 0) < 0) this.#quietUntilMs = timer.dueMs;
    this.#insert(timer);
  }

  #insert(timer: Timer): void {
    const away = Math.max(0, (timer.dueMs - this.#nowMs) | 0);
    const due = (this.#nowMs + away) | 0;
    let ring = 0;
    while (ring < RINGS - 1 && away >= 1 << (RING_BITS * (ring + 1))) ring++;
    // Beyond the last ring's reach it lies in its last list, and is put off from there.
    const reach = 1 << (RING_BITS * RINGS);
    const at = away < reach ? due : (this.#nowMs + reach - 1) | 0;
    const slot = (at >>> (RING_BITS * ring)) & SLOT_MASK;
    const head = this.#heads[ring * RING_SLOTS + slot] as Timer;
    timer.previous = head.previous;
    timer.next = head;
    head.previous.next = timer;
    head.previous = timer;
  }

  /** Tells the owners of all timers that are due at `nowMs`. */
  advance(nowMs: number): void {
    while (((nowMs - this.#nowMs) | 0) >= 0) {
      if ((this.#nowMs & SLOT_MASK) === 0) this.#deal(1);
      this.#fire(this.#heads[this.#nowMs & SLOT_MASK] as Timer);
      this.#nowMs = (this.#nowMs + 1) | 0;
    }
  }

  #deal(ring: number): void {
    if (ring === RINGS) return;
    const slot = (this.#nowMs >>> (RING_BITS * ring)) & SLOT_MASK;
    if (slot === 0) this.#deal(ring + 1);
    const head = this.#heads[ring * RING_SLOTS + slot] as Timer;
    // What is still too far away returns to this very list: only what is there now is looked at.
    let count = 0;
    for (let timer = head.next; timer !== head; timer = timer.next) count++;
    for (; count > 0; count--) {
      const timer = head.next;
      timer.cancel();
      this.#insert(timer);
    }
  }

  #fire(head: Timer): void {
    while (head.next !== head) {
      const timer = head.next;
      timer.cancel();
      timer.owner?.expire(timer);
    }
  }

  /** Milliseconds from `nowMs` until something may be due, at most `limitMs`. */
  dueIn(nowMs: number, limitMs: number): number {
    const quiet = (this.#quietUntilMs - nowMs) | 0;
    if (quiet > 0) return Math.min(quiet, limitMs);
    const found = this.#look(nowMs, limitMs);
    this.#quietUntilMs = (nowMs + found) | 0;
    return found;
  }

  #look(nowMs: number, limitMs: number): number {
    const behind = (nowMs - this.#nowMs) | 0;
    for (let away = 0; away < limitMs; away++) {
      const at = (this.#nowMs + away) | 0;
      const head = this.#heads[at & SLOT_MASK] as Timer;
      // Where the next ring is dealt out, something may come from there.
      if (head.next !== head || ((at & SLOT_MASK) === 0 && this.#dealsAt(at)))
        return Math.max(0, away - behind);
    }
    return limitMs;
  }

  #dealsAt(at: number): boolean {
    const second = this.#heads[RING_SLOTS + ((at >>> RING_BITS) & SLOT_MASK)] as Timer;
    return second.next !== second || ((at >>> RING_BITS) & SLOT_MASK) === 0;
  }
}
