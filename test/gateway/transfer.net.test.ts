/** Data of real kernels through the gateway, in both directions. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const MEBIBYTES = 256;
const MEBIBYTES_WITH_LOSS = 32;
const MEBIBYTES_BOTH_BAD = 8;

let stage: GatewayStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
});

afterEach(() => stage.end());

test('forward by 127.0.0.1 and by the identity: -> the guest answers at both', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300'] }));
  await stage.serve(guest.namespace, 'name', 5300, 'a');
  const loopback = sw.stats().vms.a?.loopback as string;
  expect((await stage.probe(stage.host.path, '127.0.0.1', 15300)).result).toBe('heard a');
  expect((await stage.probe(stage.host.path, loopback, 5300)).result).toBe('heard a');
});

test(`${MEBIBYTES} MB through a forward: each way -> the same bytes`, async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
  await stage.serve(guest.namespace, 'digest', 5300);
  await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
  const host = stage.host.path;
  expect(await stage.call(host, 'push', '127.0.0.1', 15300, MEBIBYTES)).toMatch(/^same /);
  const expected = await stage.call(host, 'expect', MEBIBYTES);
  expect(await stage.call(host, 'fetch', '127.0.0.1', 15301)).toBe(expected);
});

test(`${MEBIBYTES} MB to and from a service of the host's: -> the same bytes`, async () => {
  const networks = { default: stage.network({ hostServices: ['5300', '5301'] }) };
  const sw = await stage.start({ networks });
  await sw.attach('a', stage.vm(2));
  await stage.serve(stage.host.path, 'digest', 5300);
  await stage.serve(stage.host.path, 'blob', 5301, MEBIBYTES);
  expect(await stage.call(guest.namespace, 'push', GATEWAY, 5300, MEBIBYTES)).toMatch(/^same /);
  const expected = await stage.call(stage.host.path, 'expect', MEBIBYTES);
  expect(await stage.call(guest.namespace, 'fetch', GATEWAY, 5301)).toBe(expected);
});

test('guest whose frames are lost and reordered: both ways through a forward and out -> the same bytes', async () => {
  const networks = { default: stage.network({ hostServices: ['5300'] }) };
  const sw = await stage.start({ networks });
  const faults = { loss: 0.01, reorder: 0.01, seed: 11 };
  await sw.attach('a', stage.vm(2, { forwards: ['15302:5302', '15301:5301'], faults }));
  const host = stage.host.path;
  await stage.serve(host, 'digest', 5300);
  await stage.serve(guest.namespace, 'digest', 5302);
  await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES_WITH_LOSS);
  expect(await stage.call(host, 'push', '127.0.0.1', 15302, MEBIBYTES_WITH_LOSS)).toMatch(/^same /);
  const expected = await stage.call(host, 'expect', MEBIBYTES_WITH_LOSS);
  expect(await stage.call(host, 'fetch', '127.0.0.1', 15301)).toBe(expected);
  expect(await stage.call(guest.namespace, 'push', GATEWAY, 5300, MEBIBYTES_WITH_LOSS)).toMatch(/^same /);
  expect(sw.stats().vms.a?.drops['fault-injected']).toBeGreaterThan(10);
});

test('both ways of a VM’s cable bad: into it and out of it -> the same bytes', async () => {
  const sw = await stage.start();
  const faults = { direction: 'both', loss: 0.01, reorder: 0.01, delayMs: 1, seed: 3 } as const;
  await sw.attach('a', stage.vm(2, { forwards: ['15302:5302', '15301:5301'], faults }));
  await stage.serve(guest.namespace, 'digest', 5302);
  await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES_BOTH_BAD);
  const host = stage.host.path;
  expect(await stage.call(host, 'push', '127.0.0.1', 15302, MEBIBYTES_BOTH_BAD)).toMatch(/^same /);
  const expected = await stage.call(host, 'expect', MEBIBYTES_BOTH_BAD);
  expect(await stage.call(host, 'fetch', '127.0.0.1', 15301)).toBe(expected);
});

/** Waits for the address the guest's kernel made itself from a router advertisement. */
async function ownAddress6(prefix: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const show = ['ip', '-6', '-o', 'addr', 'show', 'dev', 'eth0', 'scope', 'global', '-tentative'];
      expect((await runIn(guest.namespace, show)).stdout).toContain(` ${prefix}`);
    },
    { timeout: 10_000, interval: 100 },
  );
}

test('guest that is told of a prefix: -> configures itself, reaches the host over IPv6, both ways', async () => {
  const networks = {
    default: stage.network({ subnet6: 'fd00:7::/64', gateway6: 'fd00:7::1', hostServices: ['5300', '5301'] }),
  };
  const sw = await stage.start({ networks });
  await sw.attach('a', stage.vm(2));
  await ownAddress6('fd00:7::');
  const { stdout } = await runIn(guest.namespace, ['ip', '-6', 'route', 'show', 'default']);
  expect(stdout).toContain('proto ra');
  await stage.serve(stage.host.path, 'digest', 5300);
  await stage.serve(stage.host.path, 'blob', 5301, 64);
  expect(await stage.call(guest.namespace, 'push', 'fd00:7::1', 5300, 64)).toMatch(/^same /);
  const expected = await stage.call(stage.host.path, 'expect', 64);
  expect(await stage.call(guest.namespace, 'fetch', 'fd00:7::1', 5301)).toBe(expected);
  expect(await stage.probe(guest.namespace, 'fd00:7::1', 99)).toMatchObject({ result: 'ECONNREFUSED' });
});
