/** The sets that are not about one link's speed: each row's figures, of a run too short for them to be true. */
import { expect, test } from 'vitest';
import type { Result } from '../../bench/measure.ts';
import { qemuAvailable } from '../../src/lab/qemu-guest.ts';
import { scratchFolders, smoke } from './run.ts';

const qemu = await qemuAvailable();

/** Results by name, nothing left behind. */
function measured(...rows: string[]): Record<string, Result> {
  const before = scratchFolders();
  const results = smoke(...rows);
  expect(scratchFolders()).toEqual(before);
  return Object.fromEntries(results);
}

test('scale: some ports beside the two -> ratios to a bridge with as many, attaching, memory, idle time', () => {
  const results = measured('scale.tcp.10', 'scale.attach.10', 'scale.attach.rate', 'scale.mem', 'scale.idle');
  expect(Object.keys(results)).toEqual([
    'scale.mem',
    'scale.idle',
    'scale.tcp.10',
    'scale.attach.10',
    'scale.attach.rate',
  ]);
  expect(results['scale.tcp.10']).toMatchObject({ reference: 'bridge-10', ratio: expect.any(Number) });
  const { value: p50, rigs } = results['scale.attach.10']!;
  expect(p50).toBeGreaterThan(0);
  expect(rigs['tapswitch-10']!.p99).toBeGreaterThanOrEqual(p50);
  expect(rigs['bridge-10']!.value).toBeGreaterThan(0);
  // Wide bounds: out of them it is not the memory of ports that was looked at.
  expect(results['scale.mem']!.value).toBeGreaterThan(1000);
  expect(results['scale.mem']!.value).toBeLessThan(2e6);
  expect(results['scale.idle']!.value).toBeLessThan(1);
}, 180_000);

test("recovery: worker and daemon die -> a gap and no end; the connections of guests stay, the gateway's go", () => {
  const results = measured('recovery');
  const daemon = results['recovery.daemon.ms']!.value;
  // RestartSec of the unit file is in it
  expect(daemon).toBeGreaterThan(1000);
  expect(results['recovery.worker.ms.datapath']!.value).toBeGreaterThan(1);
  expect(results['recovery.worker.ms.datapath']!.value).toBeLessThan(daemon);
  expect(results['recovery.daemon.lost']).toMatchObject({
    value: 0,
    rigs: { 'daemon-restarted': { gateway: 16, of: 16 } },
  });
}, 180_000);

test('alloc: small frames through the datapath -> counted, their garbage beside them', () => {
  const { 'alloc.frame': row } = measured('alloc.frame');
  expect(row!.unit).toBe('bytes/frame');
  expect(row!.value).toBeLessThan(100);
  expect(row!.rigs['datapath-gc']!.frames).toBeGreaterThan(1000);
}, 120_000);

test('control: at the shortest pace -> a tenth of its VMs', () => {
  const results = measured('control.put.alone');
  expect(results['control.put.alone']!.rigs.daemon!.present).toBe(100);
}, 120_000);

test.skipIf(!qemu.ok)(
  'qemu: ping and bulk into a machine -> ratios to a bridge',
  () => {
    const results = measured('qemu');
    for (const name of ['qemu.rtt', 'qemu.tcp.in']) {
      expect(results[name]).toMatchObject({ reference: 'bridge-qemu' });
      expect(results[name]!.ratio).toBeGreaterThan(0);
    }
  },
  180_000,
);
