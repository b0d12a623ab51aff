import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLabBridge } from '../../src/lab/bridge.ts';
import { withRoutes } from '../../src/lab/netns-guest.ts';
import { applyGuard, guarded } from '../../src/port/guard.ts';
import { Stage } from '../lib/engine-stage.ts';

let stage: Stage;

beforeEach(async () => {
  stage = new Stage();
  await stage.guest(11);
});

afterEach(() => stage.end());

const vms = () => ({ a: stage.vm(11), missing: stage.vm(12) });

test('start that fails at its second VM: host port and guard of the first go with it', async () => {
  await expect(stage.start({ vms: vms() })).rejects.toMatchObject({ code: 'TAP_MISSING' });
  expect(guarded('nftables', stage.host.path)).toEqual([]);
  expect(withRoutes(stage.host.path, (routes) => routes.linkByName(stage.hostPort))).toBeUndefined();
});

test('start that fails where a killed switch left its guard and host port: both stay', async () => {
  applyGuard('nftables', [{ namespace: stage.host.path, interfaceName: 'vm11' }]);
  stage.holdTap(stage.hostPort).release();
  await expect(stage.start({ vms: vms() })).rejects.toMatchObject({ code: 'TAP_MISSING' });
  expect(guarded('nftables', stage.host.path)).toEqual(['vm11']);
  expect(withRoutes(stage.host.path, (routes) => routes.linkByName(stage.hostPort))).toBeDefined();
});

test('start that fails at its first VM: no guard stays on those whose turn never came, but an inherited one', async () => {
  await stage.guest(13);
  await stage.guest(14);
  createLabBridge(stage.host.path, 'br0', ['vm11']);
  applyGuard('nftables', [{ namespace: stage.host.path, interfaceName: 'vm14' }]);
  const all = { a: stage.vm(11), c: stage.vm(13), d: stage.vm(14) };
  await expect(stage.start({ vms: all })).rejects.toMatchObject({ code: 'TAP_ENSLAVED' });
  expect(guarded('nftables', stage.host.path)).toEqual(['vm14']);
});

test('attach that fails where a killed switch left its guard: the guard stays', async () => {
  const sw = await stage.start();
  applyGuard('nftables', [{ namespace: stage.host.path, interfaceName: 'vm11' }]);
  createLabBridge(stage.host.path, 'br0', ['vm11']);
  await expect(sw.attach('a', stage.vm(11))).rejects.toMatchObject({ code: 'TAP_ENSLAVED' });
  expect(guarded('nftables', stage.host.path)).toEqual(['vm11']);
});

test('two closes at once: both resolve when the switch is gone', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  const done: string[] = [];
  await Promise.all([sw.close().then(() => done.push('one')), sw.close().then(() => done.push('two'))]);
  expect(done).toHaveLength(2);
  stage.holdTap(stage.hostPort).release();
});
