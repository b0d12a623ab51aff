/** The rows of the forward set: from the host to a guest. */
import type { Limits } from './limits.ts';
import { type Load, tcp } from './loads.ts';
import { busyTrip } from './loads-busy.ts';
import { activeMemory, byteTrip, connectionRate, idleMemory } from './loads-connections.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const PEERS: readonly RigName[] = ['dnat', 'pasta', 'socat', 'slirp4netns'];

/** Of streams: the datapath's own way, and a socket to a socket, whatever lies between */
const STREAM_PEERS: readonly RigName[] = ['forward-datapath', ...PEERS, 'loopback'];

const tcpIn = tcp(1);
const tcpOut = tcp(1, 'down');

const veth = (name: string, load: Load, limits: Limits | undefined, peers: readonly RigName[]): Row => ({
  name,
  load,
  subjects: [['', 'forward']],
  reference: 'direct',
  beside: [],
  peers,
  ...(limits === undefined ? {} : { limits: { '': limits } }),
});

const tap = (name: string, load: Load, limits: Limits): Row => ({
  name,
  load,
  subjects: [['', 'forward-tap']],
  reference: 'direct-tap',
  beside: ['direct'],
  holder: { load, taps: 'direct-tap', veths: 'direct' },
  limits: { '': limits },
});

const memory = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: [['', 'forward-memory']],
  beside: [],
});

export const FORWARD: readonly Row[] = [
  veth('forward.tcp.in', tcpIn, { warn: 0.7, fail: 0.08 }, [...STREAM_PEERS, 'pasta-tap']),
  veth('forward.tcp.out', tcpOut, { warn: 0.7, fail: 0.08 }, STREAM_PEERS),
  veth('forward.tcp.4', tcp(4), { warn: 0.5, fail: 0.05 }, PEERS),
  veth('forward.tcp.out.4', tcp(4, 'down'), { warn: 0.4, fail: 0.05 }, []),
  veth('forward.crr.1', connectionRate(1), { warn: 0.4, fail: 0.05 }, PEERS),
  veth('forward.crr.8', connectionRate(8), { warn: 0.4, fail: 0.05 }, PEERS),
  veth('forward.rr', byteTrip('tcp'), { warn: 2.8, fail: 15 }, PEERS),
  veth('forward.rr.busy', busyTrip('tcp'), undefined, []),
  tap('forward.tap.in', tcpIn, { warn: 0.5, fail: 0.08 }),
  tap('forward.tap.out', tcpOut, { warn: 0.45, fail: 0.08 }),
  memory('forward.mem.idle', idleMemory),
  memory('forward.mem.active', activeMemory),
];
