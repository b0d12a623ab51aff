/** The rows of the qemu set: what is left of the differences where the guest is a machine, emulated in software. */
import { roundTrip } from './loads.ts';
import { tcpIn } from './loads-qemu.ts';
import type { Row } from './row.ts';

const pair = {
  subjects: [['', 'tapswitch-qemu']],
  reference: 'bridge-qemu',
  beside: [],
} as const;

export const QEMU: readonly Row[] = [
  { name: 'qemu.rtt', load: roundTrip, ...pair, limits: { '': { warn: 1.3, fail: 4 } } },
  { name: 'qemu.tcp.in', load: tcpIn, ...pair, limits: { '': { warn: 0.8, fail: 0.15 } } },
];
