/** The rules about files and imports that no compiler checks. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));
const MAX_LINES = 400;

/** Rooms of src: each may import what stands before it, and those of one line nothing of each other. */
const ORDER = [
  ['errors.ts', 'wire', 'sys'],
  ['config'],
  ['telemetry'],
  ['port'],
  ['switch'],
  ['capture'],
  ['fastpath'],
  ['gateway'],
  ['forward'],
  ['engine'],
  ['index.ts', 'resources'],
  ['vm-config'],
  ['diagnosis', 'explain'],
  ['control'],
  ['api', 'client'],
  ['lab'],
  ['demo'],
  ['cli'],
];

interface Import {
  readonly file: string;
  readonly specifier: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
const imports = files.flatMap((file): Import[] =>
  specifiersIn(readFileSync(join(SRC, file), 'utf8')).map((specifier) => ({ file, specifier })),
);

/** What a module's imports and exports name, types and dynamic imports included. */
function specifiersIn(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const from = code.matchAll(/^\s*(?:import|export|\})[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm);
  const bare = code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm);
  const dynamic = code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g);
  return [...from, ...bare, ...dynamic].map((match) => match[1] as string);
}

function roomOf(path: string): string {
  return path.split('/')[0] as string;
}

function levelOf(room: string): number {
  return ORDER.findIndex((rooms) => rooms.includes(room));
}

/** Room that an import leads to; undefined for a package. */
function target({ file, specifier }: Import): string | undefined {
  if (specifier === 'tapswitch') return 'index.ts';
  if (!specifier.startsWith('.')) return undefined;
  return roomOf(relative(SRC, join(SRC, dirname(file), specifier)));
}

function mayImport(from: string, to: string): boolean {
  return from === to || levelOf(to) < levelOf(from);
}

function shown({ file, specifier }: Import): string {
  return `${file} imports ${specifier}`;
}

test('the reader of imports -> finds every kind', () => {
  const text = `
import { a } from './a.ts';
import type { B } from "../b.ts";
import './c.ts';
import {
  d,
  e,
} from './d.ts';
export { f } from './f.ts';
export * from './g.ts';
// import { no } from './no.ts';
/** import { no } from './no.ts'; */
const h = await import('./h.ts');
`;
  expect(specifiersIn(text).sort()).toEqual([
    '../b.ts',
    './a.ts',
    './c.ts',
    './d.ts',
    './f.ts',
    './g.ts',
    './h.ts',
  ]);
});

describe('rooms', () => {
  test('every file -> in a room of the order', () => {
    expect(files.filter((file) => levelOf(roomOf(file)) < 0)).toEqual([]);
    expect(files.length).toBeGreaterThan(50);
    expect(imports.length).toBeGreaterThan(files.length);
  });

  test('every import -> of its own room or one before it', () => {
    const wrong = imports.filter((one) => {
      const to = target(one);
      return to !== undefined && !mayImport(roomOf(one.file), to);
    });
    expect(wrong.map(shown)).toEqual([]);
  });

  test('the switch -> knows no gateway', () => {
    const wrong = imports.filter((one) => roomOf(one.file) === 'switch' && target(one) === 'gateway');
    expect(wrong.map(shown)).toEqual([]);
  });

  test('relative imports -> name a file that is there, with its extension', () => {
    const wrong = imports.filter(({ file, specifier }) => {
      if (!specifier.startsWith('.')) return false;
      return !files.includes(relative(SRC, join(SRC, dirname(file), specifier)));
    });
    expect(wrong.map(shown)).toEqual([]);
  });
});

test('koffi -> imported by sys alone', () => {
  const users = imports.filter(({ specifier }) => specifier === 'koffi').map(({ file }) => file);
  expect(users.length).toBeGreaterThan(0);
  expect(users.filter((file) => roomOf(file) !== 'sys')).toEqual([]);
});

test('wire -> imports no package, not even of Node', () => {
  const wrong = imports.filter((one) => roomOf(one.file) === 'wire' && target(one) === undefined);
  expect(wrong.map(shown)).toEqual([]);
});

test(`every file -> at most ${MAX_LINES} lines`, () => {
  const long = files.filter(
    (file) => readFileSync(join(SRC, file), 'utf8').split('\n').length - 1 > MAX_LINES,
  );
  expect(long).toEqual([]);
});
