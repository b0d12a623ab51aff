/**
 * The receiving half of the simulated guest: takes everything at once, acknowledges every second segment and whatever
 * is out of order at once, the rest late (RFC 5681 section 4.2), with SACK (RFC 2018). It fails the test where a byte
 * is wrong, or was sent beyond the window it offered.
 */

/** Longest an acknowledgment waits, `us`: Linux's */
const ACK_DELAY_US = 40_000;
const SACK_BLOCKS = 3;

export class SimReceiver {
  /** Next number expected; the first byte is number 1 */
  next = 1;
  ended = false;
  /** When an acknowledgment is due, `Infinity` when none is */
  ackUs = Number.POSITIVE_INFINITY;
  readonly #stream: Uint8Array;
  readonly #windowBytes: number;
  readonly #mss: number;
  /** Sorted, apart from each other, beyond `next` */
  readonly #ranges: [number, number][] = [];
  #latest = 0;
  #fin = -1;
  #acked = 1;
  #edge = 1;

  /** @param stream what is to come */
  constructor(stream: Uint8Array, windowBytes: number, mss: number) {
    this.#stream = stream;
    this.#windowBytes = windowBytes;
    this.#mss = mss;
  }

  /** Takes note that everything so far is acknowledged, and the window offered; blocks for the acknowledgment. */
  acknowledged(): [number, number][] {
    this.#acked = this.next;
    this.#edge = Math.max(this.#edge, this.next + this.#windowBytes);
    this.ackUs = Number.POSITIVE_INFINITY;
    const latest = this.#ranges.find(([start, end]) => start <= this.#latest && this.#latest < end);
    const others = this.#ranges.filter((range) => range !== latest);
    return latest === undefined ? [] : [latest, ...others.slice(0, SACK_BLOCKS - 1)];
  }

  take(seq: number, data: Uint8Array, fin: boolean, nowUs: number): void {
    const end = seq + data.length;
    if (data.length === 0 && !fin) return;
    if (end > this.#edge) throw new Error(`sent up to ${end}, beyond the window's edge at ${this.#edge}`);
    if (Buffer.compare(data, this.#stream.subarray(seq - 1, end - 1)) !== 0) {
      throw new Error(`wrong bytes from ${seq} to ${end}`);
    }
    if (fin) {
      if (end !== this.#stream.length + 1) throw new Error(`the end is at ${end}`);
      this.#fin = end;
    }
    const inOrder = seq <= this.next && end > this.next && this.#ranges.length === 0;
    if (end > this.next) this.#add(Math.max(seq, this.next), end);
    const first = this.#ranges[0];
    if (first?.[0] === this.next) {
      this.next = first[1];
      this.#ranges.shift();
    }
    if (this.next === this.#fin) {
      this.ended = true;
      this.next++;
    }
    const late = inOrder && !this.ended && this.next - this.#acked < 2 * this.#mss;
    this.ackUs = Math.min(this.ackUs, late ? nowUs + ACK_DELAY_US : nowUs);
  }

  #add(start: number, end: number): void {
    this.#latest = start;
    const ranges = this.#ranges;
    const first = ranges.findIndex((range) => range[1] >= start);
    if (first < 0) {
      ranges.push([start, end]);
      return;
    }
    let last = first;
    let [from, to] = [start, end];
    for (; last < ranges.length && ranges[last]![0] <= end; last++) {
      from = Math.min(from, ranges[last]![0]);
      to = Math.max(to, ranges[last]![1]);
    }
    ranges.splice(first, last - first, [from, to]);
  }
}
