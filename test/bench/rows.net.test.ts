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
