/** A load of one VM while its neighbour misbehaves, where the rig has such a neighbour. */
import type { Load, Sample } from './loads.ts';

/** `load` with what was seen of the neighbour meanwhile. */
export const besideNeighbour = (load: Load): Load => ({
  ...load,
  async run(rig, pace) {
    const end = await rig.misbehave?.();
    let sample: Sample;
    let seen: Readonly<Record<string, number>> | undefined;
    try {
      sample = await load.run(rig, pace);
    } finally {
      seen = await end?.();
    }
    return { ...sample, detail: { ...sample.detail, ...seen } };
  },
});
