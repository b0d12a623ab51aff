/** A load on a switch on which a capture may run: what the capture got of it is told beside the figure. */
import type { Load } from './loads.ts';

/** `load` with the frames that were `captured` and `lost` meanwhile: a capture that loses most costs little. */
export const whileCaptured = (load: Load): Load => ({
  ...load,
  async run(rig, pace) {
    const before = await rig.captured?.();
    const sample = await load.run(rig, pace);
    const after = await rig.captured?.();
    if (before === undefined || after === undefined) return sample;
    const counts = { captured: after.written - before.written, lost: after.lost - before.lost };
    return { ...sample, detail: { ...sample.detail, ...counts } };
  },
});
