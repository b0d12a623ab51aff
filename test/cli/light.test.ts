/** A command that is a client of the daemon starts at once: what it loads has no schema, logger or switch in it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url));
const IMPORT = /^(?:import|export) (?!type )(?:[^;]*? from )?'([^']+)';$/gm;

/** Packages and files of ours that a file loads before anything of it runs. */
function loadedBy(file: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (specifier.startsWith('.')) loadedBy(fileURLToPath(new URL(specifier, `file://${file}`)), seen);
    else if (!specifier.startsWith('node:')) seen.add(specifier);
  }
  return seen;
}

test('the command -> loads none of the rooms and packages that only the daemon needs', () => {
  const loaded = [...loadedBy(`${SOURCE}cli/main.ts`)].map((one) => one.replace(SOURCE, ''));
  expect(loaded).toContain('client/client.ts');
  expect(loaded).toContain('undici');
  const heavy = /^(typebox|koffi|pino|fastify|(engine|gateway|switch|api|control)\/)/;
  expect(loaded.filter((one) => heavy.test(one))).toEqual([]);
});
