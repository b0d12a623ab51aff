import { beforeEach, expect, test } from 'vitest';
import { EventLog } from '../../src/control/event-log.ts';
import { Observer } from '../../src/control/observer.ts';
import type { PortGlance } from '../../src/index.ts';

let log: EventLog;
let observer: Observer;

beforeEach(() => {
  log = new EventLog();
  observer = new Observer(log);
});

const SILENT: PortGlance = { carrier: true, rxFrames: 0, drops: {}, address: () => undefined };
const said = () => log.since(0);
const types = () => said().map(({ type }) => type);

test('carrier, frames, address: -> first-frame and first-arp, once each', () => {
  observer.look('a', SILENT);
  expect(types()).toEqual([]);
  observer.look('a', { ...SILENT, rxFrames: 1 });
  const known = {
    ...SILENT,
    rxFrames: 2,
    address: () => ({ ip: '10.0.0.2', mac: '06:00:00:00:00:01', leased: false }),
  };
  observer.look('a', known);
  observer.look('a', { ...known, rxFrames: 9 });
  expect(types()).toEqual(['first-frame', 'first-arp']);
  expect(said()[1]).toMatchObject({ detail: '10.0.0.2 is at 06:00:00:00:00:01' });
});

test('carrier comes again -> the next frame is a first one', () => {
  observer.look('a', { ...SILENT, rxFrames: 1 });
  observer.changed('a', 'up');
  observer.look('a', { ...SILENT, rxFrames: 1 });
  observer.look('a', { ...SILENT, rxFrames: 2 });
  expect(types()).toEqual(['first-frame', 'vm-up', 'first-frame']);
});

test('drops that rise -> one event, and none for the same reason soon after', () => {
  const dropping = (frames: number) => ({ ...SILENT, drops: { isolated: frames } });
  observer.look('a', dropping(9));
  expect(said()).toEqual([]);
  observer.look('a', dropping(30));
  observer.look('a', dropping(60));
  observer.look('a', { ...SILENT, drops: { isolated: 60, runt: 12 } });
  expect(said()).toMatchObject([
    { type: 'drops-rising', reason: 'isolated', frames: 21 },
    { type: 'drops-rising', reason: 'runt', frames: 12 },
  ]);
});

test('recent drops -> what was dropped within the last two windows of 30 looks, and no more', () => {
  const dropping = (frames: number) => ({ ...SILENT, drops: { 'spoofed-ip': frames } });
  const recent = (frames: number) => observer.recentDrops('a', { 'spoofed-ip': frames });
  expect(recent(3)).toEqual({ 'spoofed-ip': 3 });
  for (let look = 0; look < 30; look++) observer.look('a', dropping(3));
  expect(recent(5)).toEqual({ 'spoofed-ip': 5 });
  for (let look = 0; look < 30; look++) observer.look('a', dropping(5));
  expect(recent(5)).toEqual({ 'spoofed-ip': 2 });
  for (let look = 0; look < 30; look++) observer.look('a', dropping(5));
  expect(recent(5)).toEqual({});
  // Attached anew, it counts from nothing.
  expect(recent(1)).toEqual({ 'spoofed-ip': 1 });
});

test('quiet -> looks since the last new frame', () => {
  expect(observer.quietSeconds('a')).toBeUndefined();
  for (const rxFrames of [0, 1, 1, 1]) observer.look('a', { ...SILENT, rxFrames });
  expect(observer.quietSeconds('a')).toBe(2);
  observer.look('a', { ...SILENT, rxFrames: 2 });
  expect(observer.quietSeconds('a')).toBe(0);
});

test('an address that was offered -> a lease, too', () => {
  const address = () => ({ ip: '10.0.0.2', mac: '06:00:00:00:00:01', leased: true });
  observer.look('a', { ...SILENT, rxFrames: 1, address });
  expect(types()).toEqual(['first-frame', 'first-arp', 'lease']);
});

test('a refusal that is felt -> an event at once', () => {
  observer.look('a', { ...SILENT, drops: { 'flow-limit': 1, isolated: 1 } });
  expect(said()).toMatchObject([{ type: 'drops-rising', reason: 'flow-limit', frames: 1 }]);
});
