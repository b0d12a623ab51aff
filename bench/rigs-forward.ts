/** The rigs of the forward set: the host, a guest, and what carries connections from the one to the other. */
import type { ChildProcess } from 'node:child_process';
import { createLabBridge } from '../src/lab/bridge.ts';
import { createNamespace } from '../src/sys/netns.ts';
import { type BenchGuest, GATEWAY_ON_BRIDGE, SERVER_NUMBER, tapGuest, vethGuest } from './guests.ts';
import { loopbackUp, OUTSIDE_HOST, outside, roomForConnections } from './host.ts';
import { pasta, slirp4netns, socat } from './peers.ts';
import { stopProgram } from './processes.ts';
import { type Build, type ForwardRigName, PORTS, type Rig, type Undo } from './rig.ts';
import { startSwitch, vmsOf } from './switch.ts';

const LOOPBACK = '127.0.0.1';

type Make = typeof vethGuest;

async function guestOf(make: Make, host: string, undo: Undo): Promise<BenchGuest> {
  loopbackUp(host);
  const guest = await make(host, SERVER_NUMBER, undo);
  for (const namespace of [host, guest.namespace]) roomForConnections(namespace);
  return guest;
}

function bridged(host: string, { interfaceName }: BenchGuest): void {
  createLabBridge(host, 'br0', [interfaceName], GATEWAY_ON_BRIDGE);
}

const direct =
  (name: ForwardRigName, make: Make): Build =>
  async (host, undo) => {
    const guest = await guestOf(make, host, undo);
    bridged(host, guest);
    return { name, client: host, server: guest.namespace, address: guest.ip, pid: undefined };
  };

function startForwarding(
  host: string,
  guest: BenchGuest,
  fastPath: 'auto' | 'off' = 'auto',
): Promise<ChildProcess> {
  const forwards = Object.values(PORTS).map((port) => `${port}:${port}`);
  return startSwitch(host, { vms: vmsOf([guest], { forwards }), fastPath });
}

const forward =
  (name: ForwardRigName, make: Make, fastPath?: 'off'): Build =>
  async (host, undo) => {
    const guest = await guestOf(make, host, undo);
    const child = await startForwarding(host, guest, fastPath);
    undo.push(() => stopProgram(child));
    return { name, client: host, server: guest.namespace, address: LOOPBACK, pid: child.pid };
  };

/** A switch that is started by each sample. */
async function forwardMemory(host: string, undo: Undo): Promise<Rig> {
  const guest = await guestOf(vethGuest, host, undo);
  let child: ChildProcess | undefined;
  const stop = async () => child && stopProgram(child);
  const startAfresh = async () => {
    await stop();
    child = await startForwarding(host, guest);
    return child.pid!;
  };
  undo.push(stop);
  const ends = { client: host, server: guest.namespace, address: LOOPBACK };
  return { name: 'forward-memory', ...ends, pid: undefined, startAfresh };
}

async function overSocat(host: string, undo: Undo): Promise<Rig> {
  const guest = await guestOf(vethGuest, host, undo);
  bridged(host, guest);
  for (const port of Object.values(PORTS)) await socat(host, port, guest.ip, undo);
  return { name: 'socat', client: host, server: guest.namespace, address: LOOPBACK, pid: undefined };
}

/** No forward, no guest: what two sockets of one host reach. */
async function overLoopback(host: string): Promise<Rig> {
  loopbackUp(host);
  roomForConnections(host);
  return { name: 'loopback', client: host, server: host, address: LOOPBACK, pid: undefined };
}

/**
 * A guest that has nothing but its loopback: pasta and slirp4netns make its link themselves. pasta splices what comes
 * from the host's loopback; what comes `from` outside goes over the TAP.
 */
const unlinked =
  (
    name: ForwardRigName,
    start: typeof pasta | typeof slirp4netns,
    from: 'host' | 'outside' = 'host',
  ): Build =>
  async (host, undo) => {
    loopbackUp(host);
    // Both want to know which way the host goes out
    const elsewhere = await outside(host, undo);
    const guest = createNamespace();
    undo.push(() => guest.close());
    loopbackUp(guest.path);
    for (const namespace of [host, guest.path, elsewhere]) roomForConnections(namespace);
    const pid = await start(host, guest.path, Object.values(PORTS), undo);
    const ends =
      from === 'host' ? { client: host, address: LOOPBACK } : { client: elsewhere, address: OUTSIDE_HOST };
    return { name, ...ends, server: guest.path, pid };
  };

export const FORWARD_RIGS: Readonly<Record<ForwardRigName, Build>> = {
  direct: direct('direct', vethGuest),
  'direct-tap': direct('direct-tap', tapGuest),
  forward: forward('forward', vethGuest),
  'forward-datapath': forward('forward-datapath', vethGuest, 'off'),
  'forward-tap': forward('forward-tap', tapGuest),
  'forward-memory': forwardMemory,
  socat: overSocat,
  pasta: unlinked('pasta', pasta),
  'pasta-tap': unlinked('pasta-tap', pasta, 'outside'),
  loopback: overLoopback,
  slirp4netns: unlinked('slirp4netns', slirp4netns),
};
