/** The rows of the control set: VMs registered with a daemon that has a thousand. */

import type { Load } from './loads.ts';
import { appear, putAlone, putMany } from './loads-control.ts';
import type { Row } from './row.ts';

const control = (name: string, load: Load): Row => ({
  name,
  load,
  subjects: [['', 'daemon']],
  beside: [],
});

export const CONTROL: readonly Row[] = [
  control('control.put', putMany),
  control('control.put.alone', putAlone),
  control('control.appear', appear),
];
