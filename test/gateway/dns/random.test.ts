import { expect, test } from 'vitest';
import { RandomPool } from '../../../src/gateway/dns/random.ts';

test('10,000 numbers, many pools of them -> of 16 bits, spread over all, none again and again', () => {
  const pool = new RandomPool();
  const numbers = Array.from({ length: 10_000 }, () => pool.next());
  expect(numbers.every((number) => Number.isInteger(number) && number >= 0 && number <= 0xffff)).toBe(true);
  // Some 9,270 are to be expected; a pool used twice would leave half
  expect(new Set(numbers).size).toBeGreaterThan(9000);
  for (let sixteenth = 0; sixteenth < 16; sixteenth++) {
    expect(numbers.filter((number) => number >>> 12 === sixteenth).length).toBeGreaterThan(400);
  }
});
