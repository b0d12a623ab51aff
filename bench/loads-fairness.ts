/** The load of the fairness set: who gets how much when all want everything. */
import { bulk } from './iperf3.ts';
import type { Load } from './loads.ts';
import { PORTS } from './rig.ts';
import { jainIndex } from './statistics.ts';

/** Each guest of the rig sends one stream, all at once: Jain's index of what arrives of each. */
export const evenness: Load = {
  id: 'evenness',
  unit: "Jain's index",
  async run({ clients = [], server, address, name }, pace) {
    if (clients.length < 2) throw new Error(`${name} has no guests that could be treated alike`);
    const streams = clients.map((client, i) => {
      const options = { port: PORTS.iperf3 + i, streams: 1, direction: 'up' } as const;
      return bulk({ client, server, address }, pace, options);
    });
    // All have ended before one's failure is told: none runs on into the next sample
    await Promise.allSettled(streams);
    const rates = (await Promise.all(streams)).map(({ bitsPerSecond }) => bitsPerSecond / 1e9);
    const total = rates.reduce((sum, rate) => sum + rate, 0);
    return {
      value: jainIndex(rates),
      detail: { total, least: Math.min(...rates), most: Math.max(...rates) },
    };
  },
};
