/** The switch with three guests, the third of which does its worst. */
import type { Switch } from 'tapswitch';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { A, B, C } from '../lib/frames.ts';
import type { Cleanup } from '../lib/net-cleanup.ts';
import { createPlace, type Place } from '../lib/net-place.ts';
import { network, startSwitch, tapOf, vethGuest } from '../lib/net-switch.ts';

export interface ThreeGuests {
  readonly host: Place;
  readonly a: NetnsGuest;
  readonly b: NetnsGuest;
  readonly c: NetnsGuest;
  readonly running: Switch;
}

export async function threeGuests(cleanup: Cleanup, mode: 'isolated' | 'shared'): Promise<ThreeGuests> {
  const host = await createPlace(cleanup);
  const a = await vethGuest(cleanup, host, A, { services: true });
  const b = await vethGuest(cleanup, host, B, { services: true });
  const c = await vethGuest(cleanup, host, C);
  const running = await startSwitch(cleanup, { networks: { default: network(host, mode) } });
  for (const station of [A, B, C]) {
    await running.attach(tapOf(station), { tap: tapOf(station), netns: host.path, ...station });
  }
  return { host, a, b, c, running };
}
