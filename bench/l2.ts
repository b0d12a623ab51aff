/** The rows of the l2 set: each one load on two rigs, and what else is sampled beside them. */
import { type Load, roundTrip, smallFrames, tcp } from './loads.ts';
import type { RigName } from './rig.ts';

export interface Row {
  readonly name: string;
  readonly load: Load;
  readonly subject: RigName;
  readonly reference: RigName;
  /** Rigs sampled in the same round for comparison only */
  readonly beside: readonly RigName[];
  /** Load under which the TAPs' holder must not be the bottleneck for the row to count */
  readonly holderLoad?: Load;
}

const tcp1 = tcp(1);
const tcp4 = tcp(4);

const veth = (name: string, load: Load): Row => ({
  name,
  load,
  subject: 'tapswitch',
  reference: 'bridge',
  beside: [],
});

const tap = (name: string, load: Load, holderLoad: Load): Row => ({
  name,
  load,
  subject: 'tapswitch-tap',
  reference: 'bridge-tap',
  beside: ['bridge'],
  holderLoad,
});

export const L2: readonly Row[] = [
  veth('l2.tcp.1', tcp1),
  veth('l2.tcp.4', tcp4),
  veth('l2.pps64', smallFrames),
  { name: 'l2.rtt', load: roundTrip, subject: 'tapswitch', reference: 'vde_switch', beside: ['bridge'] },
  tap('l2.tap.tcp.1', tcp1, tcp1),
  tap('l2.tap.tcp.4', tcp4, tcp4),
  tap('l2.tap.rtt', roundTrip, tcp1),
];
