/** The rows of the nat set: from a guest to a server outside. */
import type { Limits } from './limits.ts';
import { type Load, smallFrames, tcp } from './loads.ts';
import { byteTrip } from './loads-connections.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const nat = (name: string, load: Load, peers: readonly RigName[], limits: Limits): Row => ({
  name,
  load,
  subjects: [['', 'nat']],
  reference: 'masquerade',
  beside: [],
  peers,
  limits: { '': limits },
});

const TCP_PEERS: readonly RigName[] = ['nat-datapath', 'pasta-out', 'slirp4netns-out'];

export const NAT: readonly Row[] = [
  nat('nat.tcp.up', tcp(1), TCP_PEERS, { warn: 0.7, fail: 0.08 }),
  nat('nat.tcp.down', tcp(1, 'down'), TCP_PEERS, { warn: 0.7, fail: 0.08 }),
  nat('nat.tcp.up.4', tcp(4), [], { warn: 0.4, fail: 0.05 }),
  nat('nat.tcp.down.4', tcp(4, 'down'), [], { warn: 0.4, fail: 0.05 }),
  nat('nat.udp.rr', byteTrip('udp'), ['slirp4netns-out'], { warn: 2.2, fail: 15 }),
  nat('nat.udp.pps', smallFrames, ['slirp4netns-out'], { warn: 0.5, fail: 0.08 }),
];
