/** The rows of the forward set: from the host to a guest. */
import { type Load, tcp } from './loads.ts';
import { activeMemory, byteTrip, connectionRate, idleMemory } from './loads-connections.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const PEERS: readonly RigName[] = ['pasta', 'socat', 'slirp4netns'];

const tcpIn = tcp(1);
const tcpOut = tcp(1, 'down');

const veth = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: [['', 'forward']],
  reference: 'direct',
  beside: [],
  peers: PEERS,
});

const tap = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: [['', 'forward-tap']],
  reference: 'direct-tap',
  beside: ['direct'],
  holder: { load, taps: 'direct-tap', veths: 'direct' },
});

const memory = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: [['', 'forward-memory']],
  beside: [],
});

export const FORWARD: readonly Row[] = [
  veth('forward.tcp.in', tcpIn),
  veth('forward.tcp.out', tcpOut),
  veth('forward.tcp.4', tcp(4)),
  veth('forward.crr.1', connectionRate(1)),
  veth('forward.crr.8', connectionRate(8)),
  veth('forward.rr', byteTrip('tcp')),
  tap('forward.tap.in', tcpIn),
  tap('forward.tap.out', tcpOut),
  memory('forward.mem.idle', idleMemory),
  memory('forward.mem.active', activeMemory),
];
