import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TapLedger } from '../../src/control/tap-ledger.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'taps-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

const open = () => new TapLedger(directory);
const lines = () => readFileSync(join(directory, 'taps'), 'utf8').split('\n').length - 1;

test('TAPs noted and struck out -> those left are known the next time, and the file is the owner`s alone', () => {
  const ledger = open();
  for (const name of ['a', 'b', 'c']) ledger.add(name);
  ledger.remove('b');
  expect([...open().names]).toEqual(['a', 'c']);
  expect(statSync(join(directory, 'taps')).mode & 0o777).toBe(0o600);
});

test('a last line that was cut -> a name more at worst, the others are right', () => {
  open().add('tap1');
  appendFileSync(join(directory, 'taps'), '-ta');
  expect([...open().names]).toEqual(['tap1']);
});

test('many changes -> the file stays short', () => {
  const ledger = open();
  for (let i = 0; i < 20_000; i++) {
    ledger.add('a');
    ledger.remove('a');
  }
  expect(lines()).toBeLessThan(5000);
  expect(open().names.size).toBe(0);
});
