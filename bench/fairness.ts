/** The rows of the fairness set: many guests that all send at once, through the gateway to a server outside. */
import { evenness } from './loads-fairness.ts';
import { MANY } from './rigs-many.ts';
import type { Row } from './row.ts';

export const FAIRNESS: readonly Row[] = [
  {
    name: `fairness.tcp.${MANY}`,
    load: evenness,
    subjects: [['', 'nat-many']],
    reference: 'masquerade-many',
    beside: [],
    limits: { '': { warn: 0.9, fail: 0.5 } },
  },
];
