/** The bench as a contributor starts it, for tests of what it does and leaves. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export function bench(...args: string[]) {
  return spawnSync(process.execPath, ['scripts/bench.mjs', ...args], { cwd: ROOT, encoding: 'utf8' });
}

export const scratchFolders = () =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('tapswitch-bench-'));
