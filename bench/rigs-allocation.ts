/** The rig of the alloc set: every frame through TypeScript, in a process that tells of its collections of garbage. */
import { GcLog, TRACE_GC } from './gc-log.ts';
import { type BenchGuest, twoGuests, vethGuest } from './guests.ts';
import type { AllocationRigName, Build } from './rig.ts';
import { runSwitch, vmsOf } from './switch.ts';

const datapath: Build = async (host, undo) => {
  const guests = await twoGuests(vethGuest, host, undo);
  const [client, server] = guests as [BenchGuest, BenchGuest];
  const network = { mode: 'shared' } as const;
  const setup = { vms: vmsOf(guests), network, fastPath: 'off', node: TRACE_GC } as const;
  const child = await runSwitch(host, setup, undo);
  return {
    name: 'datapath-gc',
    client: client.namespace,
    server: server.namespace,
    address: server.ip,
    pid: child.pid,
    allocation: { log: new GcLog(child.stdout!), host, interfaceName: server.interfaceName },
  };
};

export const ALLOCATION_RIGS: Readonly<Record<AllocationRigName, Build>> = { 'datapath-gc': datapath };
