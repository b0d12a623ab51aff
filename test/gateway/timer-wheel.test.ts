import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Timed, Timer, TimerWheel } from '../../src/gateway/timer-wheel.ts';

/** Timers by number, and when each ran out. */
function bench(startMs: number, count: number) {
  const wheel = new TimerWheel(startMs);
  const fired: { index: number; at: number }[] = [];
  let now = startMs;
  const timers = Array.from({ length: count }, (_, index) => {
    const owner: Timed = { expire: () => fired.push({ index, at: now }) };
    return new Timer(owner);
  });
  return {
    wheel,
    timers,
    fired,
    set: (index: number, delayMs: number) => wheel.set(timers[index] as Timer, now, delayMs),
    advance: (ms: number) => {
      now = (now + ms) | 0;
      wheel.advance(now);
    },
  };
}

const delay = fc.oneof(
  fc.integer({ min: 1, max: 600 }),
  fc.constantFrom(255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 131_072),
  fc.integer({ min: 1, max: 200_000 }),
);
const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('set' as const), index: fc.nat(7), ms: delay }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('cancel' as const), index: fc.nat(7), ms: delay }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('pass' as const), index: fc.nat(7), ms: delay }) },
);
const start = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -1, 255, 256, 65_536, 2 ** 31 - 1, 2 ** 31 - 70_000, -(2 ** 31), -300),
);

describe('against a naive model', () => {
  test('any settings, cancellations and pauses -> each fires once, in the advance its time falls in', () => {
    fc.assert(
      fc.property(start, fc.array(action, { maxLength: 30 }), (startMs, actions) => {
        const { set, timers, advance, fired } = bench(startMs, 8);
        const due = new Map<number, number>();
        let elapsed = 0;
        for (const { what, index, ms } of actions) {
          if (what === 'set') {
            set(index, ms);
            due.set(index, elapsed + ms);
          } else if (what === 'cancel') {
            (timers[index] as Timer).cancel();
            due.delete(index);
          } else {
            elapsed += ms;
            advance(ms);
            const expected = [...due].filter(([, at]) => at <= elapsed);
            const order = expected.sort(([, a], [, b]) => a - b).map(([, at]) => at);
            expect(fired.map(({ index: which }) => due.get(which))).toEqual(order);
            for (const [which] of expected) due.delete(which);
            fired.length = 0;
          }
          expect(timers.map(({ isSet }) => isSet)).toEqual(timers.map((_, i) => due.has(i)));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('a millisecond at a time -> each fires at its very millisecond', () => {
    fc.assert(
      fc.property(
        start,
        fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 20 }),
        (startMs, delays) => {
          const { set, advance, fired } = bench(startMs, delays.length);
          for (const [index, ms] of delays.entries()) set(index, ms);
          for (let i = 0; i < 2001; i++) advance(1);
          const at = fired.map(({ index, at: when }) => [index, (when - startMs) | 0]);
          expect(at.sort(([a], [b]) => a! - b!)).toEqual(delays.map((ms, index) => [index, ms]));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('asked when something is due -> never later than the first timer, and never 0 for nothing for ever', () => {
    fc.assert(
      fc.property(start, fc.array(delay, { minLength: 1, maxLength: 10 }), (startMs, delays) => {
        const { wheel, set, advance, fired } = bench(startMs, delays.length);
        for (const [index, ms] of delays.entries()) set(index, ms);
        const first = Math.min(...delays);
        let elapsed = 0;
        for (let looks = 0; fired.length === 0; looks++) {
          expect(looks).toBeLessThan(2000);
          const wait = wheel.dueIn((startMs + elapsed) | 0, 500);
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(elapsed + wait).toBeLessThanOrEqual(first);
          elapsed += Math.max(1, wait);
          advance(Math.max(1, wait));
        }
        expect(elapsed).toBeLessThanOrEqual(first + 1);
      }),
      { numRuns: 100 },
    );
  });
});

describe('a timer', () => {
  test('farther away than the coarsest ring reaches -> fires at its time all the same', () => {
    const { set, advance, fired } = bench(-5, 1);
    const far = 2 ** 24 + 2 ** 23;
    set(0, far);
    advance(far - 1);
    expect(fired).toEqual([]);
    advance(1);
    expect(fired).toHaveLength(1);
  });

  test.each([0, -5])('set for %i ms -> fires a millisecond later, not at once', (ms) => {
    const { set, advance, fired } = bench(100, 1);
    set(0, ms);
    advance(0);
    expect(fired).toEqual([]);
    advance(1);
    expect(fired).toHaveLength(1);
  });

  test('set again -> fires at the later time only', () => {
    const { set, advance, fired } = bench(0, 1);
    set(0, 10);
    set(0, 300);
    advance(299);
    expect(fired).toEqual([]);
    advance(1);
    expect(fired).toHaveLength(1);
  });

  test('set by its own owner as it fires -> fires again, once per interval', () => {
    const wheel = new TimerWheel(0);
    let [now, count] = [0, 0];
    const timer: Timer = new Timer({
      expire: () => {
        count++;
        wheel.set(timer, now, 100);
      },
    });
    wheel.set(timer, now, 100);
    while (now < 1000) wheel.advance(++now);
    expect(count).toBe(10);
  });

  test('that cancels another due in the same millisecond -> the other does not fire', () => {
    const wheel = new TimerWheel(0);
    const fired: string[] = [];
    const second = new Timer({ expire: () => fired.push('second') });
    const first = new Timer({
      expire: () => {
        fired.push('first');
        second.cancel();
      },
    });
    wheel.set(first, 0, 5);
    wheel.set(second, 0, 5);
    wheel.advance(10);
    expect(fired).toEqual(['first']);
  });

  test('nothing set -> nothing is due', () => {
    expect(new TimerWheel(1).dueIn(1, 200)).toBe(200);
  });
});
