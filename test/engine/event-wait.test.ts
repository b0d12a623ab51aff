import { describe, expect, test } from 'vitest';
import { EventWait } from '../../src/engine/event-wait.ts';

const LOOK_COST_US = 10;

/** A wait whose events come at given times; each look takes a while. */
function bench(startUs = 0) {
  const clock = { us: startUs, tick: () => {} };
  const asked: number[] = [];
  const due: number[] = [];
  const epoll = {
    wait(timeoutMs: number): number {
      asked.push(timeoutMs);
      const next = due[0];
      const until = (clock.us + (timeoutMs === 0 ? LOOK_COST_US : timeoutMs * 1000)) | 0;
      if (next === undefined || ((next - until) | 0) > 0) {
        clock.us = until;
        return 0;
      }
      if (((next - clock.us) | 0) > 0) clock.us = next;
      due.shift();
      return 1;
    },
  };
  const wait = new EventWait(epoll, clock);
  return {
    /** Waits for an event that comes after `us`; returns the time-outs asked for. */
    event(us: number, timeoutMs = 500): number[] {
      asked.length = 0;
      due.push((clock.us + us) | 0);
      while (due.length > 0) wait.next(timeoutMs);
      return [...asked];
    },
    nothing(timeoutMs: number): number[] {
      asked.length = 0;
      expect(wait.next(timeoutMs)).toBe(0);
      return [...asked];
    },
  };
}

describe.each([0, 2 ** 31 - 60])('a worker at %d us', (startUs) => {
  test('nothing before: sleeps at once', () => {
    expect(bench(startUs).event(5000)).toEqual([500]);
  });

  test('last event soon: looks first, finds the next without sleeping', () => {
    const { event } = bench(startUs);
    event(20);
    expect(event(25)).toEqual([0, 0, 0]);
    expect(event(5)).toEqual([0]);
  });

  test('looked in vain -> sleeps, and does not look the next time', () => {
    const { event } = bench(startUs);
    event(20);
    const vain = event(5000);
    expect(vain.at(-1)).toBe(500);
    expect(vain.slice(0, -1)).toEqual([0, 0, 0, 0, 0]);
    expect(event(5000)).toEqual([500]);
  });

  test('slept for a moment only -> looks again', () => {
    const { event } = bench(startUs);
    event(5000);
    expect(event(20)).toEqual([500]);
    expect(event(20)).toEqual([0, 0]);
  });

  test('no time to wait: asks once, and neither looks nor forgets', () => {
    const { event, nothing } = bench(startUs);
    event(20);
    expect(nothing(0)).toEqual([0]);
    expect(event(20)).toEqual([0, 0]);
  });
});
