/** Whole streams over a wire that loses, repeats and reorders: what arrives is what was sent. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { ACK, FIN } from '../../lib/frames.ts';
import { MSS, MSS_OPTION, pattern, type Seen, SYN_OPTIONS, TcpScript } from '../../lib/tcp-script.ts';

const LONGEST_MS = 600_000;
const scripts: TcpScript[] = [];

afterEach(() => {
  for (const script of scripts.splice(0)) script.dispose();
});

function established(options: readonly number[], sendBuffer = 0): TcpScript {
  const script = new TcpScript({ iss: -20_000, sendBuffer }).establish(options);
  scripts.push(script);
  return script;
}

/** Numbers below 1, the same for the same seed. */
function dice(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** What a guest has of a stream, which says so with or without SACK. */
class Receiver {
  readonly bytes: Uint8Array;
  readonly #has: Uint8Array;
  next = 1;
  ended = false;
  #fin = -1;

  constructor(count: number) {
    this.bytes = new Uint8Array(count);
    this.#has = new Uint8Array(count + 2);
  }

  take(seq: number, data: Uint8Array, fin: boolean): void {
    this.bytes.set(data, seq - 1);
    this.#has.fill(1, seq, seq + data.length);
    if (fin) this.#fin = seq + data.length;
    while (this.#has[this.next] === 1) this.next++;
    if (this.next === this.#fin) {
      this.ended = true;
      this.next++;
    }
  }

  /** Up to three ranges beyond `next`. */
  ranges(): [number, number][] {
    const found: [number, number][] = [];
    for (let at = this.next + 1; at < this.#has.length && found.length < 3; at++) {
      if (this.#has[at] === 0) continue;
      const start = at;
      while (this.#has[at] === 1) at++;
      found.push([start, at]);
    }
    return found;
  }
}

/** A frame as the segments it is cut into. */
function segments({ seq, data, flags }: Seen): { seq: number; data: Uint8Array; fin: boolean }[] {
  const cut: { seq: number; data: Uint8Array; fin: boolean }[] = [];
  for (let at = 0; at === 0 || at < data.length; at += MSS) {
    const end = Math.min(data.length, at + MSS);
    const fin = flags.includes('F') && end === data.length;
    if (end > at || fin) cut.push({ seq: seq + at, data: data.subarray(at, end), fin });
  }
  return cut;
}

interface Wire {
  readonly seed: number;
  /** Of a hundred segments, and as many acknowledgments, so many are lost */
  readonly lost: number;
  readonly sack: boolean;
}

const wire = fc.record({
  seed: fc.integer({ min: 1, max: 2 ** 30 }),
  lost: fc.constantFrom(0, 1, 5, 15),
  sack: fc.boolean(),
});

/** The host's `count` bytes and its end, until the guest has them. Returns what the guest has. */
function download(script: TcpScript, count: number, { seed, lost, sack }: Wire): Receiver {
  const roll = dice(seed);
  const receiver = new Receiver(count);
  const stream = pattern(count);
  let wrote = 0;
  let isEnded = false;
  let arriving: Seen[] = [];
  for (let ms = 0; ms < LONGEST_MS && !receiver.ended; ms++) {
    if (wrote < count) {
      const { took, seen } = tryWrite(script, stream.subarray(wrote, wrote + 50_000));
      wrote += took;
      arriving.push(...seen);
    } else if (!isEnded) {
      isEnded = true;
      arriving.push(...script.end());
    }
    const now = arriving.flatMap(segments);
    arriving = [];
    if (roll() < 0.2) now.reverse();
    for (const { seq, data, fin } of now) {
      if (roll() * 100 < lost) continue;
      receiver.take(seq, data, fin);
      if (roll() * 100 < lost) continue;
      const ranges = sack ? receiver.ranges() : [];
      const options = ranges.length > 0 ? script.sack(...ranges) : [];
      arriving.push(...script.guest({ ack: receiver.next, options }));
    }
    arriving.push(...script.pass(1));
  }
  return receiver;
}

function tryWrite(script: TcpScript, data: Uint8Array): { took: number; seen: Seen[] } {
  try {
    return script.write(data);
  } catch {
    return { took: 0, seen: [] };
  }
}

describe('from the host to the guest', () => {
  test('any losses and reorderings -> the whole stream and its end', () => {
    fc.assert(
      fc.property(wire, fc.integer({ min: 1, max: 60_000 }), (how, count) => {
        const script = established(how.sack ? SYN_OPTIONS : MSS_OPTION);
        const receiver = download(script, count, how);
        expect(receiver.ended).toBe(true);
        expect(Buffer.from(receiver.bytes).equals(Buffer.from(pattern(count)))).toBe(true);
        script.guest({ ack: receiver.next });
        expect(script.flow?.inFlight ?? 0).toBe(0);
        expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
      }),
      { numRuns: 40, endOnFailure: true },
    );
  }, 120_000);
});

describe('from the guest to the host', () => {
  test('any losses, repetitions and reorderings, a host that reads as it likes -> the whole stream and its end', () => {
    fc.assert(
      fc.property(wire, fc.integer({ min: 1, max: 60_000 }), ({ seed, lost }, count) => {
        const roll = dice(seed);
        const script = established(SYN_OPTIONS, 4096);
        const stream = pattern(count);
        const heard: Uint8Array[] = [];
        let [acked, ended] = [1, false];
        const listen = (seen: readonly Seen[]) => {
          for (const { ack } of seen) if (roll() * 100 >= lost && ack > acked) acked = ack;
        };
        for (let rounds = 0; rounds < 20_000 && !ended; rounds++) {
          // Any piece of the next few thousand bytes, and now and then the first that is missing
          const from = Math.min(count, acked - 1 + (roll() < 0.4 ? 0 : Math.floor(roll() * 5000)));
          const to = Math.min(count, from + 1 + Math.floor(roll() * 1500));
          const flags = to === count ? ACK | FIN : ACK;
          if (roll() * 100 >= lost && acked <= count + 1) {
            listen(script.guest({ seq: 1 + from, data: stream.subarray(from, to), flags }));
          }
          listen(script.pass(1));
          if (roll() < 0.5) continue;
          const got = script.read(1 + Math.floor(roll() * 4000));
          if (got instanceof Uint8Array) heard.push(got);
          else if (got === 'end') ended = true;
          listen(script.poll());
        }
        expect(ended).toBe(true);
        expect(Buffer.concat(heard).equals(Buffer.from(stream))).toBe(true);
        expect(script.flow?.receiveBuffer).toBeUndefined();
      }),
      { numRuns: 40, endOnFailure: true },
    );
  }, 120_000);
});
