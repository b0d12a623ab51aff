/** The host's own stack sees none of a guest's frames, whether the switch runs or has been killed. */
import { describe, expect, test } from 'vitest';
import { atTestEnd, type Cleanup } from '../lib/net-cleanup.ts';
import { createPlace, createUserPlaces, kill, type Place } from '../lib/net-place.ts';
import { ping } from '../lib/net-probe.ts';
import { ADDRESSES, type GuardScene, guardScene } from './guard-scene.ts';

async function createPlaces(cleanup: Cleanup, count: number): Promise<Place[]> {
  const places: Place[] = [];
  while (places.length < count) places.push(await createPlace(cleanup));
  return places;
}

/** Addresses that answer the guest's ping. */
async function answering({ guest }: GuardScene): Promise<string[]> {
  const replies = await Promise.all(ADDRESSES.map((address) => ping(guest, address, { count: 2 })));
  return ADDRESSES.filter((_, index) => (replies[index]?.received ?? 0) > 0);
}

describe.each([
  { where: 'as root', make: createPlaces },
  { where: 'in a user namespace', make: createUserPlaces },
])('$where', ({ make }) => {
  async function prove(guard: 'required' | 'off', expected: readonly string[]): Promise<void> {
    const cleanup = atTestEnd();
    const scene = await guardScene(cleanup, await make(cleanup, 3));
    const running = await scene.startSwitch(guard);
    expect(await scene.reached()).toEqual(expected);
    expect(await answering(scene)).toEqual(expected);
    await kill(running);
    expect(running.signalCode).toBe('SIGKILL');
    expect(await scene.reached()).toEqual(expected);
  }

  test('guard off: a guest that addresses the host reaches every address of it and what it forwards to, after kill -9 too', () =>
    prove('off', ADDRESSES));

  test('guard on: a guest that addresses the host reaches nothing of it or behind it, after kill -9 of the switch neither', () =>
    prove('required', []));
});
