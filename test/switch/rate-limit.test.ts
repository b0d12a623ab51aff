import { expect, test } from 'vitest';
import { RateLimit } from '../../src/switch/rate-limit.ts';
import { StubClock } from '../lib/stub-clock.ts';

const PER_SECOND = 100;
const BURST = 10;
const DAY = 86_400;

function limit() {
  const clock = new StubClock();
  const rate = new RateLimit(clock, PER_SECOND, BURST);
  const takeAll = (port = 1): number => {
    let taken = 0;
    while (rate.take(port)) taken++;
    return taken;
  };
  return { clock, rate, takeAll };
}

test('at first -> the burst, then nothing', () => {
  const { takeAll, rate } = limit();
  expect(takeAll()).toBe(BURST);
  expect(rate.take(1)).toBe(false);
});

test('used up -> a new one each 1/rate, none before', () => {
  const { clock, takeAll, rate } = limit();
  takeAll();
  clock.pass(0.009);
  expect(rate.take(1)).toBe(false);
  clock.pass(0.001);
  expect(takeAll()).toBe(1);
  clock.pass(0.05);
  expect(takeAll()).toBe(5);
});

test('asked for often while used up -> no slower for it', () => {
  const { clock, takeAll, rate } = limit();
  takeAll();
  let taken = 0;
  for (let i = 0; i < 1000; i++) {
    clock.pass(0.001);
    if (rate.take(1)) taken++;
  }
  expect(taken).toBeGreaterThanOrEqual(PER_SECOND - 1); // tenths do not add up exactly
  expect(taken).toBeLessThanOrEqual(PER_SECOND);
});

test('quiet for long -> the burst and no more', () => {
  const { clock, takeAll } = limit();
  takeAll();
  clock.pass(3600);
  expect(takeAll()).toBe(BURST);
});

test('ports -> each has its own', () => {
  const { takeAll } = limit();
  takeAll(1);
  expect(takeAll(2)).toBe(BURST);
});

test.each([24, 25, 30, 49])('quiet for %i days, the clock’s sign changed -> the burst as ever', (days) => {
  const { clock, takeAll } = limit();
  takeAll(1);
  clock.pass(days * DAY);
  expect(takeAll(1)).toBe(BURST);
  expect(takeAll(2)).toBe(BURST);
});

test('in use while the clock wraps -> the rate as ever', () => {
  const { clock, takeAll } = limit();
  clock.pass(2 ** 31 / 1000 - 1000 - 1);
  takeAll();
  clock.pass(0.05);
  expect(takeAll()).toBe(5);
  for (let i = 0; i < 100; i++) {
    clock.pass(0.02);
    expect(takeAll()).toBe(2);
  }
  expect(clock.ms).toBeLessThan(0);
});
