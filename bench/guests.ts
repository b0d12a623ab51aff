/** Pairs of guests, by the kind of link they hang on. */
import type { ChildProcess } from 'node:child_process';
import { configureGuest, indexOf, startNetnsGuest, withRoutes } from '../src/lab/netns-guest.ts';
import { createNamespace } from '../src/sys/netns.ts';
import { startProgram, stopProgram } from './processes.ts';
import { CLIENT_PROCESSOR, pinned, SERVER_PROCESSOR } from './processors.ts';
import type { Undo } from './rig.ts';
import { ownTool } from './tools.ts';

/** A guest of a rig, before anything joins it to another. */
export interface BenchGuest {
  readonly namespace: string;
  /** Name of its link in the host's namespace */
  readonly interfaceName: string;
  readonly mac: string;
  readonly ip: string;
  /** What holds its TAP, where it has one */
  readonly vmm?: ChildProcess;
}

export const PREFIX = 24;
/** The number of the guest that sends. */
export const CLIENT_NUMBER = 2;
/** The number of the guest that serves: it is the only one where the other end of the load is no guest. */
export const SERVER_NUMBER = 3;
const NUMBERS = [CLIENT_NUMBER, SERVER_NUMBER] as const;

export const identity = (number: number) => ({
  interfaceName: `fc-vm-${number}`,
  mac: `06:00:0a:42:00:0${number}`,
  ip: `10.66.0.${number}`,
});

export const SUBNET = `10.66.0.0/${PREFIX}`;
export const GATEWAY = '10.66.0.1';
export const GATEWAY_ON_BRIDGE = `${GATEWAY}/${PREFIX}`;

/** A guest on a veth whose other end is in the namespace `host`. */
export async function vethGuest(host: string, number: number, undo: Undo): Promise<BenchGuest> {
  const id = identity(number);
  const options = { ...id, name: id.interfaceName, hostNamespace: host, prefix: PREFIX, gateway: GATEWAY };
  const guest = await startNetnsGuest(options);
  undo.push(() => guest.stop());
  return { ...id, namespace: guest.namespace };
}

/** A guest behind a TAP in the namespace `host` that a process holds as a VMM would. */
export async function tapGuest(host: string, number: number, undo: Undo): Promise<BenchGuest> {
  const id = identity(number);
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  const vmm = [ownTool('fake-vmm'), id.interfaceName, namespace.path, 'eth0'];
  // Beside the guest's load, not under it: a VMM's thread and its guest's run at the same time.
  const processor = number === SERVER_NUMBER ? CLIENT_PROCESSOR : SERVER_PROCESSOR;
  const holder = await startProgram(host, pinned(processor, vmm), 'ready');
  undo.push(() => stopProgram(holder));
  configureGuest(namespace.path, 'eth0', { ...id, prefix: PREFIX, gateway: GATEWAY });
  return { ...id, namespace: namespace.path, vmm: holder };
}

/** Two guests of one kind, the client first. */
export async function twoGuests(make: typeof vethGuest, host: string, undo: Undo): Promise<BenchGuest[]> {
  const guests: BenchGuest[] = [];
  for (const number of NUMBERS) guests.push(await make(host, number, undo));
  return guests;
}

/** Two guests whose eth0 is a TAP of the name given, found in the namespace `host` and moved out of it. */
export function movedTapGuests(host: string, taps: readonly string[], undo: Undo): BenchGuest[] {
  return NUMBERS.map((number, i) => {
    const id = { ...identity(number), interfaceName: taps[i]! };
    const namespace = createNamespace();
    undo.push(() => namespace.close());
    withRoutes(host, (routes) => {
      routes.changeLink(indexOf(routes, id.interfaceName), { namespacePath: namespace.path });
    });
    configureGuest(namespace.path, id.interfaceName, { ...id, prefix: PREFIX });
    return { ...id, namespace: namespace.path };
  });
}
