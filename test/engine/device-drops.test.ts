import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Surplus } from '../../src/engine/device-drops.ts';

const SETTLED_SECONDS = 2;

describe('what a device has dropped beyond what is known', () => {
  test('counters that began anywhere -> only what came since', () => {
    const surplus = new Surplus(700, 30, 0, 0);
    expect(surplus.take(700, 30, 0)).toBe(0);
    expect(surplus.take(710, 30, 0)).toBe(10);
    expect(surplus.take(710, 30, 0)).toBe(0);
    expect(surplus.take(715, 32, 0)).toBe(3);
  });

  test('all of it known -> nothing', () => {
    const surplus = new Surplus(0, 0, 1, 0);
    for (let i = 1; i <= 20; i++) expect(surplus.take(100 * i, 100 * i, i)).toBe(0);
  });

  test('as much as may be known late -> left out at first, taken once it is old', () => {
    const surplus = new Surplus(0, 0, 2, 0);
    expect(surplus.take(10, 0, 0)).toBe(8);
    expect(surplus.take(10, 0, 1)).toBe(0);
    expect(surplus.take(10, 0, 2)).toBe(0);
    expect(surplus.take(10, 0, 3)).toBe(0);
    expect(surplus.take(10, 0, 4)).toBe(2);
    expect(surplus.take(10, 0, 6)).toBe(0);
  });

  test('known late -> never taken', () => {
    const surplus = new Surplus(0, 0, 1, 0);
    for (let i = 1; i < 20; i++) {
      expect(surplus.take(i, i - 1, i)).toBe(0);
      expect(surplus.take(i, i, i)).toBe(0);
    }
  });

  test('more known than counted -> nothing, and no less than before', () => {
    const surplus = new Surplus(5, 0, 0, 0);
    expect(surplus.take(7, 0, 0)).toBe(2);
    expect(surplus.take(7, 9, 0)).toBe(0);
    expect(surplus.take(8, 9, 0)).toBe(0);
    expect(surplus.take(17, 9, 0)).toBe(1);
  });

  test('a counter that begins at 0 again -> no jump; what comes after counts', () => {
    const surplus = new Surplus(1000, 400, 0, 0);
    expect(surplus.take(1600, 500, 1)).toBe(500);
    expect(surplus.take(3, 502, 9)).toBe(0);
    expect(surplus.take(13, 502, 20)).toBe(10);
    expect(surplus.take(20, 509, 30)).toBe(0);
  });

  test('any course of two counters, one late by as much as said -> never more than was lost, all of it in the end', () => {
    const steps = fc.array(
      fc.record({ hidden: fc.nat(5), known: fc.nat(5), late: fc.nat(3), seconds: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), steps, (total0, known0, course) => {
        const surplus = new Surplus(total0, known0, 3, 0);
        let [hidden, known, seen, taken, seconds] = [0, 0, 0, 0, 0];
        const take = () => {
          const fresh = surplus.take(total0 + hidden + known, known0 + seen, seconds);
          expect(fresh).toBeGreaterThanOrEqual(0);
          taken += fresh;
          expect(taken).toBeLessThanOrEqual(hidden);
        };
        for (const step of course) {
          // What was late is known after a second, if not before.
          if (step.seconds > 0) seen = known;
          seconds += step.seconds;
          hidden += step.hidden;
          known += step.known;
          seen = Math.max(seen, known - step.late);
          take();
        }
        seen = known;
        for (let i = 0; i < 3; i++) {
          seconds += SETTLED_SECONDS;
          take();
        }
        expect(taken).toBe(hidden);
      }),
    );
  });
});
