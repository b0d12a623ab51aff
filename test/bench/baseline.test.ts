import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { kindOf, readBaseline, readBaselines, saveBaseline } from '../../bench/baseline.ts';
import type { About } from '../../bench/header.ts';
import { resultOf } from './result.ts';

const about = { kernel: '6.18', machine: { architecture: 'x64', processors: 2 } } as About;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tapswitch-test-'));
});
afterEach(() => rmSync(root, { recursive: true }));

test('results saved -> read again, under the kind of machine', () => {
  expect(kindOf(about)).toBe('x64-2cpu');
  expect(readBaseline(root, 'x64-2cpu')).toBeUndefined();
  saveBaseline(root, { about, results: [resultOf(0.5)] });
  expect(readBaseline(root, 'x64-2cpu')).toEqual({ about, results: [resultOf(0.5)] });
  expect([...readBaselines(root).keys()]).toEqual(['x64-2cpu']);
});

test('some rows saved again -> those change, the others stay', () => {
  saveBaseline(root, { about, results: [resultOf(0.5), resultOf(0.6, { name: 'l2.rtt' })] });
  saveBaseline(root, { about, results: [resultOf(0.9)] });
  const ratios = readBaseline(root, 'x64-2cpu')!.results.map(({ name, ratio }) => [name, ratio]);
  expect(ratios).toEqual([
    ['l2.tcp.1', 0.9],
    ['l2.rtt', 0.6],
  ]);
});

test('a file that is no JSON -> named', () => {
  mkdirSync(join(root, 'bench/baseline'), { recursive: true });
  writeFileSync(join(root, 'bench/baseline/x64-2cpu.json'), '{');
  expect(() => readBaseline(root, 'x64-2cpu')).toThrow('bench/baseline/x64-2cpu.json');
});
