import { describe, expect, test } from 'vitest';
import { HELP, readOptions } from '../../bench/options.ts';
import { QUICK_ROWS, SETS } from '../../bench/sets.ts';

const names = (...args: string[]) => readOptions(args).rows.map(({ name }) => name);
const every = Object.values(SETS)
  .flat()
  .map(({ name }) => name);

describe('arguments of the bench', () => {
  test('none -> every row, 5 samples', () => {
    expect(names()).toEqual(every);
    expect(readOptions([])).toMatchObject({ samples: 5, check: false, save: false });
  });

  test('names of rows -> each once', () => {
    expect(new Set(every).size).toBe(every.length);
  });

  test('--only with the head of names -> those rows', () => {
    expect(names('--only', 'forward.crr', '--only', 'l2.rtt')).toEqual([
      'l2.rtt',
      'forward.crr.1',
      'forward.crr.8',
    ]);
  });

  test('--only with the name of a row that is also the head of others -> it alone', () => {
    expect(names('--only', 'l2.rr')).toEqual(['l2.rr']);
  });

  test('--quick -> the dozen, 3 samples, shorter; with names those', () => {
    expect(names('--quick')).toEqual(QUICK_ROWS);
    expect(QUICK_ROWS).toHaveLength(12);
    expect(readOptions(['--quick'])).toMatchObject({ samples: 3, pace: { seconds: 1 } });
    expect(names('--quick', '--only', 'nat.tcp.down')).toEqual(['nat.tcp.down']);
    expect(names('nat', '--quick')).toEqual(['nat.tcp.up', 'nat.udp.rr']);
    expect(names('control', '--quick')).toEqual(['control.put', 'control.put.alone']);
    expect(names('recovery', '--quick')).toContain('recovery.daemon.lost');
  });

  test('--quick with the scale set -> no row that needs a thousand ports', () => {
    const measures = ['tcp', 'rtt', 'attach'];
    const few = measures.flatMap((measure) => [1, 10, 100].map((ports) => `scale.${measure}.${ports}`));
    expect(names('scale', '--quick')).toEqual(few);
  });

  test('--no-peers and --quick -> rows without other programs, though one of them be a reference elsewhere', () => {
    const peers = (...args: string[]) => readOptions(args).rows.flatMap((row) => row.peers ?? []);
    expect(peers('l2')).toContain('vde_switch');
    expect(peers('l2', '--no-peers')).toEqual([]);
    expect(peers('--quick')).toEqual([]);
  });

  test.each([
    [['l3'], 'no set l3'],
    [['l2', '--only', 'nat.tcp.up'], 'no row nat.tcp.up'],
    [['--samples', '0'], '--samples 0'],
    [['--samples', 'some'], '--samples some'],
    [['--save', '--smoke'], '--smoke'],
    [['--fast'], '--fast'],
  ])('%j -> refused, named', (args, part) => {
    expect(() => readOptions(args)).toThrow(part);
  });
});

test('--help -> each option but those for tests', () => {
  for (const option of ['only', 'quick', 'samples', 'no-peers', 'check', 'save', 'json']) {
    expect(HELP).toMatch(new RegExp(`^ {2}--${option}\\b`, 'm'));
  }
});
