import { expect, test } from 'vitest';
import { EventLog, KEPT_EVENTS } from '../../src/control/event-log.ts';
import type { Event } from '../../src/resources/resources.ts';

const at = new Date('2026-01-02T03:04:05.678Z');
const log = () => new EventLog(() => at);

test('events -> numbered from one, with run and time', () => {
  const events = log();
  events.add({ type: 'vm-added', vm: 'a' });
  events.add({ type: 'vm-up', vm: 'a' });
  expect(events.last).toBe(2);
  expect(events.since(0)).toEqual([
    { sequence: 1, run: events.run, time: '2026-01-02T03:04:05.678Z', type: 'vm-added', vm: 'a' },
    { sequence: 2, run: events.run, time: '2026-01-02T03:04:05.678Z', type: 'vm-up', vm: 'a' },
  ]);
});

test.each([
  [0, [1, 2, 3]],
  [1, [2, 3]],
  [3, []],
  [9, []],
])('three events, those after %i -> %j', (sequence, expected) => {
  const events = log();
  for (let i = 0; i < 3; i++) events.add({ type: 'reloaded' });
  expect(events.since(sequence).map((event) => event.sequence)).toEqual(expected);
});

test('more events than are kept -> the newest, without a gap', () => {
  const events = log();
  const count = 3 * KEPT_EVENTS + 7;
  for (let i = 0; i < count; i++) events.add({ type: 'reloaded' });
  const kept = events.since(0).map((event) => event.sequence);
  expect(kept).toHaveLength(KEPT_EVENTS);
  expect(kept[0]).toBe(count - KEPT_EVENTS + 1);
  expect(kept.at(-1)).toBe(count);
  expect(events.since(count - 2)).toHaveLength(2);
});

test('subscriber -> hears what comes, until it does not want to', () => {
  const events = log();
  const heard: Event[] = [];
  const stop = events.subscribe((event) => heard.push(event));
  events.add({ type: 'reloaded' });
  stop();
  events.add({ type: 'reloaded' });
  expect(heard.map(({ sequence }) => sequence)).toEqual([1]);
});
