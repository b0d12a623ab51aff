/** Many connections of real kernels through a forward, and out of the guest. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { GATEWAY, openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 5000, interval: 20 };

let stage: GatewayStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const sw = await stage.start({ networks: { default: stage.network({ hostServices: ['5400', '5401'] }) } });
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
});

afterEach(() => stage.end());

test('1,000 connections open at once: -> each hears its own line; ended -> no descriptor stays open', async () => {
  await stage.serve(guest.namespace, 'echo', 5300);
  const before = openDescriptors();
  const result = await stage.call(stage.host.path, 'crowd', '127.0.0.1', 15300, 1000);
  expect(JSON.parse(result)).toEqual({ good: 1000, errors: [] });
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('20,000 connections, 16 at a time, a byte each: -> every one is answered', async () => {
  await stage.serve(guest.namespace, 'echo', 5300);
  const before = openDescriptors();
  const result = await stage.call(stage.host.path, 'churn', '127.0.0.1', 15300, 20_000, 16);
  expect(JSON.parse(result)).toEqual({ good: 20_000, bad: {} });
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('2,000 connections out, 16 at a time, a byte each: -> every one is answered', async () => {
  await stage.serve(stage.host.path, 'echo', 5400);
  const before = openDescriptors();
  const result = await stage.call(guest.namespace, 'churn', GATEWAY, 5400, 2000, 16);
  expect(JSON.parse(result)).toEqual({ good: 2000, bad: {} });
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});
