/** Who holds a TAP, where several namespaces have one of that name. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { findTapHolder } from '../../src/engine/holder.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import { atTestEnd } from '../lib/net-cleanup.ts';

const VMM = fileURLToPath(new URL('../lib/net-vmm.mjs', import.meta.url));
const TAP = `fc-${process.pid % 1e6}`;

/** A namespace and the pid of what holds a TAP of that name in it. */
async function held(): Promise<{ path: string; pid: number }> {
  const namespace = createNamespace();
  atTestEnd().add(() => namespace.close());
  const { path } = namespace;
  const child = spawnIn(path, [process.execPath, VMM, TAP, path, 'lo'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  atTestEnd().add(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await Promise.race([once(child.stdout as Readable, 'data'), ended]);
  return { path, pid: child.pid as number };
}

test('TAPs of one name in two namespaces -> each its own holder', async () => {
  const one = await held();
  const other = await held();
  expect(findTapHolder(TAP, one.path)).toEqual({ pid: one.pid, command: 'node' });
  expect(findTapHolder(TAP, other.path)).toEqual({ pid: other.pid, command: 'node' });
  expect(findTapHolder('fc-nobody', one.path)).toBeUndefined();
});
