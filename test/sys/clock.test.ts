import { expect, test } from 'vitest';
import { nowSeconds } from '../../src/sys/clock.ts';

test('nowSeconds: called ten thousand times -> maps no memory', () => {
  nowSeconds();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 10_000; i++) nowSeconds();
  // One page each would be 40 MB.
  expect(process.memoryUsage.rss() - before).toBeLessThan(20e6);
});
