import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_RANGES, RangeSet } from '../../../src/gateway/tcp/range-set.ts';

const SPACE = 400;

/** The ranges of a set as pairs, from `base` on. */
function ranges(set: RangeSet, base = 0): number[][] {
  return Array.from({ length: set.count }, (_, i) => [(set.start(i) - base) | 0, (set.end(i) - base) | 0]);
}

/** Runs of consecutive numbers. */
function runs(numbers: ReadonlySet<number>): number[][] {
  const found: number[][] = [];
  for (let at = 0; at <= SPACE; at++) {
    if (!numbers.has(at)) continue;
    const last = found.at(-1);
    if (last !== undefined && last[1] === at) last[1] = at + 1;
    else found.push([at, at + 1]);
  }
  return found;
}

const span = fc.tuple(fc.nat(SPACE - 60), fc.integer({ min: 1, max: 50 }));
const step = fc.oneof(
  { weight: 5, arbitrary: span.map(([from, count]) => ({ what: 'add' as const, from, to: from + count })) },
  { weight: 1, arbitrary: fc.nat(SPACE).map((from) => ({ what: 'drop' as const, from, to: from })) },
);
const base = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -1, -200, 2 ** 31 - 1, 2 ** 31 - 200, -(2 ** 31)),
);

describe('against a set of numbers', () => {
  test('any additions and drops, also where numbers wrap -> the same ranges, sorted and apart', () => {
    fc.assert(
      fc.property(base, fc.array(step, { maxLength: 40 }), (zero, steps) => {
        const set = new RangeSet();
        const model = new Set<number>();
        for (const { what, from, to } of steps) {
          if (what === 'add') {
            expect(set.add((zero + from) | 0, (zero + to) | 0)).toBe(true);
            for (let at = from; at < to; at++) model.add(at);
          } else {
            set.dropBefore((zero + from) | 0);
            for (const at of model) if (at < from) model.delete(at);
          }
          expect(ranges(set, zero)).toEqual(runs(model));
        }
        for (let at = 0; at < SPACE; at++) {
          const index = runs(model).findIndex(([from, to]) => from! <= at && at < to!);
          expect(set.indexOf((zero + at) | 0)).toBe(index);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('full', () => {
  const full = () => {
    const set = new RangeSet();
    for (let i = 0; i < MAX_RANGES; i++) expect(set.add(10 * i, 10 * i + 5)).toBe(true);
    return set;
  };

  test.each([-20, 7, 10 * MAX_RANGES])('one range more, at %i -> refused, nothing changed', (at) => {
    const set = full();
    const before = ranges(set);
    expect(set.add(at, at + 1)).toBe(false);
    expect(ranges(set)).toEqual(before);
  });

  test('one that lengthens a range -> taken', () => {
    const set = full();
    expect(set.add(5, 7)).toBe(true);
    expect(ranges(set)[0]).toEqual([0, 7]);
    expect(set.count).toBe(MAX_RANGES);
  });

  test('one that joins all -> one range', () => {
    const set = full();
    expect(set.add(3, 10 * MAX_RANGES)).toBe(true);
    expect(ranges(set)).toEqual([[0, 10 * MAX_RANGES]]);
  });

  test('copied -> the same ranges, and independent', () => {
    const set = full();
    const copy = new RangeSet();
    copy.copyFrom(set);
    expect(ranges(copy)).toEqual(ranges(set));
    set.clear();
    expect(copy.count).toBe(MAX_RANGES);
  });
});
