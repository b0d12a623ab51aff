/** The network the switch replaces: guests behind TAPs on a Linux bridge, which is their gateway. */
import { createLabBridge } from '../../src/lab/bridge.ts';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import type { BridgeOptions } from '../../src/sys/rtnetlink.ts';
import { A, B } from '../lib/frames.ts';
import type { Cleanup } from '../lib/net-cleanup.ts';
import { createPlace, type Place } from '../lib/net-place.ts';
import { GATEWAY_IP, tapOf, vethGuest } from '../lib/net-switch.ts';

export const BRIDGE = 'br0';

export interface BridgeScene {
  readonly host: Place;
  readonly a: NetnsGuest;
  readonly b: NetnsGuest;
}

/** Puts the guests' links on a new bridge. */
export async function plugIn({ host }: BridgeScene, options?: BridgeOptions): Promise<void> {
  createLabBridge(host.path, BRIDGE, [A, B].map(tapOf), `${GATEWAY_IP}/16`, options);
  // A neighbour that does not answer is given up in half a second, not in three
  await host.set(`ipv4/neigh/${BRIDGE}/retrans_time_ms`, 150);
}

/** A host with two guests on its bridge. */
export async function bridgeScene(cleanup: Cleanup, options?: BridgeOptions): Promise<BridgeScene> {
  const host = await createPlace(cleanup);
  const a = await vethGuest(cleanup, host, A, { services: true });
  const b = await vethGuest(cleanup, host, B, { services: true });
  const scene = { host, a, b };
  await plugIn(scene, options);
  return scene;
}

/** Makes everybody ask for addresses again: a fault in ARP bites once what was known has gone stale. */
export async function forgetNeighbours({ host, a, b }: BridgeScene): Promise<void> {
  await Promise.all([host, a, b].map((shell) => shell.run('ip neigh flush all')));
}
