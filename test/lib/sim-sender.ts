/**
 * The sending half of the simulated guest: slow start and congestion avoidance (RFC 5681), loss found by what was sent
 * later and has arrived (in the manner of RFC 8985, counting segments), a probe for a lost tail, time-outs (RFC 6298).
 * The stream is cut into segments once; the last one is the FIN.
 */

const INITIAL_SEGMENTS = 10;
const REORDERED_SEGMENTS = 3;
const SHORTEST_RTO_US = 200_000;
const SHORTEST_PROBE_US = 10_000;
const INITIAL_RTO_US = 1_000_000;
const MOST_TIMEOUTS = 12;

export type Transmit = (seq: number, bytes: number, fin: boolean) => void;

export class SimSender {
  readonly #bytes: number;
  readonly #mss: number;
  readonly #limit: number;
  readonly #transmit: Transmit;
  /** Of each segment: it has arrived; it counts as lost; number and time of its last transmission */
  readonly #arrived: Uint8Array;
  readonly #lost: Uint8Array;
  readonly #order: Int32Array;
  readonly #sentUs: Float64Array;
  readonly #again: Uint8Array;
  readonly #segments: number;
  #orders = 0;
  #newest = 0;
  #una = 0;
  #next = 0;
  #cwnd: number;
  #ssthresh = Number.POSITIVE_INFINITY;
  #recover = -1;
  #edge = 1;
  #srttUs = -1;
  #varUs = 0;
  #backoff = 0;
  #isProbed = false;
  #timerUs = Number.POSITIVE_INFINITY;

  /**
   * @param bytes of the stream; what they are only `transmit` knows
   * @param limit most bytes on their way, those of the guest's send buffer
   */
  constructor(bytes: number, mss: number, limit: number, transmit: Transmit) {
    this.#bytes = bytes;
    this.#mss = mss;
    this.#limit = limit;
    this.#transmit = transmit;
    this.#segments = Math.ceil(bytes / mss) + 1;
    this.#arrived = new Uint8Array(this.#segments);
    this.#lost = new Uint8Array(this.#segments);
    this.#again = new Uint8Array(this.#segments);
    this.#order = new Int32Array(this.#segments);
    this.#sentUs = new Float64Array(this.#segments);
    this.#cwnd = INITIAL_SEGMENTS * mss;
  }

  /** When time runs out for what is on its way. */
  get timerUs(): number {
    return this.#timerUs;
  }

  /** The number after the last sent. */
  get nextNumber(): number {
    return this.#next === this.#segments ? this.#bytes + 2 : this.#start(this.#next);
  }

  #start(index: number): number {
    return 1 + Math.min(index * this.#mss, this.#bytes);
  }

  #length(index: number): number {
    return Math.max(0, Math.min(this.#mss, this.#bytes - index * this.#mss));
  }

  /** Index of the first segment that is not wholly before `number`. */
  #indexOf(number: number): number {
    if (number > this.#bytes) return this.#segments - (number > this.#bytes + 1 ? 0 : 1);
    return Math.floor((number - 1) / this.#mss);
  }

  /**
   * The gateway has everything before `ack` and the ranges (edges alternating), and takes what comes before `edge`.
   */
  acknowledged(ack: number, ranges: readonly number[], edge: number, nowUs: number): void {
    this.#edge = Math.max(this.#edge, edge);
    const una = Math.max(this.#una, this.#indexOf(ack));
    let bytes = 0;
    for (let i = this.#una; i < una; i++) bytes += this.#arrive(i, nowUs);
    for (let at = 0; at + 1 < ranges.length; at += 2) {
      const from = Math.max(una, Math.ceil((ranges[at]! - 1) / this.#mss));
      for (let i = from; i < this.#indexOf(ranges[at + 1]!); i++) bytes += this.#arrive(i, nowUs);
    }
    if (una > this.#una) {
      this.#una = una;
      this.#backoff = 0;
      if (this.#next < una) this.#next = una;
    }
    if (this.#una > this.#recover) this.#recover = -1;
    this.#findLost();
    if (this.#recover < 0 && bytes > 0) this.#open(bytes);
    if (bytes > 0) this.#isProbed = false;
    this.send(nowUs);
    if (bytes > 0) this.#setTimer(nowUs);
  }

  #open(bytes: number): void {
    if (this.#cwnd < this.#ssthresh) this.#cwnd += bytes;
    else this.#cwnd += (this.#mss * bytes) / this.#cwnd;
    this.#cwnd = Math.min(this.#cwnd, 2 * this.#limit);
  }

  /** Bytes that are new. */
  #arrive(index: number, nowUs: number): number {
    if (this.#arrived[index] === 1) return 0;
    this.#arrived[index] = 1;
    this.#lost[index] = 0;
    const roundTrip = nowUs - this.#sentUs[index]!;
    const isFirst = this.#again[index] === 0;
    if (isFirst) this.#measured(roundTrip);
    // Of one sent twice it is not known which of the two arrived, unless there was no time for the second to.
    if (isFirst || roundTrip >= this.#srttUs / 2) this.#newest = Math.max(this.#newest, this.#order[index]!);
    return Math.max(1, this.#length(index));
  }

  #measured(us: number): void {
    if (this.#srttUs < 0) {
      this.#srttUs = us;
      this.#varUs = us / 2;
      return;
    }
    this.#varUs += (Math.abs(us - this.#srttUs) - this.#varUs) / 4;
    this.#srttUs += (us - this.#srttUs) / 8;
  }

  #findLost(): void {
    let found = false;
    for (let i = this.#una; i < this.#next; i++) {
      if (this.#arrived[i] === 1 || this.#lost[i] === 1) continue;
      if (this.#order[i]! > this.#newest - REORDERED_SEGMENTS) continue;
      this.#lost[i] = 1;
      found = true;
    }
    if (!found || this.#recover >= 0) return;
    this.#ssthresh = Math.max(this.#cwnd / 2, 2 * this.#mss);
    this.#cwnd = this.#ssthresh;
    this.#recover = this.#next - 1;
  }

  #pipe(): number {
    let bytes = 0;
    for (let i = this.#una; i < this.#next; i++) {
      if (this.#arrived[i] === 0 && this.#lost[i] === 0) bytes += this.#length(i);
    }
    return bytes;
  }

  /** Sends what may be sent. */
  send(nowUs: number): void {
    let pipe = this.#pipe();
    for (let i = this.#una; i < this.#next && pipe + this.#mss <= this.#cwnd; i++) {
      if (this.#lost[i] === 0) continue;
      this.#emit(i, nowUs);
      pipe += this.#length(i);
    }
    while (this.#next < this.#segments && pipe + this.#length(this.#next) <= this.#cwnd) {
      const end = this.#start(this.#next) + this.#length(this.#next);
      if (end > this.#edge || end - this.#start(this.#una) > this.#limit) break;
      pipe += this.#length(this.#next);
      this.#emit(this.#next++, nowUs);
    }
  }

  #emit(index: number, nowUs: number): void {
    this.#again[index] = this.#order[index] === 0 ? 0 : 1;
    this.#order[index] = ++this.#orders;
    this.#sentUs[index] = nowUs;
    this.#lost[index] = 0;
    const length = this.#length(index);
    this.#transmit(this.#start(index), length, index === this.#segments - 1);
    this.#setTimer(nowUs);
  }

  #setTimer(nowUs: number): void {
    if (this.#una === this.#next) {
      this.#timerUs = Number.POSITIVE_INFINITY;
      return;
    }
    const probes = this.#srttUs >= 0 && this.#backoff === 0 && !this.#isProbed && this.#recover < 0;
    if (probes) this.#timerUs = nowUs + Math.max(SHORTEST_PROBE_US, 2 * this.#srttUs);
    else {
      const base = this.#srttUs < 0 ? INITIAL_RTO_US : this.#srttUs + 4 * this.#varUs;
      this.#timerUs = nowUs + Math.max(SHORTEST_RTO_US, base) * 2 ** this.#backoff;
    }
  }

  /** Time has run out: the tail is probed first, then everything counts as lost. */
  expire(nowUs: number): void {
    if (this.#una === this.#next) return;
    if (this.#srttUs >= 0 && this.#backoff === 0 && !this.#isProbed && this.#recover < 0) {
      this.#isProbed = true;
      let last = this.#next - 1;
      while (this.#arrived[last] === 1) last--;
      this.#emit(last, nowUs);
      return;
    }
    if (this.#backoff === 0) this.#ssthresh = Math.max(this.#cwnd / 2, 2 * this.#mss);
    if (++this.#backoff > MOST_TIMEOUTS) throw new Error('the guest gives up');
    this.#cwnd = this.#mss;
    this.#recover = -1;
    for (let i = this.#una; i < this.#next; i++) this.#lost[i] = this.#arrived[i] === 1 ? 0 : 1;
    this.send(nowUs);
  }
}
