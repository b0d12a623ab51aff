import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { GATEWAY, ping, Stage } from '../lib/engine-stage.ts';

let stage: Stage;
let one: NetnsGuest;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
});

afterEach(() => stage.end());

test('loss of 20 %: ping -> about a fifth missing, each counted', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11, { faults: { loss: 0.2, seed: 7 } }));
  await ping(one.namespace, GATEWAY, 5); // by then ARP has got through
  const before = sw.stats().vms.a?.drops['fault-injected'] ?? 0;
  const { sent, received } = await ping(one.namespace, GATEWAY, 300, 5);
  expect(sent - received).toBeGreaterThan(30);
  expect(sent - received).toBeLessThan(90);
  const counted = (sw.stats().vms.a?.drops['fault-injected'] ?? 0) - before;
  expect(counted).toBeGreaterThanOrEqual(sent - received);
});

test('delay of 30 ms: ping -> round trip of so much and little more', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11, { faults: { delayMs: 30 } }));
  const { received, average } = await ping(one.namespace, GATEWAY, 10, 50);
  expect(received).toBe(10);
  expect(average).toBeGreaterThanOrEqual(25); // the clock ticks every 4 ms
  expect(average).toBeLessThan(60);
});

test('duplicates: ping -> replies come twice', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11, { faults: { duplicate: 1 } }));
  expect((await ping(one.namespace, GATEWAY, 5)).output).toMatch(/\+[45] duplicates/); // ping does not wait for the last
});

test('faults and a worker that is replaced: -> still in place', async () => {
  const sw = await stage.start({ workers: 1 });
  await sw.attach('a', stage.vm(11, { faults: { delayMs: 30 } }));
  sw.crashWorker(0);
  await expect.poll(() => sw.stats().workers[0]?.replaced).toBe(1);
  await ping(one.namespace, GATEWAY, 1);
  expect((await ping(one.namespace, GATEWAY, 5, 50)).average).toBeGreaterThanOrEqual(25);
});
