/** The loads of the scale set beside those of the l2 set: ports that come and go, and what idle ones cost. */
import { setTimeout as delay } from 'node:timers/promises';
import { createNamespace } from '../src/sys/netns.ts';
import type { Crowd } from './crowd.ts';
import { twoGuests, vethGuest } from './guests.ts';
import type { Load } from './loads.ts';
import { scaled } from './pace.ts';
import { fineCpuSeconds, residentBytes } from './processes.ts';
import { type Rig, Undo } from './rig.ts';
import { startCrowded } from './rigs-scale.ts';
import { percentile } from './statistics.ts';

const IDLE_MS = 4000;
/** Until what was allocated at the start is back */
const SETTLE_MS = 500;

function crowdOf({ name, crowd }: Rig): Crowd {
  if (crowd === undefined) throw new Error(`${name} has no ports beside its two`);
  return crowd;
}

function pidOf({ name, pid }: Rig): number {
  if (pid === undefined) throw new Error(`${name} has no process to look at`);
  return pid;
}

/** TAPs come up one after the other: how long until the gateway answers. */
export const attach: Load = {
  id: 'attach',
  unit: 'ms',
  async run(rig) {
    const crowd = crowdOf(rig);
    try {
      const timings = await crowd.come(1);
      return { value: percentile(timings, 0.5), detail: { p99: percentile(timings, 0.99) } };
    } finally {
      crowd.leave();
    }
  },
};

/** TAPs come up all at once. */
export const attachRate: Load = {
  id: 'attach.rate',
  unit: 'attaches/s',
  async run(rig) {
    const crowd = crowdOf(rig);
    const began = performance.now();
    try {
      await crowd.come(crowd.coming);
      return { value: crowd.coming / ((performance.now() - began) / 1000), detail: {} };
    } finally {
      crowd.leave();
    }
  },
};

/** What the process has in memory beyond one with a single port beside its guests', by the VM. */
export const portMemory: Load = {
  id: 'port.memory',
  unit: 'bytes',
  async run(rig) {
    const { present, coming } = crowdOf(rig);
    const undo = new Undo();
    try {
      const namespace = createNamespace();
      undo.push(() => namespace.close());
      const guests = await twoGuests(vethGuest, namespace.path, undo);
      const small = await startCrowded(namespace.path, guests, { present: 1, coming: 0 }, undo);
      await delay(SETTLE_MS);
      const [before, after] = [residentBytes(small.pid), residentBytes(pidOf(rig))];
      return { value: (after - before) / (present + coming - 1), detail: { before, after } };
    } finally {
      await undo.run();
    }
  },
};

/** Processor time of the process while no guest says anything. */
export const idleCpu: Load = {
  id: 'idle.cpu',
  unit: 'CPU s/s',
  async run(rig, pace) {
    const pid = pidOf(rig);
    const [began, before] = [performance.now(), fineCpuSeconds(pid)];
    await delay(scaled(IDLE_MS, pace));
    return { value: (fineCpuSeconds(pid) - before) / ((performance.now() - began) / 1000), detail: {} };
  },
};
