/** The host's own stack sees none of a guest's frames, whether the switch runs or has been killed. */
import { expect, test } from 'vitest';
import { atTestEnd, type Cleanup } from '../lib/net-cleanup.ts';
import { createPlace, createUserPlaces, kill, type Place } from '../lib/net-place.ts';
import { ping } from '../lib/net-probe.ts';
import { ADDRESSES, type GuardScene, guardScene } from './guard-scene.ts';

async function inNamespaces(cleanup: Cleanup): Promise<GuardScene> {
  const places: Place[] = [];
  for (let i = 0; i < 3; i++) places.push(await createPlace(cleanup));
  return guardScene(cleanup, places);
}

/** Addresses that answer the guest's ping. */
async function answering({ guest }: GuardScene): Promise<string[]> {
  const replies = await Promise.all(ADDRESSES.map((address) => ping(guest, address, { count: 2 })));
  return ADDRESSES.filter((_, index) => (replies[index]?.received ?? 0) > 0);
}

async function killAndProve(scene: GuardScene, guard: 'required' | 'off', expected: string[]): Promise<void> {
  const running = await scene.startSwitch(guard);
  expect(await scene.reached()).toEqual(expected);
  expect(await answering(scene)).toEqual(expected);
  await kill(running);
  expect(running.signalCode).toBe('SIGKILL');
  expect(await scene.reached()).toEqual(expected);
}

test('guard off: a guest that addresses the host reaches every address of it, and what it forwards to; killed, too', async () => {
  await killAndProve(await inNamespaces(atTestEnd()), 'off', ADDRESSES);
});

test('guard on: nothing of the host or behind it is reached, before and after kill -9 of the switch', async () => {
  await killAndProve(await inNamespaces(atTestEnd()), 'required', []);
});

test('guard on, in a user namespace: nothing of the host or behind it is reached, before and after kill -9', async () => {
  const cleanup = atTestEnd();
  const scene = await guardScene(cleanup, await createUserPlaces(cleanup, 3));
  await killAndProve(scene, 'required', []);
});
