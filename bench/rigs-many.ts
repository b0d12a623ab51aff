/** The rigs of the fairness set: many guests, a server outside, and what carries the connections of all of them. */
import { createLabBridge } from '../src/lab/bridge.ts';
import { type BenchGuest, GATEWAY_ON_BRIDGE, vethGuest } from './guests.ts';
import { OUTSIDE, outside } from './host.ts';
import type { Build, ManyRigName, Undo } from './rig.ts';
import { masqueradeOut, OUTBOUND } from './rigs-nat.ts';
import { runSwitch, vmsOf } from './switch.ts';

/** The first guest's: 1 is the gateway's */
const FIRST_NUMBER = 2;
export const MANY = 8;

/** Joins guests with what is beyond the namespace `host`; gives the process that does it. */
type Join = (host: string, guests: readonly BenchGuest[], undo: Undo) => Promise<number | undefined>;

const masquerade: Join = async (host, guests) => {
  const links = guests.map(({ interfaceName }) => interfaceName);
  createLabBridge(host, 'br0', links, GATEWAY_ON_BRIDGE);
  await masqueradeOut(host);
  return undefined;
};

const tapswitch: Join = async (host, guests, undo) => {
  const child = await runSwitch(host, { vms: vmsOf(guests), network: OUTBOUND }, undo);
  return child.pid;
};

const many =
  (name: ManyRigName, join: Join): Build =>
  async (host, undo) => {
    const server = await outside(host, undo);
    const guests: BenchGuest[] = [];
    for (let i = 0; i < MANY; i++) guests.push(await vethGuest(host, FIRST_NUMBER + i, undo));
    const pid = await join(host, guests, undo);
    const clients = guests.map(({ namespace }) => namespace);
    return { name, client: clients[0]!, clients, server, address: OUTSIDE, pid };
  };

export const MANY_RIGS: Readonly<Record<ManyRigName, Build>> = {
  'nat-many': many('nat-many', tapswitch),
  'masquerade-many': many('masquerade-many', masquerade),
};
