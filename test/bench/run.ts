/** Runs the bench as a contributor does, with samples too short to mean anything. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Result } from '../../bench/measure.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export function bench(...args: string[]) {
  return spawnSync(process.execPath, ['scripts/bench.mjs', ...args], { cwd: ROOT, encoding: 'utf8' });
}

/** The results of some rows by name, a sample of each, without other programs; throws what the bench said when it fails. */
export function smoke(...rows: string[]): Map<string, Result> {
  const only = rows.flatMap((row) => ['--only', row]);
  const { status, stdout, stderr } = bench('--json', '--smoke', '--no-peers', '--samples', '1', ...only);
  if (status !== 0) throw new Error(stderr);
  const [, ...results] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return new Map(results.map((result) => [result.name, result]));
}

/** What the bench keeps in files while it runs. */
export const scratchFolders = () =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('tapswitch-bench-'));
