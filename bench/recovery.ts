/** The rows of the recovery set: what a crash costs the guests. There is nothing to compare with: a bridge does not die. */
import { connectionsLost, gap } from './loads-recovery.ts';
import type { Row } from './row.ts';

export const RECOVERY: readonly Row[] = [
  {
    name: 'recovery.worker.ms',
    load: gap,
    subjects: [
      ['', 'tapswitch-worker'],
      ['.datapath', 'datapath-worker'],
    ],
    beside: [],
  },
  { name: 'recovery.daemon.ms', load: gap, subjects: [['', 'daemon-restarted']], beside: [] },
  { name: 'recovery.daemon.lost', load: connectionsLost, subjects: [['', 'daemon-restarted']], beside: [] },
];
