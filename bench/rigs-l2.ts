/** The rigs of the l2 set: two guests and what joins them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLabBridge } from '../src/lab/bridge.ts';
import { spawnIn } from '../src/lab/process.ts';
import { type BenchGuest, movedTapGuests, tapGuest, twoGuests, vethGuest } from './guests.ts';
import { type Links, withMtu, withoutOffloads } from './links.ts';
import { stopProgram } from './processes.ts';
import type { Build, L2RigName, Rig, RigName, Undo } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';
import { appearance } from './waiting.ts';

/** The most that a VM's network may have, and what pasta and slirp4netns give theirs */
const LARGE_MTU = 65_520;

/** Joins guests in the namespace `host`; gives the process that does it. */
type Join = (host: string, guests: readonly BenchGuest[], undo: Undo) => Promise<number | undefined>;

const bridge: Join = async (host, guests) => {
  createLabBridge(
    host,
    'br0',
    guests.map(({ interfaceName }) => interfaceName),
  );
  return undefined;
};

const tapswitch =
  (fastPath: 'auto' | 'off', mtu?: number): Join =>
  async (host, guests, undo) => {
    const network = { mode: 'shared', ...(mtu === undefined ? {} : { mtu }) } as const;
    const child = await runSwitch(host, { vms: vmsOf(guests), network, fastPath }, undo);
    return child.pid;
  };

function rig(name: RigName, guests: readonly BenchGuest[], pid: number | undefined): Rig {
  const [client, server] = guests as [BenchGuest, BenchGuest];
  return { name, client: client.namespace, server: server.namespace, address: server.ip, pid };
}

/** vde_switch makes TAPs of its own; moved into the guests they are its fastest arrangement. */
async function vdeSwitch(host: string, undo: Undo): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.on('exit', remove);
  const taps = ['vde-1', 'vde-2'];
  const plugs = taps.flatMap((tap) => ['-t', tap]);
  // Without -d it ends when its console, standard input, is closed; as a daemon it would outlive us.
  const command = ['vde_switch', '-s', join(folder, 'ctl'), '-x', ...plugs];
  const child = spawnIn(host, command, { stdio: ['pipe', 'ignore', 'ignore'] });
  undo.push(() => stopProgram(child));
  await appearance(host, taps);
  return rig('vde_switch', movedTapGuests(host, taps, undo), child.pid);
}

/** A rig of two guests made by `make`, their links changed by `links`, joined by `join`. */
const pair =
  (name: RigName, make: typeof vethGuest, join: Join, links?: Links): Build =>
  async (host, undo) => {
    const guests = await twoGuests(make, host, undo);
    await links?.(host, guests);
    return rig(name, guests, await join(host, guests, undo));
  };

export const L2_RIGS: Readonly<Record<L2RigName, Build>> = {
  bridge: pair('bridge', vethGuest, bridge),
  tapswitch: pair('tapswitch', vethGuest, tapswitch('auto')),
  datapath: pair('datapath', vethGuest, tapswitch('off')),
  vde_switch: vdeSwitch,
  'bridge-tap': pair('bridge-tap', tapGuest, bridge),
  'tapswitch-tap': pair('tapswitch-tap', tapGuest, tapswitch('auto')),
  'datapath-tap': pair('datapath-tap', tapGuest, tapswitch('off')),
  'bridge-mtu': pair('bridge-mtu', vethGuest, bridge, withMtu(LARGE_MTU)),
  'tapswitch-mtu': pair('tapswitch-mtu', vethGuest, tapswitch('auto', LARGE_MTU), withMtu(LARGE_MTU)),
  'datapath-mtu': pair('datapath-mtu', vethGuest, tapswitch('off', LARGE_MTU), withMtu(LARGE_MTU)),
  'bridge-plain': pair('bridge-plain', vethGuest, bridge, withoutOffloads),
  'tapswitch-plain': pair('tapswitch-plain', vethGuest, tapswitch('auto'), withoutOffloads),
  'datapath-plain': pair('datapath-plain', vethGuest, tapswitch('off'), withoutOffloads),
};
