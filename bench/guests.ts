/** Pairs of guests, by the kind of link they hang on. */
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
}

const PREFIX = 24;
const NUMBERS = [2, 3];

const identity = (number: number) => ({
  interfaceName: `fc-vm-${number}`,
  mac: `06:00:0a:42:00:0${number}`,
  ip: `10.66.0.${number}`,
});

export const SUBNET = `10.66.0.0/${PREFIX}`;
export const GATEWAY = '10.66.0.1';

/** Two guests on veths whose other ends are in the namespace `host`. */
export async function vethGuests(host: string, undo: Undo): Promise<BenchGuest[]> {
  const guests: BenchGuest[] = [];
  for (const number of NUMBERS) {
    const id = identity(number);
    const options = { ...id, name: id.interfaceName, hostNamespace: host, prefix: PREFIX };
    const guest = await startNetnsGuest(options);
    undo.push(() => guest.stop());
    guests.push({ ...id, namespace: guest.namespace });
  }
  return guests;
}

/** Two guests, each behind a TAP in the namespace `host` that a process holds as a VMM would. */
export async function tapGuests(host: string, undo: Undo): Promise<BenchGuest[]> {
  const guests: BenchGuest[] = [];
  for (const [i, number] of NUMBERS.entries()) {
    const id = identity(number);
    const namespace = createNamespace();
    undo.push(() => namespace.close());
    const vmm = [ownTool('fake-vmm'), id.interfaceName, namespace.path, 'eth0'];
    // Beside the guest's load, not under it: a VMM's thread and its guest's run at the same time.
    const processor = i === 0 ? SERVER_PROCESSOR : CLIENT_PROCESSOR;
    const holder = await startProgram(host, pinned(processor, vmm), 'ready');
    undo.push(() => stopProgram(holder));
    configureGuest(namespace.path, 'eth0', { ...id, prefix: PREFIX });
    guests.push({ ...id, namespace: namespace.path });
  }
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
