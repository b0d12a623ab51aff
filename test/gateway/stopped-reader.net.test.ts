/** Readers that stop for a while, on either side: the window closes and opens again. */
import { afterAll, beforeAll, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const PAUSE_MS = 10_000;
/** More than all buffers on the way have room for */
const MEBIBYTES = 64;

let stage: GatewayStage;
let guest: NetnsGuest;

beforeAll(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const sw = await stage.start({ networks: { default: stage.network({ hostServices: ['5400', '5401'] }) } });
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
});

afterAll(() => stage.end());

test.concurrent(`host that stops reading for ${PAUSE_MS} ms: -> gets every byte`, async ({ expect }) => {
  await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
  await stage.serve(stage.host.path, 'digest', 5400, PAUSE_MS);
  const expected = await stage.call(stage.host.path, 'expect', MEBIBYTES);
  const [fetched, pushed] = await Promise.all([
    stage.call(stage.host.path, 'fetch', '127.0.0.1', 15301, PAUSE_MS),
    stage.call(guest.namespace, 'push', GATEWAY, 5400, MEBIBYTES),
  ]);
  expect(fetched).toBe(expected);
  expect(pushed).toBe(`same ${expected}`);
});

test.concurrent(`guest that stops reading for ${PAUSE_MS} ms: -> gets every byte`, async ({ expect }) => {
  await stage.serve(guest.namespace, 'digest', 5300, PAUSE_MS);
  await stage.serve(stage.host.path, 'blob', 5401, MEBIBYTES);
  const expected = await stage.call(stage.host.path, 'expect', MEBIBYTES);
  const [pushed, fetched] = await Promise.all([
    stage.call(stage.host.path, 'push', '127.0.0.1', 15300, MEBIBYTES),
    stage.call(guest.namespace, 'fetch', GATEWAY, 5401, PAUSE_MS),
  ]);
  expect(pushed).toBe(`same ${expected}`);
  expect(fetched).toBe(expected);
});
