/** Rows whose rigs or loads are their own: that each runs, and measures what it says. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { scratchFolders, smoke } from './run.ts';

let before: string[];

beforeEach(() => {
  before = scratchFolders();
});
afterEach(() => expect(scratchFolders()).toEqual(before));

test('capture set -> frames of the stream are captured, in the rig with the capture alone', () => {
  const results = smoke('capture.on', 'capture.on.datapath');
  const on = results.get('capture.on')!;
  expect(on.ratio).toBeGreaterThan(0);
  // 16 MB of at most 64 KB a frame, each seen at two ports
  expect(on.rigs.captured!.captured! + on.rigs.captured!.lost!).toBeGreaterThan(400);
  expect(on.rigs.tapswitch).not.toHaveProperty('captured');
  const datapath = results.get('capture.on.datapath')!;
  expect(datapath.reference).toBe('datapath');
  expect(datapath.rigs['captured-datapath']!.captured).toBeGreaterThan(0);
}, 180_000);

test('rows of other links, both ways by four -> measured against rigs of that kind', () => {
  const results = smoke('l2.tcp.mtu.65520', 'l2.tcp.plain.4', 'forward.tcp.out.4', 'nat.tcp.down.4');
  const references = [...results].map(([name, { reference }]) => [name, reference]);
  expect(references).toEqual([
    ['l2.tcp.mtu.65520', 'bridge-mtu'],
    ['l2.tcp.mtu.65520.datapath', 'bridge-mtu'],
    ['l2.tcp.plain.4', 'bridge-plain'],
    ['l2.tcp.plain.4.datapath', 'bridge-plain'],
    ['forward.tcp.out.4', 'direct'],
    ['nat.tcp.down.4', 'masquerade'],
  ]);
  for (const [name, { ratio }] of results) expect(ratio, name).toBeGreaterThan(0);
}, 180_000);

test('fairness set -> eight streams at once, the index and the shares it is of', () => {
  const { rigs, reference } = smoke('fairness.tcp.8').get('fairness.tcp.8')!;
  expect(reference).toBe('masquerade-many');
  for (const { value, total, least, most } of Object.values(rigs)) {
    expect(least).toBeGreaterThan(0);
    expect(total).toBeGreaterThan(7 * least!);
    expect(most).toBeLessThan(total! - 6 * least!);
    expect(value).toBeGreaterThan(1 / 8);
    expect(value).toBeLessThanOrEqual(1);
  }
}, 180_000);

test('isolation set -> the neighbour floods, is paused, floods with an address not its own', () => {
  const results = smoke('isolation.flood', 'isolation.stall', 'isolation.spoof');
  const framesOf = (row: string, rig: string) => results.get(row)!.rigs[rig]!.neighbourFrames;
  expect(framesOf('isolation.flood', 'beside-flood')).toBeGreaterThan(1000);
  expect(framesOf('isolation.stall', 'beside-stall')).toBe(0);
  expect(framesOf('isolation.spoof', 'beside-spoof')).toBeGreaterThan(1000);
  expect(results.get('isolation.flood')!.rigs).toHaveProperty('beside-busy');
  for (const [name, { ratio, reference }] of results) {
    expect(reference, name).toBe('beside-idle');
    expect(ratio, name).toBeGreaterThan(0);
  }
}, 180_000);
