/** Every fault of the gallery, done for real: its verdict, its evidence, in time, and a healthy VM beside it. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addressOf } from '../lib/engine-stage.ts';
import { GalleryStage, PORT, SICK } from '../lib/gallery-stage.ts';
import { FAULTS } from './faults.ts';

const WAIT = { timeout: 8000, interval: 100 };
const LONGEST_MS = 3000;

let stage: GalleryStage;

beforeEach(async () => {
  stage = new GalleryStage();
  await stage.begin();
});

afterEach(() => stage.end());

test('no fault -> healthy with and without a port, in time', async () => {
  for (const port of [undefined, PORT]) {
    const { sick, ms } = await stage.ask(port);
    expect(sick.verdict.code).toBe('HEALTHY');
    expect(sick.hops.filter(({ status }) => status === 'failed')).toEqual([]);
    expect(ms).toBeLessThan(LONGEST_MS);
  }
});

test.each(FAULTS)('$fault -> $verdict', async ({ inject, verdict, hop, evidence, port }) => {
  await inject(stage);
  // The daemon hears of the fault a moment after it is done.
  const { sick, well, ms } = await vi.waitFor(async () => {
    const answer = await stage.ask(port);
    expect(answer.sick.verdict.code).toBe(verdict);
    return answer;
  }, WAIT);
  expect(sick.hops.find((one) => one.hop === hop)?.evidence).toContain(evidence);
  expect(well.verdict.code).toBe('HEALTHY');
  expect(ms).toBeLessThan(LONGEST_MS);
});

test('a VM of the configuration -> is held to what the configuration says of it', async () => {
  await stage.client.deleteVm('sick');
  await stage.stopDaemon();
  const said = { tap: `vm${SICK}`, ip: addressOf(SICK) };
  await stage.startDaemon({ fixed: { ...said, mac: '06:00:00:00:00:63', vmm: 'firecracker' } });
  const { verdict } = await stage.client.diagnose('fixed');
  expect(verdict.code).toBe('GUEST_WRONG_MAC');
});
