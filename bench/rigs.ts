/** Every rig by its name. */
import { createNamespace } from '../src/sys/netns.ts';
import type { Pace } from './pace.ts';
import type { Build, Rig, RigName, Undo } from './rig.ts';
import { ALLOCATION_RIGS } from './rigs-allocation.ts';
import { CAPTURE_RIGS } from './rigs-capture.ts';
import { CONTROL_RIGS } from './rigs-control.ts';
import { FORWARD_RIGS } from './rigs-forward.ts';
import { ISOLATION_RIGS } from './rigs-isolation.ts';
import { KERNEL_RIGS } from './rigs-kernel.ts';
import { L2_RIGS } from './rigs-l2.ts';
import { MANY_RIGS } from './rigs-many.ts';
import { NAT_RIGS } from './rigs-nat.ts';
import { QEMU_RIGS } from './rigs-qemu.ts';
import { RECOVERY_RIGS } from './rigs-recovery.ts';
import { SCALE_RIGS } from './rigs-scale.ts';

const RIGS: Readonly<Record<RigName, Build>> = {
  ...L2_RIGS,
  ...CAPTURE_RIGS,
  ...FORWARD_RIGS,
  ...NAT_RIGS,
  ...MANY_RIGS,
  ...ISOLATION_RIGS,
  ...KERNEL_RIGS,
  ...CONTROL_RIGS,
  ...SCALE_RIGS,
  ...RECOVERY_RIGS,
  ...ALLOCATION_RIGS,
  ...QEMU_RIGS,
};

/** Builds the rig of that name; `undo` learns how to remove it. */
export function buildRig(name: RigName, undo: Undo, pace: Pace): Promise<Rig> {
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  return RIGS[name](namespace.path, undo, pace);
}
