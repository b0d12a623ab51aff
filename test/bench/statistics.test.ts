import { describe, expect, test } from 'vitest';
import { jainIndex, median, percentile, ratioInterval, spread } from '../../bench/statistics.ts';

describe('statistics of samples', () => {
  test('odd and even numbers of values -> the middle one, the mean of the middle two', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  test('values in any order -> percentile and spread as of the sorted ones', () => {
    expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
    expect(percentile([1, 2, 3], 1)).toBe(3);
    expect(spread([8, 10, 12])).toBeCloseTo(0.4);
    expect(spread([0, 0, 0])).toBe(0);
    expect(spread([0, 0, 4])).toBe(1);
  });
});

describe('interval of a ratio', () => {
  test('rounds that agree -> the ratio alone, although the machine was slower in one of them', () => {
    const [low, high] = ratioInterval([5, 10, 5], [10, 20, 10]);
    expect(low).toBeLessThanOrEqual(0.5);
    expect(high).toBeGreaterThanOrEqual(0.5);
    expect(ratioInterval([5, 5, 5], [10, 10, 10])).toEqual([0.5, 0.5]);
  });

  test('rounds that differ -> holds the ratio of medians, wider than for rounds that agree', () => {
    const references = [10, 10, 10, 10, 10];
    const [low, high] = ratioInterval([6, 7, 8, 9, 10], references);
    expect(low).toBeLessThan(0.8);
    expect(high).toBeGreaterThan(0.8);
    const [lowNear, highNear] = ratioInterval([7.9, 8, 8, 8, 8.1], references);
    expect(highNear - lowNear).toBeLessThan(high - low);
  });

  test('same samples again -> same interval', () => {
    expect(ratioInterval([1, 2, 3], [2, 3, 4])).toEqual(ratioInterval([1, 2, 3], [2, 3, 4]));
  });

  test('one round -> its ratio', () => {
    expect(ratioInterval([3], [4])).toEqual([0.75, 0.75]);
  });
});

test.each([
  ['all alike', [3, 3, 3, 3], 1],
  ['one of four has all', [8, 0, 0, 0], 0.25],
  ['two of three alike, one half of it', [2, 2, 1], 25 / 27],
  ['nobody has anything', [0, 0], 0],
])("%s -> Jain's index", (_what, shares, index) => {
  expect(jainIndex(shares)).toBeCloseTo(index, 10);
});
