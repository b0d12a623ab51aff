/** More flows with data waiting than a VM may have memory for: they take turns, none is forgotten. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

/** Times the 512 KB a flow may hold: more than the 64 MB of a VM */
const FLOWS = 300;
const PAUSE_MS = 2000;

let stage: GatewayStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const sw = await stage.start({ networks: { default: stage.network({ hostServices: ['5400'] }) } });
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
});

afterEach(() => stage.end());

test(`${FLOWS} flows to a guest that reads late: -> every byte of each arrives`, async () => {
  await stage.serve(guest.namespace, 'digest', 5300, PAUSE_MS);
  const result = await stage.call(stage.host.path, 'pushAll', '127.0.0.1', 15300, FLOWS, 1);
  expect(JSON.parse(result)).toEqual({ good: FLOWS, errors: [] });
});

test(`${FLOWS} flows to a host that reads late: -> every byte of each arrives`, async () => {
  await stage.serve(stage.host.path, 'digest', 5400, PAUSE_MS);
  const result = await stage.call(guest.namespace, 'pushAll', GATEWAY, 5400, FLOWS, 1);
  expect(JSON.parse(result)).toEqual({ good: FLOWS, errors: [] });
});

test('200 flows that the guest does not read at all: another flow of the VM -> is served', async () => {
  await stage.serve(guest.namespace, 'digest', 5300, 60_000);
  await stage.serve(guest.namespace, 'echo', 5301);
  const stuck = await stage.serve(stage.host.path, 'stuff', '127.0.0.1', 15300, 200, 3);
  // Held as much as they can be.
  await delay(PAUSE_MS);
  expect(stuck.child.exitCode).toBeNull();
  const { result, ms } = await stage.probe(stage.host.path, '127.0.0.1', 15301);
  expect([result, ms < 2000]).toEqual(['heard hello', true]);
});
