/**
 * The way of captured frames from a datapath worker to the control thread: a ring in shared memory, one for each.
 *
 * Theory of operation. One thread writes, one reads, neither waits. Positions only grow (int32 that wraps) and are
 * places modulo the size. A record is whole in one piece: where the ring's end is too near, a record of kind NOTHING
 * fills it. The writer reserves, fills in, and publishes what it has by moving `head`; the reader frees by moving
 * `tail`. What finds no room is the writer's to count.
 *
 *     | bytes | kind | port | reason | seconds | nanoseconds | length | kept | id | lost | frame ... |
 */

const HEAD = 0;
const TAIL = 1;
const CONTROL_WORDS = 16; // a cache line of its own
const RECORD_WORDS = 10;
export const RECORD_HEADER_BYTES = RECORD_WORDS * 4;
/** Up to so many are copied one by one: a view to copy from takes longer */
const LOOP_WORDS = 64;

export const NOTHING = 0;
export const RECEIVED = 1;
export const SENT = 2;

const KIND = 1;
const PORT = 2;
const REASON = 3;
const SECONDS = 4;
const NANOSECONDS = 5;
const LENGTH = 6;
const KEPT = 7;
const ID = 8;
const LOST = 9;

/** Memory for a ring of `bytes`, a power of two. */
export function allocateRing(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_WORDS * 4 + bytes);
}

class Ring {
  protected readonly control: Int32Array;
  protected readonly words: Int32Array;
  protected readonly u8: Uint8Array;
  protected readonly size: number;

  constructor(memory: SharedArrayBuffer) {
    this.size = memory.byteLength - CONTROL_WORDS * 4;
    this.control = new Int32Array(memory, 0, CONTROL_WORDS);
    this.words = new Int32Array(memory, CONTROL_WORDS * 4);
    this.u8 = new Uint8Array(memory, CONTROL_WORDS * 4);
  }
}

export class RingWriter extends Ring {
  /** Up to where is reserved */
  #head: number;

  /** Goes on where a writer before it has published to. */
  constructor(memory: SharedArrayBuffer) {
    super(memory);
    this.#head = Atomics.load(this.control, HEAD);
  }

  /** Place of a new record with room for `kept` bytes of a frame, of kind NOTHING; -1 where there is no room. */
  reserve(kept: number): number {
    const bytes = (RECORD_HEADER_BYTES + kept + 3) & ~3;
    const place = this.#head & (this.size - 1);
    const gap = place + bytes > this.size ? this.size - place : 0;
    const used = (this.#head - Atomics.load(this.control, TAIL)) | 0;
    if (used + gap + bytes > this.size) return -1;
    if (gap > 0) this.#begin(place, gap);
    const at = gap > 0 ? 0 : place;
    this.#begin(at, bytes);
    this.words[(at >> 2) + KEPT] = kept;
    this.#head = (this.#head + gap + bytes) | 0;
    return at;
  }

  /** A gap may be shorter than a header: no more than the two words that the reader looks at is written. */
  #begin(at: number, bytes: number): void {
    this.words[at >> 2] = bytes;
    if (bytes > 4) this.words[(at >> 2) + KIND] = NOTHING;
  }

  /** Fills a record in. */
  fill(
    at: number,
    kind: number,
    port: number,
    reason: number,
    length: number,
    id: number,
    lost: number,
  ): void {
    const { words } = this;
    const word = at >> 2;
    words[word + KIND] = kind;
    words[word + PORT] = port;
    words[word + REASON] = reason;
    words[word + LENGTH] = length;
    words[word + ID] = id;
    words[word + LOST] = lost;
  }

  setTime(at: number, seconds: number, nanoseconds: number): void {
    this.words[(at >> 2) + SECONDS] = seconds;
    this.words[(at >> 2) + NANOSECONDS] = nanoseconds;
  }

  /** Copies bytes of the frame into a record, to `offset` of it. */
  copy(at: number, offset: number, from: Uint8Array): void {
    this.u8.set(from, at + RECORD_HEADER_BYTES + offset);
  }

  setReason(at: number, reason: number): void {
    this.words[(at >> 2) + REASON] = reason;
  }

  /** Takes a record back; its place stays used until the reader has passed it. */
  withdraw(at: number): void {
    this.words[(at >> 2) + KIND] = NOTHING;
  }

  publish(): void {
    Atomics.store(this.control, HEAD, this.#head);
  }
}

/**
 * Goes from frame to frame of what is published: {@link RingReader.open}, then for each frame it `isAt` its fields and
 * {@link RingReader.next}, then {@link RingReader.close}.
 */
export class RingReader extends Ring {
  #head = 0;
  #tail = 0;
  /** First word of the record it is at */
  #word = 0;
  #isAt = false;

  /** Looks at what is published by now. */
  open(): void {
    this.#head = Atomics.load(this.control, HEAD);
    this.#tail = Atomics.load(this.control, TAIL);
    this.#seek();
  }

  /** Frees what has been passed. */
  close(): void {
    Atomics.store(this.control, TAIL, this.#tail);
  }

  /** Whether it is at a frame: there are none left where not. */
  get isAt(): boolean {
    return this.#isAt;
  }

  next(): void {
    this.#pass();
    this.#seek();
  }

  #pass(): void {
    this.#tail = (this.#tail + (this.words[this.#word] as number)) | 0;
  }

  #seek(): void {
    for (; this.#tail !== this.#head; this.#pass()) {
      this.#word = (this.#tail & (this.size - 1)) >> 2;
      const bytes = this.words[this.#word] as number;
      this.#isAt = bytes > 4 && this.words[this.#word + KIND] !== NOTHING;
      if (this.#isAt) return;
    }
    this.#isAt = false;
  }

  #field(field: number): number {
    return this.words[this.#word + field] as number;
  }

  get kind(): number {
    return this.#field(KIND);
  }

  get port(): number {
    return this.#field(PORT);
  }

  /** Number of the drop reason, NOT_DROPPED for none */
  get reason(): number {
    return this.#field(REASON);
  }

  get seconds(): number {
    return this.#field(SECONDS);
  }

  get nanoseconds(): number {
    return this.#field(NANOSECONDS);
  }

  /** Bytes the frame had */
  get length(): number {
    return this.#field(LENGTH);
  }

  /** Bytes of it that were kept */
  get kept(): number {
    return this.#field(KEPT);
  }

  get id(): number {
    return this.#field(ID);
  }

  /** Frames of that port that found no room since the one before */
  get lost(): number {
    return this.#field(LOST);
  }

  /** What was kept, valid until {@link RingReader.close} */
  get frame(): Uint8Array {
    const start = this.#word * 4 + RECORD_HEADER_BYTES;
    return this.u8.subarray(start, start + this.kept);
  }

  /** Copies what was kept, and what is behind it up to the next multiple of four, to a word of another array. */
  copyWords(to: Int32Array, at: number): void {
    const from = this.#word + RECORD_WORDS;
    const count = (this.kept + 3) >> 2;
    if (count > LOOP_WORDS) to.set(this.words.subarray(from, from + count), at);
    else for (let i = 0; i < count; i++) to[at + i] = this.words[from + i] as number;
  }
}
