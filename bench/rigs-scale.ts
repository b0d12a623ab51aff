/** The rigs of the scale set: the two guests of the l2 set, with TAPs beside them. */
import { createLabBridge } from '../src/lab/bridge.ts';
import { indexOf, withRoutes } from '../src/lab/netns-guest.ts';
import { Crowd, crowdVm } from './crowd.ts';
import { type BenchGuest, GATEWAY, twoGuests, vethGuest } from './guests.ts';
import { type Pace, scaled } from './pace.ts';
import type { Build, Ports, Rig, ScaleRigName, Undo } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';

/** Room for them all: the gateway is where the guests look for it */
const PREFIX = 16;
const NETWORK = { mode: 'shared', subnet: `10.66.0.0/${PREFIX}` } as const;
const COMING = 50;
/** A bridge has room for 1023 ports (BR_MAX_PORTS of net/bridge/br_private.h) */
const COMING_TO_BRIDGE = 20;
/** Opening and closing a thousand ports' sockets takes the kernel a while */
const TIMEOUT_MS = 120_000;

/** How many are there, and how many more come, by the pace. */
const numbers = (ports: Ports, coming: number, pace: Pace) => ({
  present: scaled(ports, pace),
  coming: scaled(coming, pace),
});

function rig(name: ScaleRigName, guests: readonly BenchGuest[], pid: number | undefined, crowd: Crowd): Rig {
  const [client, server] = guests as [BenchGuest, BenchGuest];
  return { name, client: client.namespace, server: server.namespace, address: server.ip, pid, crowd };
}

/** Starts a switch in the namespace `host` that has the guests and a crowd attached. */
export async function startCrowded(
  host: string,
  guests: readonly BenchGuest[],
  { present, coming }: ReturnType<typeof numbers>,
  undo: Undo,
): Promise<{ crowd: Crowd; pid: number }> {
  const crowd = new Crowd(host, { present, coming, attach: () => ({}) });
  undo.push(() => crowd.close());
  crowd.arrive();
  const members = Array.from({ length: present + coming }, (_, number) => crowdVm(number));
  const vms = { ...vmsOf(guests), ...Object.fromEntries(members.map((vm) => [vm.tap, vm])) };
  const child = await runSwitch(host, { vms, network: NETWORK, timeoutMs: TIMEOUT_MS }, undo);
  crowd.leave();
  await crowd.allAnswered();
  return { crowd, pid: child.pid as number };
}

const tapswitch =
  (ports: Ports): Build =>
  async (host, undo, pace) => {
    const guests = await twoGuests(vethGuest, host, undo);
    const { crowd, pid } = await startCrowded(host, guests, numbers(ports, COMING, pace), undo);
    return rig(`tapswitch-${ports}`, guests, pid, crowd);
  };

const bridge =
  (ports: Ports): Build =>
  async (host, undo, pace) => {
    const guests = await twoGuests(vethGuest, host, undo);
    const members = guests.map(({ interfaceName }) => interfaceName);
    createLabBridge(host, 'br0', members, `${GATEWAY}/${PREFIX}`);
    const master = withRoutes(host, (routes) => indexOf(routes, 'br0'));
    const crowd = new Crowd(host, { ...numbers(ports, COMING_TO_BRIDGE, pace), attach: () => ({ master }) });
    undo.push(() => crowd.close());
    crowd.arrive();
    crowd.leave();
    return rig(`bridge-${ports}`, guests, undefined, crowd);
  };

export const SCALE_RIGS: Readonly<Record<ScaleRigName, Build>> = {
  'tapswitch-1': tapswitch(1),
  'tapswitch-10': tapswitch(10),
  'tapswitch-100': tapswitch(100),
  'tapswitch-1000': tapswitch(1000),
  'bridge-1': bridge(1),
  'bridge-10': bridge(10),
  'bridge-100': bridge(100),
  'bridge-1000': bridge(1000),
};
