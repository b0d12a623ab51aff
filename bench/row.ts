/** A row of the results: one load on several rigs, sampled in the same rounds. */
import type { Limits } from './limits.ts';
import type { Load } from './loads.ts';
import type { RigName } from './rig.ts';

export interface Row {
  readonly name: string;
  readonly load: Load;
  /** What is measured, each a line of the results: the row's name with this suffix, and the rig */
  readonly subjects: readonly (readonly [suffix: string, rig: RigName])[];
  /** None for a figure that stands for itself */
  readonly reference?: RigName;
  /** Rigs sampled in the same round for comparison only */
  readonly beside: readonly RigName[];
  /** The same, of programs that need not be installed: sampled in every second round, left out when they fail */
  readonly peers?: readonly RigName[];
  /** The TAPs' holder must not be the bottleneck for the row to count */
  readonly holder?: Holder;
  /** What the ratios must keep, by the suffix of the subject */
  readonly limits?: Readonly<Record<string, Limits>>;
}

/** How the holder of the TAPs is judged: what the kernel reaches over them against what it reaches over veths. */
export interface Holder {
  readonly load: Load;
  readonly taps: RigName;
  readonly veths: RigName;
}

/** All rigs of a row that must be there. */
export function requiredRigs({ subjects, reference, beside, holder }: Row): RigName[] {
  return [
    ...subjects.map(([, rig]) => rig),
    ...(reference === undefined ? [] : [reference]),
    ...beside,
    ...(holder === undefined ? [] : [holder.taps, holder.veths]),
  ];
}
