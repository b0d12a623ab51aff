import { chmodSync, existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MANIFEST, ROOT, say } from './project.mjs';
import { runQuietly } from './run.mjs';

const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.stamp');
const INPUTS = ['src', 'tsconfig.json', 'package-lock.json'];

/** Time of the youngest file or folder below `path`; a folder changes when a file of it is removed. */
function youngest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => youngest(join(path, name))));
}

function isFresh() {
  if (!existsSync(STAMP)) return false;
  const built = statSync(STAMP).mtimeMs;
  return INPUTS.every((input) => youngest(join(ROOT, input)) < built);
}

/** Compiles src into dist when a source is newer than the last build. */
export function ensureBuild() {
  if (isFresh()) return;
  say('compiling src to dist');
  const started = new Date();
  rmSync(DIST, { recursive: true, force: true }); // nothing compiled from a file that is gone stays behind
  runQuietly('compiling', process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', ROOT]);
  for (const program of Object.values(MANIFEST.bin)) {
    if (existsSync(join(ROOT, program))) chmodSync(join(ROOT, program), 0o755);
  }
  writeFileSync(STAMP, '');
  utimesSync(STAMP, started, started);
}
