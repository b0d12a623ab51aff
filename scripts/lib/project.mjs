// Where the project is, and how its scripts talk: one line per step on stderr, stdout belongs to the program run.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const CACHE = join(ROOT, '.cache');

export const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

export function say(line) {
  process.stderr.write(`tapswitch: ${line}\n`);
}

/** Says what stops the script, and stops it. */
export function fail(line, status = 1) {
  say(line);
  process.exit(status);
}
