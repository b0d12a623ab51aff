/** Results kept in git, one file for each kind of machine: bench/baseline/KIND.json. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { About } from './header.ts';
import type { Result } from './measure.ts';

export interface Baseline {
  /** Header of the run that wrote last */
  readonly about: About;
  readonly results: readonly Result[];
}

/** What makes ratios comparable: architecture and number of processors, as in `x64-2cpu`. */
export const kindOf = ({ machine }: About): string => `${machine.architecture}-${machine.processors}cpu`;

const pathOf = (root: string, kind: string): string => join(root, 'bench/baseline', `${kind}.json`);

export function readBaseline(root: string, kind: string): Baseline | undefined {
  try {
    return JSON.parse(readFileSync(pathOf(root, kind), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${pathOf(root, kind)}: ${(error as Error).message}`);
  }
}

/** Every baseline by its kind, in order. */
export function readBaselines(root: string): ReadonlyMap<string, Baseline> {
  const folder = dirname(pathOf(root, 'any'));
  mkdirSync(folder, { recursive: true });
  const kinds = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length));
  return new Map(kinds.sort().map((kind) => [kind, readBaseline(root, kind)!]));
}

/** Puts results in the place of those of the same names, the others stay; gives the file's path. */
export function saveBaseline(root: string, { about, results }: Baseline): string {
  const kind = kindOf(about);
  const merged = new Map(readBaseline(root, kind)?.results.map((result) => [result.name, result]));
  for (const result of results) merged.set(result.name, result);
  const path = pathOf(root, kind);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ about, results: [...merged.values()] }, undefined, 2)}\n`);
  return path;
}
