import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Surplus } from '../../src/engine/device-drops.ts';

describe('what a device has dropped beyond what is known', () => {
  test('counters that began anywhere -> only what came since', () => {
    const surplus = new Surplus(700, 30, 0);
    expect(surplus.take(700, 30)).toBe(0);
    expect(surplus.take(710, 30)).toBe(10);
    expect(surplus.take(710, 30)).toBe(0);
    expect(surplus.take(715, 32)).toBe(3);
  });

  test('all of it known -> nothing', () => {
    const surplus = new Surplus(0, 0, 1);
    for (let i = 1; i <= 5; i++) expect(surplus.take(100 * i, 100 * i)).toBe(0);
  });

  test('as much as may be known late -> left out at first, taken when it is still missing', () => {
    const surplus = new Surplus(0, 0, 2);
    expect(surplus.take(10, 0)).toBe(8);
    expect(surplus.take(10, 0)).toBe(2);
    expect(surplus.take(10, 0)).toBe(0);
  });

  test('known late -> never taken', () => {
    const surplus = new Surplus(0, 0, 1);
    expect(surplus.take(1, 0)).toBe(0);
    expect(surplus.take(1, 1)).toBe(0);
    expect(surplus.take(3, 2)).toBe(0);
    expect(surplus.take(3, 3)).toBe(0);
  });

  test('more known than counted -> nothing, and no less than before', () => {
    const surplus = new Surplus(5, 0, 0);
    expect(surplus.take(7, 0)).toBe(2);
    expect(surplus.take(7, 9)).toBe(0);
    expect(surplus.take(8, 9)).toBe(0);
    expect(surplus.take(17, 9)).toBe(1);
  });

  test('a counter that begins at 0 again -> no jump; what comes after counts', () => {
    const surplus = new Surplus(1000, 400, 0);
    expect(surplus.take(1600, 500)).toBe(500);
    expect(surplus.take(3, 502)).toBe(0);
    expect(surplus.take(13, 502)).toBe(10);
    expect(surplus.take(20, 509)).toBe(0);
  });

  test('any course of two counters, one late by as much as said -> never more than was lost, all of it in the end', () => {
    const steps = fc.array(fc.record({ hidden: fc.nat(5), known: fc.nat(5), late: fc.nat(3) }));
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), steps, (total0, known0, course) => {
        const surplus = new Surplus(total0, known0, 3);
        let [hidden, known, taken] = [0, 0, 0];
        const take = (late: number) => {
          const fresh = surplus.take(total0 + hidden + known, known0 + known - late);
          expect(fresh).toBeGreaterThanOrEqual(0);
          taken += fresh;
          expect(taken).toBeLessThanOrEqual(hidden);
        };
        for (const step of course) {
          hidden += step.hidden;
          known += step.known;
          // Only what has just happened can be late.
          take(Math.min(step.late, step.known));
        }
        take(0);
        take(0);
        expect(taken).toBe(hidden);
      }),
    );
  });
});
