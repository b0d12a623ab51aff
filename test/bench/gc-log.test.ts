import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { GcLog } from '../../bench/gc-log.ts';

const MEGABYTE = 2 ** 20;
const SCAVENGE = (isolate: string, before: number, after: number) =>
  `[77:${isolate}]       93 ms: Scavenge ${before} (6.4) -> ${after} (7.1) MB, 1.18 / 0.00 ms  (average mu = 1.000, current mu = 1.000) allocation failure; \n`;

function logged(...chunks: string[]): number {
  const output = new PassThrough({ encoding: 'utf8' });
  const log = new GcLog(output);
  for (const chunk of chunks) output.emit('data', chunk);
  return log.allocated / MEGABYTE;
}

test('two collections of a thread -> what its heap grew by between them', () => {
  expect(logged(SCAVENGE('0x5a0', 4.5, 4), SCAVENGE('0x5a0', 5.25, 4.1))).toBeCloseTo(1.25);
});

test('collections of two threads -> each with its own', () => {
  const both = [SCAVENGE('0x5a0', 9, 8), SCAVENGE('0x6b0', 2, 1), SCAVENGE('0x5a0', 9.5, 8)];
  expect(logged(...both, SCAVENGE('0x6b0', 1.5, 1))).toBeCloseTo(2);
});

test('full collections, and lines that come in pieces or are something else -> read, and passed over', () => {
  const full =
    '[77:0x5a0]      210 ms: Mark-Compact (reduce) 6.0 (8.1) -> 3.0 (8.1) MB, pooled: 0.0 MB, 2.01 / 0.00 ms\n';
  const text = `ready\n${SCAVENGE('0x5a0', 4.5, 4)}${full}`;
  expect(logged(text.slice(0, 40), text.slice(40))).toBeCloseTo(2);
});

test('no collection -> nothing', () => expect(logged('ready\n')).toBe(0));
