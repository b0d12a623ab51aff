/** The rows of the scale set: one to a thousand idle ports beside the two that carry the load. */
import type { Limits } from './limits.ts';
import { type Load, roundTrip, tcp } from './loads.ts';
import { attach, attachRate, idleCpu, portMemory } from './loads-scale.ts';
import type { Ports } from './rig.ts';
import type { Row } from './row.ts';

const PORTS: readonly Ports[] = [1, 10, 100, 1000];
const MOST = 1000;
/** What `--quick` still takes the time to set up */
const QUICK_PORTS = 100;

const curve = (name: string, load: Load, limits: Limits): Row[] =>
  PORTS.map((ports) => ({
    name: `scale.${name}.${ports}`,
    load,
    subjects: [['', `tapswitch-${ports}`]],
    reference: `bridge-${ports}`,
    beside: [],
    limits: { '': limits },
  }));

/** A bridge's port is there as soon as it is asked for: no ratio would say anything. */
const attaches: readonly Row[] = PORTS.map((ports) => ({
  name: `scale.attach.${ports}`,
  load: attach,
  subjects: [['', `tapswitch-${ports}`]],
  beside: [`bridge-${ports}`],
}));

const most = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: [['', `tapswitch-${MOST}`]],
  beside: [],
});

// Memory and idle time first: what traffic leaves on the heap is not the ports'.
export const SCALE: readonly Row[] = [
  most('scale.mem', portMemory),
  most('scale.idle', idleCpu),
  ...curve('tcp', tcp(1), { warn: 0.8, fail: 0.15 }),
  ...curve('rtt', roundTrip, { warn: 1.3, fail: 4 }),
  ...attaches,
  most('scale.attach.rate', attachRate),
];

export const QUICK_SCALE: readonly string[] = SCALE.map(({ name }) => name).filter((name) => {
  const ports = /\d+$/.exec(name);
  return ports !== null && Number(ports[0]) <= QUICK_PORTS;
});
