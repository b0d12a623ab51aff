/** Every set of rows by its name, and the dozen of `--quick`. */
import { ALLOCATION } from './allocation.ts';
import { CAPTURE } from './capture.ts';
import { CONTROL } from './control.ts';
import { FAIRNESS } from './fairness.ts';
import { FORWARD } from './forward.ts';
import { ISOLATION } from './isolation.ts';
import { L2 } from './l2.ts';
import { NAT } from './nat.ts';
import { QEMU } from './qemu.ts';
import { RECOVERY } from './recovery.ts';
import type { Row } from './row.ts';
import { QUICK_SCALE, SCALE } from './scale.ts';

export const SETS: Readonly<Record<string, readonly Row[]>> = {
  l2: L2,
  capture: CAPTURE,
  fairness: FAIRNESS,
  isolation: ISOLATION,
  forward: FORWARD,
  nat: NAT,
  control: CONTROL,
  scale: SCALE,
  recovery: RECOVERY,
  alloc: ALLOCATION,
  qemu: QEMU,
};

/** What `--quick` has of sets that are not among its dozen, where these are named */
export const QUICK_IN_SETS: readonly string[] = [
  'control.put',
  'control.put.alone',
  ...QUICK_SCALE,
  ...[...RECOVERY, ...ALLOCATION, ...QEMU].map(({ name }) => name),
];

/** One of each kind of traffic on each way through the switch: three samples of a second stay under 4 minutes */
export const QUICK_ROWS: readonly string[] = [
  'l2.tcp.1',
  'l2.tcp.4',
  'l2.pps64',
  'l2.rtt',
  'l2.rr',
  'l2.tap.tcp.1',
  'forward.tcp.in',
  'forward.tcp.out',
  'forward.crr.1',
  'forward.rr',
  'nat.tcp.up',
  'nat.udp.rr',
];
