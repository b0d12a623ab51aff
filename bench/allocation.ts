/** The row of the alloc set: what the switch leaves to the garbage collector for each frame. */
import { readFileSync } from 'node:fs';
import { inNamespace } from '../src/sys/netns.ts';
import { UNSEEN_BYTES } from './gc-log.ts';
import { type Load, smallFrames } from './loads.ts';
import type { Row } from './row.ts';

/** Among the fields behind the interface's name (proc(5), /proc/net/dev) */
const SENT_PACKETS = 9;

/** Frames that an interface has sent. */
function framesSent(namespace: string, interfaceName: string): number {
  const table = inNamespace(namespace, () => readFileSync('/proc/thread-self/net/dev', 'utf8'));
  const line = table.split('\n').find((each) => each.trim().startsWith(`${interfaceName}:`));
  if (line === undefined) throw new Error(`no interface ${interfaceName}`);
  return Number(line.split(':')[1]!.trim().split(/\s+/)[SENT_PACKETS]);
}

/** Heap allocated, by all threads of the process, for each frame of a small-frame load that it forwards. */
const allocated: Load = {
  id: 'alloc',
  unit: 'bytes/frame',
  async run(rig, pace) {
    const { name, allocation } = rig;
    if (allocation === undefined) throw new Error(`${name} does not tell what it allocates`);
    const { log, host, interfaceName } = allocation;
    const [before, sentBefore] = [log.allocated, framesSent(host, interfaceName)];
    await smallFrames.run(rig, pace);
    const frames = framesSent(host, interfaceName) - sentBefore;
    return { value: (log.allocated - before) / frames, detail: { frames, unseen: UNSEEN_BYTES / frames } };
  },
};

export const ALLOCATION: readonly Row[] = [
  { name: 'alloc.frame', load: allocated, subjects: [['', 'datapath-gc']], beside: [] },
];
