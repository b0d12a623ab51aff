/** The rows of the capture set: what a capture of every frame's headers takes from a stream between two guests. */
import { tcp } from './loads.ts';
import { whileCaptured } from './loads-captured.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const load = whileCaptured(tcp(1));

const capture = (name: string, rig: RigName, reference: RigName): Row => ({
  name,
  load,
  subjects: [['', rig]],
  reference,
  beside: [],
  limits: { '': { warn: 0.8, fail: 0.5 } },
});

export const CAPTURE: readonly Row[] = [
  capture('capture.on', 'captured', 'tapswitch'),
  capture('capture.on.datapath', 'captured-datapath', 'datapath'),
];
