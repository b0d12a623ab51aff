/** The rigs of the nat set: a guest, a server outside, and what carries connections from the one to the other. */
import { indexOf, withRoutes } from '../src/lab/netns-guest.ts';
import { runIn } from '../src/lab/process.ts';
import { createNamespace } from '../src/sys/netns.ts';
import { GATEWAY_ON_BRIDGE, SERVER_NUMBER, vethGuest } from './guests.ts';
import { loopbackUp, OUTSIDE, OUTSIDE_SUBNET, outside, setKernel } from './host.ts';
import { pasta, slirp4netns } from './peers.ts';
import { type Build, type NatRigName, PORTS, type Rig, type Undo } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';

const MASQUERADE = `
table ip bench {
  chain out { type nat hook postrouting priority srcnat; oifname "outside0" masquerade; }
}`;

/** Lets the kernel carry connections of guests out, whose gateway the host already is. */
export async function masqueradeOut(host: string): Promise<void> {
  setKernel(host, 'ipv4/ip_forward', '1');
  const { status, stderr } = await runIn(host, ['nft', '-f', '-'], { input: MASQUERADE });
  if (status !== 0) throw new Error(`nft: status ${status}: ${stderr.trim()}`);
}

/** What a switch is told of a network whose guests may reach the server outside. */
export const OUTBOUND = { egress: [`allow ${OUTSIDE_SUBNET}`] };

async function masquerade(host: string, undo: Undo): Promise<Rig> {
  const server = await outside(host, undo);
  const guest = await vethGuest(host, SERVER_NUMBER, undo);
  withRoutes(host, (routes) => {
    routes.addAddress(indexOf(routes, guest.interfaceName), GATEWAY_ON_BRIDGE);
  });
  await masqueradeOut(host);
  return { name: 'masquerade', client: guest.namespace, server, address: OUTSIDE, pid: undefined };
}

const nat =
  (name: NatRigName, fastPath: 'auto' | 'off'): Build =>
  async (host, undo) => {
    const server = await outside(host, undo);
    const guest = await vethGuest(host, SERVER_NUMBER, undo);
    const child = await runSwitch(host, { vms: vmsOf([guest]), network: OUTBOUND, fastPath }, undo);
    return { name, client: guest.namespace, server, address: OUTSIDE, pid: child.pid };
  };

async function emptyGuest(host: string, undo: Undo): Promise<string> {
  const guest = createNamespace();
  undo.push(() => guest.close());
  for (const namespace of [host, guest.path]) loopbackUp(namespace);
  return guest.path;
}

async function pastaOut(host: string, undo: Undo): Promise<Rig> {
  await outside(host, undo);
  const client = await emptyGuest(host, undo);
  const pid = await pasta(host, client, Object.values(PORTS), undo, 'out');
  return { name: 'pasta-out', client, server: host, address: '127.0.0.1', pid };
}

async function slirpOut(host: string, undo: Undo): Promise<Rig> {
  const server = await outside(host, undo);
  const client = await emptyGuest(host, undo);
  const pid = await slirp4netns(host, client, [], undo);
  return { name: 'slirp4netns-out', client, server, address: OUTSIDE, pid };
}

export const NAT_RIGS: Readonly<Record<NatRigName, Build>> = {
  masquerade,
  nat: nat('nat', 'auto'),
  'nat-datapath': nat('nat-datapath', 'off'),
  'pasta-out': pastaOut,
  'slirp4netns-out': slirpOut,
};
