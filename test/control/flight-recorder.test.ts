/** What is kept of each VM: its own last events, whatever others do. */
import { expect, test } from 'vitest';
import { EventLog, KEPT_EVENTS } from '../../src/control/event-log.ts';
import { FlightRecorder, RECORDED_EVENTS } from '../../src/control/flight-recorder.ts';

test('a quiet VM among busy ones -> keeps its events, longer than the log does', () => {
  const events = new EventLog();
  const recorder = new FlightRecorder(events);
  events.add({ type: 'vm-added', vm: 'quiet' });
  for (let i = 0; i < 3 * KEPT_EVENTS; i++) events.add({ type: 'vm-up', vm: 'busy' });
  expect(events.since(0).some(({ vm }) => vm === 'quiet')).toBe(false);
  expect(recorder.of('quiet').map(({ type }) => type)).toEqual(['vm-added']);
  expect(recorder.of('busy')).toHaveLength(RECORDED_EVENTS);
  expect(recorder.of('busy').at(-1)?.sequence).toBe(events.last);
});

test('events of no VM, and of one that was removed -> nothing kept', () => {
  const events = new EventLog();
  const recorder = new FlightRecorder(events);
  events.add({ type: 'reloaded' });
  events.add({ type: 'vm-added', vm: 'a' });
  events.add({ type: 'vm-removed', vm: 'a' });
  expect(recorder.of('a')).toEqual([]);
  expect(recorder.of('b')).toEqual([]);
});

test('what was handed out -> is not changed by what comes later', () => {
  const events = new EventLog();
  const recorder = new FlightRecorder(events);
  events.add({ type: 'vm-added', vm: 'a' });
  const before = recorder.of('a');
  events.add({ type: 'vm-up', vm: 'a' });
  expect(before).toHaveLength(1);
});
