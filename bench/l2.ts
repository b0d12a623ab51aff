/** The rows of the l2 set: each one load on two rigs, and what else is sampled beside them. */
import { type Load, roundTrip, smallFrames, tcp } from './loads.ts';
import type { Row } from './row.ts';

const tcp1 = tcp(1);
const tcp4 = tcp(4);

const ON_VETH = [
  ['', 'tapswitch'],
  ['.datapath', 'datapath'],
] as const;

const veth = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: ON_VETH,
  reference: 'bridge',
  beside: [],
});

const tap = (name: string, load: Load, holderLoad: Load): Row => ({
  name,
  load,
  subjects: [
    ['', 'tapswitch-tap'],
    ['.datapath', 'datapath-tap'],
  ],
  reference: 'bridge-tap',
  beside: ['bridge'],
  holder: { load: holderLoad, taps: 'bridge-tap', veths: 'bridge' },
});

export const L2: readonly Row[] = [
  veth('l2.tcp.1', tcp1),
  veth('l2.tcp.4', tcp4),
  veth('l2.pps64', smallFrames),
  { name: 'l2.rtt', load: roundTrip, subjects: ON_VETH, reference: 'vde_switch', beside: ['bridge'] },
  tap('l2.tap.tcp.1', tcp1, tcp1),
  tap('l2.tap.tcp.4', tcp4, tcp4),
  tap('l2.tap.rtt', roundTrip, tcp1),
];
