/** The loads of the control set: VMs that are registered and come up, beside those that are there. */
import { VmWorld } from './control-vms.ts';
import type { Load } from './loads.ts';
import { scaled } from './pace.ts';
import { present } from './rigs-control.ts';
import { percentile } from './statistics.ts';

const MANY = 400;
const ALONE = 40;

/** As many as can be had at a time; each ends with TAP attached, guard on, state durable and the guest's ARP answered. */
export const putMany: Load = {
  id: 'put.many',
  unit: 'PUT/s',
  async run({ client: host, address: socket }, pace) {
    const world = new VmWorld(host, socket);
    const [first, count] = [present(pace), scaled(MANY, pace)];
    const began = performance.now();
    const timings = await world.bringUp(first, count);
    const seconds = (performance.now() - began) / 1000;
    await world.remove(first, count);
    const puts = timings.map(({ put }) => put);
    const arps = timings.map(({ arp }) => arp);
    return {
      value: count / seconds,
      detail: {
        present: first,
        putP50: percentile(puts, 0.5),
        putP99: percentile(puts, 0.99),
        arpP50: percentile(arps, 0.5),
        arpP99: percentile(arps, 0.99),
      },
    };
  },
};

/** One after the other. */
export const putAlone: Load = {
  id: 'put.alone',
  unit: 'ms',
  async run({ client: host, address: socket }, pace) {
    const world = new VmWorld(host, socket);
    const [first, count] = [present(pace), scaled(ALONE, pace)];
    const timings = await world.bringUp(first, count, 1);
    await world.remove(first, count);
    const puts = timings.map(({ put }) => put);
    return { value: percentile(puts, 0.5), detail: { present: first, p99: percentile(puts, 0.99) } };
  },
};

/** TAPs that fit a pattern appear, one after the other. */
export const appear: Load = {
  id: 'appear',
  unit: 'ms',
  async run({ client: host, address: socket }, pace) {
    const world = new VmWorld(host, socket);
    const [first, count] = [present(pace), scaled(ALONE, pace)];
    const times: number[] = [];
    for (let i = 0; i < count; i++) times.push(await world.appear(first + i));
    return { value: percentile(times, 0.5), detail: { present: first, p99: percentile(times, 0.99) } };
  },
};
