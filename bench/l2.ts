/** The rows of the l2 set: each one load on two rigs, and what else is sampled beside them. */
import type { Limits } from './limits.ts';
import { type Load, roundTrip, smallFrames, tcp } from './loads.ts';
import { busyTrip } from './loads-busy.ts';
import { byteTrip } from './loads-connections.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const tcp1 = tcp(1);
const tcp4 = tcp(4);

const ON_VETH = [
  ['', 'tapswitch'],
  ['.datapath', 'datapath'],
] as const;

/** What users have today: the bridge with rules or without offloads, and a userspace switch */
const PEERS: readonly RigName[] = ['bridge-docker', 'bridge-plain', 'vde_switch'];

const veth = (name: string, load: Load, limits: Readonly<Record<string, Limits>>): Row => ({
  name,
  load,
  subjects: ON_VETH,
  reference: 'bridge',
  beside: [],
  peers: PEERS,
  limits,
});

const tap = (name: string, load: Load, holderLoad: Load, limits: Limits): Row => ({
  name,
  load,
  subjects: [
    ['', 'tapswitch-tap'],
    ['.datapath', 'datapath-tap'],
  ],
  reference: 'bridge-tap',
  beside: ['bridge'],
  holder: { load: holderLoad, taps: 'bridge-tap', veths: 'bridge' },
  limits: { '': limits },
});

/** The links of all three rigs being of that kind, by the end of their names */
const linked = (name: string, kind: 'mtu' | 'plain', load: Load): Row => ({
  name,
  load,
  subjects: [
    ['', `tapswitch-${kind}`],
    ['.datapath', `datapath-${kind}`],
  ],
  reference: `bridge-${kind}`,
  beside: [],
  limits: { '': { warn: 0.8, fail: 0.15 }, '.datapath': { warn: 0.35, fail: 0.05 } },
});

export const L2: readonly Row[] = [
  veth('l2.tcp.1', tcp1, { '': { warn: 0.8, fail: 0.15 }, '.datapath': { warn: 0.4, fail: 0.08 } }),
  veth('l2.tcp.4', tcp4, { '': { warn: 0.8, fail: 0.15 }, '.datapath': { warn: 0.35, fail: 0.05 } }),
  // That of l2.tcp.1, whose links have it too: beside 65520 in a run of its own
  veth('l2.tcp.mtu.1500', tcp1, {
    '': { warn: 0.8, fail: 0.15 },
    '.datapath': { warn: 0.4, fail: 0.08 },
  }),
  linked('l2.tcp.mtu.65520', 'mtu', tcp1),
  linked('l2.tcp.mtu.65520.4', 'mtu', tcp4),
  linked('l2.tcp.plain.1', 'plain', tcp1),
  linked('l2.tcp.plain.4', 'plain', tcp4),
  veth('l2.pps64', smallFrames, {
    '': { warn: 0.8, fail: 0.15 },
    '.datapath': { warn: 0.45, fail: 0.08 },
  }),
  {
    name: 'l2.rtt',
    load: roundTrip,
    subjects: ON_VETH,
    reference: 'vde_switch',
    beside: ['bridge'],
    limits: { '': { warn: 1.1, fail: 4 }, '.datapath': { warn: 2, fail: 6 } },
  },
  veth('l2.rr', byteTrip('udp'), { '': { warn: 1.5, fail: 5 }, '.datapath': { warn: 4, fail: 20 } }),
  veth('l2.rr.busy', busyTrip('udp'), {}),
  tap('l2.tap.tcp.1', tcp1, tcp1, { warn: 0.8, fail: 0.15 }),
  tap('l2.tap.tcp.4', tcp4, tcp4, { warn: 0.7, fail: 0.15 }),
  tap('l2.tap.rtt', roundTrip, tcp1, { warn: 1.3, fail: 4 }),
];
