import { expect, test } from 'vitest';
import { reporterTo } from '../../bench/progress.ts';

function stream(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 20, write: (text: string) => written.push(text) > 0 };
}

test('no terminal -> a line for each step, nothing to take back', () => {
  const out = stream(false);
  const { step, note, clear } = reporterTo(out as never);
  step('one');
  clear();
  note('two');
  expect(out.written).toEqual(['one\n', 'two\n']);
});

test('a terminal -> one line, with the time, no wider than it is; notes stay', () => {
  const out = stream(true);
  let now = 0;
  const { step, note } = reporterTo(out as never, () => now);
  now = 61_000;
  step('a step with a long name');
  note('stays');
  const [line, cleared, stays] = out.written as [string, string, string];
  expect(line).toBe('\r\x1b[K[1:01] a step with ');
  expect(cleared).toBe('\r\x1b[K');
  expect(stays).toBe('stays\n');
});
