/** How each rig is built. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLabBridge } from '../src/lab/bridge.ts';
import { withRoutes } from '../src/lab/netns-guest.ts';
import { spawnIn } from '../src/lab/process.ts';
import { createNamespace } from '../src/sys/netns.ts';
import { type BenchGuest, GATEWAY, movedTapGuests, SUBNET, tapGuests, vethGuests } from './guests.ts';
import { startProgram, stopProgram } from './processes.ts';
import type { Rig, RigName, Undo } from './rig.ts';

const APPEARANCE_TIMEOUT_MS = 5000;
const POLL_MS = 20;

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

/** In a process of its own: its processor time is its own, and the bench's main thread is not in its way. */
const tapswitch =
  (fastPath: 'auto' | 'off'): Join =>
  async (host, guests, undo) => {
    const vms = guests.map(({ interfaceName, mac, ip }) => [interfaceName, { tap: interfaceName, mac, ip }]);
    const config = {
      networks: { default: { subnet: SUBNET, gateway: GATEWAY, mode: 'shared' } },
      vms: Object.fromEntries(vms),
      guard: 'required',
      fastPath,
    };
    const program = join(dirname(fileURLToPath(import.meta.url)), 'switch-process.js');
    const child = await startProgram(host, [process.execPath, program, JSON.stringify(config)], 'ready');
    undo.push(() => stopProgram(child));
    return child.pid;
  };

function rig(name: RigName, guests: readonly BenchGuest[], pid: number | undefined): Rig {
  const [client, server] = guests as [BenchGuest, BenchGuest];
  return { name, client: client.namespace, server: server.namespace, address: server.ip, pid };
}

/** Resolves once the namespace has those interfaces. */
async function appearance(namespace: string, interfaces: readonly string[]): Promise<void> {
  for (let waited = 0; waited < APPEARANCE_TIMEOUT_MS; waited += POLL_MS) {
    if (withRoutes(namespace, (routes) => interfaces.every((name) => routes.linkByName(name)))) return;
    await delay(POLL_MS);
  }
  throw new Error(`${interfaces.join(', ')} did not appear`);
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

/** Builds the rig of that name; `undo` learns how to remove it. */
export async function buildRig(name: RigName, undo: Undo): Promise<Rig> {
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  const host = namespace.path;
  if (name === 'vde_switch') return vdeSwitch(host, undo);
  const guests = await (name.endsWith('-tap') ? tapGuests : vethGuests)(host, undo);
  const joins = { bridge, tapswitch: tapswitch('auto'), datapath: tapswitch('off') };
  const join = joins[name.replace('-tap', '') as keyof typeof joins];
  return rig(name, guests, await join(host, guests, undo));
}
