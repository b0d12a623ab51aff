/**
 * A bounded hash map from three int32 keys to one int32, in memory shared between workers.
 *
 * Theory of operation. Two-choice hashing into buckets of eight entries: an entry lives in one of two buckets and
 * never moves, so readers need no lock. An entry counts while its expiry time lies ahead; ageing is reading the
 * clock, there is no sweeper. Writers hold a spin lock for the length of one insertion (well under a microsecond;
 * insertions happen when something is learned or a flow begins, not per frame). An entry is published by writing its
 * expiry last. A reader that races with a writer may miss an entry or see one end; both are what it would have seen a
 * moment earlier or later.
 *
 * Full: with both buckets full of live entries the one that would expire first gives way, pinned entries never do.
 * When all sixteen are pinned the insertion is refused.
 *
 *     entry  | expiry s | key0 | key1 | key2 | value | 3 spare |     8 int32, half a cache line
 */
const ENTRY_INTS = 8;
const BUCKET_ENTRIES = 8;
const EXPIRY = 0;
const KEY0 = 1;
const KEY1 = 2;
const KEY2 = 3;
const VALUE = 4;
const LOCK_INTS = 8;

/** Expiry of an entry that never ages and is never displaced. */
export const PINNED = 0x7fffffff;
/** No such entry. */
export const NONE = -1;

/** Memory for a map of at least `capacity` entries. */
export function allocateSharedMap(capacity: number): SharedArrayBuffer {
  let buckets = 1;
  while (buckets * BUCKET_ENTRIES < capacity) buckets *= 2;
  return new SharedArrayBuffer(
    (LOCK_INTS + buckets * BUCKET_ENTRIES * ENTRY_INTS) * Int32Array.BYTES_PER_ELEMENT,
  );
}

/** A map of its own with the same entries; nobody holds its lock. */
export function copySharedMap(memory: SharedArrayBuffer): SharedArrayBuffer {
  const copy = memory.slice(0);
  // A writer may have been at work: what it leaves is an entry that has ended, as any reader may meet one.
  new Int32Array(copy, 0, LOCK_INTS).fill(0);
  return copy;
}

function mix(key0: number, key1: number, key2: number): number {
  let hash = Math.imul(key0, 0x9e3779b1) ^ Math.imul(key1, 0x85ebca6b) ^ Math.imul(key2, 0xc2b2ae35);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

export class SharedMap {
  readonly #ints: Int32Array;
  readonly #bucketMask: number;

  constructor(buffer: SharedArrayBuffer) {
    this.#ints = new Int32Array(buffer);
    this.#bucketMask = (this.#ints.length - LOCK_INTS) / (BUCKET_ENTRIES * ENTRY_INTS) - 1;
  }

  #bucketStart(bucket: number): number {
    return LOCK_INTS + (bucket & this.#bucketMask) * BUCKET_ENTRIES * ENTRY_INTS;
  }

  #findIn(start: number, key0: number, key1: number, key2: number, now: number): number {
    const ints = this.#ints;
    for (let at = start; at < start + BUCKET_ENTRIES * ENTRY_INTS; at += ENTRY_INTS) {
      if (
        ints[at + KEY0] === key0 &&
        ints[at + KEY1] === key1 &&
        ints[at + KEY2] === key2 &&
        (ints[at + EXPIRY] as number) > now
      ) {
        return at;
      }
    }
    return NONE;
  }

  /** Entry of a key that has not expired at `now` (seconds), or {@link NONE}. */
  find(key0: number, key1: number, key2: number, now: number): number {
    const hash = mix(key0, key1, key2);
    const first = this.#findIn(this.#bucketStart(hash), key0, key1, key2, now);
    if (first !== NONE) return first;
    return this.#findIn(this.#bucketStart(hash >>> 16), key0, key1, key2, now);
  }

  value(entry: number): number {
    return this.#ints[entry + VALUE] as number;
  }

  /** Puts an entry's expiry off, if it is not pinned. */
  refresh(entry: number, expiry: number): void {
    if (this.#ints[entry + EXPIRY] !== PINNED) this.#ints[entry + EXPIRY] = expiry;
  }

  /**
   * Adds or replaces a key's entry. Returns it, or {@link NONE} when its buckets hold nothing but pinned entries.
   *
   * @param expiry seconds at which it ends, or {@link PINNED}
   * @param owner number of the calling thread, for {@link unlockDead}
   */
  insert(key0: number, key1: number, key2: number, value: number, expiry: number, owner: number): number {
    this.#lock(owner);
    // Expired or not: a key never has two entries, or removing it would leave one.
    let entry = this.find(key0, key1, key2, 0);
    if (entry === NONE) entry = this.#victim(mix(key0, key1, key2));
    if (entry !== NONE) {
      const ints = this.#ints;
      ints[entry + EXPIRY] = 0;
      ints[entry + KEY0] = key0;
      ints[entry + KEY1] = key1;
      ints[entry + KEY2] = key2;
      ints[entry + VALUE] = value;
      Atomics.store(ints, entry + EXPIRY, expiry);
    }
    this.#unlock();
    return entry;
  }

  #victim(hash: number): number {
    const one = this.#soonest(this.#bucketStart(hash));
    const other = this.#soonest(this.#bucketStart(hash >>> 16));
    const victim = (this.#ints[one] as number) <= (this.#ints[other] as number) ? one : other;
    return this.#ints[victim] === PINNED ? NONE : victim;
  }

  #soonest(start: number): number {
    let soonest = start;
    for (let at = start; at < start + BUCKET_ENTRIES * ENTRY_INTS; at += ENTRY_INTS) {
      if ((this.#ints[at] as number) < (this.#ints[soonest] as number)) soonest = at;
    }
    return soonest;
  }

  /** Ends a key's entry, pinned or not. */
  remove(key0: number, key1: number, key2: number, owner: number): void {
    this.#lock(owner);
    const entry = this.find(key0, key1, key2, 0);
    if (entry !== NONE) Atomics.store(this.#ints, entry + EXPIRY, 0);
    this.#unlock();
  }

  /** Ends every entry that holds `value`. Walks the whole map: for set-up code. */
  removeValue(value: number, owner: number): void {
    this.#lock(owner);
    for (let at = LOCK_INTS; at < this.#ints.length; at += ENTRY_INTS) {
      if (this.#ints[at + VALUE] === value) this.#ints[at + EXPIRY] = 0;
    }
    this.#unlock();
  }

  /** Live entries at `now`, for listings: `[key0, key1, key2, value, expiry]`. */
  *entries(now: number): Generator<[number, number, number, number, number]> {
    for (let at = LOCK_INTS; at < this.#ints.length; at += ENTRY_INTS) {
      const [expiry, key0, key1, key2, value] = this.#ints.subarray(at, at + 5) as unknown as number[];
      if ((expiry as number) > now) {
        yield [key0 as number, key1 as number, key2 as number, value as number, expiry as number];
      }
    }
  }

  #lock(owner: number): void {
    while (Atomics.compareExchange(this.#ints, 0, 0, owner + 1) !== 0) {
      // Held for one insertion by another worker: spinning is shorter than any way of sleeping.
    }
  }

  #unlock(): void {
    Atomics.store(this.#ints, 0, 0);
  }

  /** Frees the lock if the thread `owner`, which is gone, died holding it. */
  unlockDead(owner: number): void {
    Atomics.compareExchange(this.#ints, 0, owner + 1, 0);
  }
}
