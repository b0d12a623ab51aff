import { describe, expect, test } from 'vitest';
import { verdictOf } from '../../bench/limits.ts';
import { SETS } from '../../bench/sets.ts';
import { resultOf } from './result.ts';

const MORE = { warn: 0.8, fail: 0.4 };
const LESS = { warn: 1.2, fail: 3 };

describe('verdict on a ratio', () => {
  test.each([
    [MORE, 0.9, 'ok'],
    [MORE, 0.8, 'ok'],
    [MORE, 0.7, 'warn'],
    [MORE, 0.39, 'fail'],
    [LESS, 1, 'ok'],
    [LESS, 2, 'warn'],
    [LESS, 3.1, 'fail'],
  ])('limits %o, ratio %f -> %s', (limits, ratio, level) => {
    expect(verdictOf(resultOf(ratio), limits).level).toBe(level);
  });

  test('interval reaches to the better side of the limit -> no failure', () => {
    expect(verdictOf(resultOf(0.3, { interval: [0.2, 0.5] }), MORE).level).toBe('warn');
    expect(verdictOf(resultOf(4, { interval: [2, 5] }), LESS).level).toBe('warn');
  });

  test('void -> a warning, whatever the ratio', () => {
    expect(verdictOf(resultOf(0.1, { void: true }), MORE)).toEqual({ level: 'warn', text: 'void' });
  });

  test('within the limits, worse than the baseline by more than a fifth -> a warning that names it', () => {
    expect(verdictOf(resultOf(0.9), MORE, 1).level).toBe('ok');
    const { level, text } = verdictOf(resultOf(0.9), MORE, 1.3);
    expect(level).toBe('warn');
    expect(text).toContain('1.3');
    expect(verdictOf(resultOf(1.1), LESS, 0.8).level).toBe('warn');
  });

  test('no ratio -> nothing to check', () => {
    const { ratio, interval, ...alone } = resultOf(1);
    expect(verdictOf(alone, MORE).level).toBe('ok');
  });
});

test('limits beside the rows -> of their subjects', () => {
  for (const row of Object.values(SETS).flat()) {
    const suffixes = row.subjects.map(([suffix]) => suffix);
    for (const suffix of Object.keys(row.limits ?? {})) {
      expect(suffixes, row.name).toContain(suffix);
      expect(row.reference, row.name).toBeDefined();
    }
  }
});
