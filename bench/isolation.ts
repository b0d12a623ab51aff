/** The rows of the isolation set: what a VM's stream to a server outside loses by what its neighbour does. */
import { tcp } from './loads.ts';
import { besideNeighbour } from './loads-beside.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const load = besideNeighbour(tcp(1));

const isolation = (name: string, rig: RigName, beside: readonly RigName[]): Row => ({
  name,
  load,
  subjects: [['', rig]],
  reference: 'beside-idle',
  beside,
  limits: { '': { warn: 0.95, fail: 0.5 } },
});

export const ISOLATION: readonly Row[] = [
  // A neighbour that sends takes a processor, too: the share of that in the loss
  isolation('isolation.flood', 'beside-flood', ['beside-busy']),
  isolation('isolation.stall', 'beside-stall', []),
  isolation('isolation.spoof', 'beside-spoof', ['beside-busy']),
];
