/** The loads of the control set: VMs that are registered and come up, beside those that are there. */
import { VmWorld } from './control-vms.ts';
import type { Load } from './loads.ts';
import { PRESENT } from './rigs-control.ts';
import { percentile } from './statistics.ts';

const MANY = 400;
const ALONE = 40;

/** As many as can be had at a time; each ends with TAP attached, guard on, state durable and the guest's ARP answered. */
export const putMany: Load = {
  id: 'put.many',
  unit: 'PUT/s',
  async run({ client: host, address: socket }) {
    const world = new VmWorld(host, socket);
    const began = performance.now();
    const timings = await world.bringUp(PRESENT, MANY);
    const seconds = (performance.now() - began) / 1000;
    await world.remove(PRESENT, MANY);
    const puts = timings.map(({ put }) => put);
    const arps = timings.map(({ arp }) => arp);
    return {
      value: MANY / seconds,
      detail: {
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
  async run({ client: host, address: socket }) {
    const world = new VmWorld(host, socket);
    const timings = await world.bringUp(PRESENT, ALONE, 1);
    await world.remove(PRESENT, ALONE);
    const puts = timings.map(({ put }) => put);
    return { value: percentile(puts, 0.5), detail: { p99: percentile(puts, 0.99) } };
  },
};
