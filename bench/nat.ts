/** The rows of the nat set: from a guest to a server outside. */
import { type Load, smallFrames, tcp } from './loads.ts';
import { byteTrip } from './loads-connections.ts';
import type { RigName } from './rig.ts';
import type { Row } from './row.ts';

const nat = (name: string, load: Load, peers: readonly RigName[]): Row => ({
  name,
  load,
  subjects: [['', 'nat']],
  reference: 'masquerade',
  beside: [],
  peers,
});

export const NAT: readonly Row[] = [
  nat('nat.tcp.up', tcp(1), ['pasta-out', 'slirp4netns-out']),
  nat('nat.tcp.down', tcp(1, 'down'), ['pasta-out', 'slirp4netns-out']),
  nat('nat.udp.rr', byteTrip('udp'), ['slirp4netns-out']),
  nat('nat.udp.pps', smallFrames, ['slirp4netns-out']),
];
