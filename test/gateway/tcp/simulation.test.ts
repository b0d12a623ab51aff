/**
 * Streams over bad wires, in simulated time. What each makes is in simulation.golden.txt: a change there is a change of
 * what users see on such a wire, for better or worse, and is checked in with the change that made it.
 */
import { expect, test } from 'vitest';
import { type Cell, Simulation } from '../../lib/simulation.ts';

const BYTES = 1 << 20;
/** Streams of each cell: one alone is a matter of luck */
const SEEDS = [1, 2, 3];
const COLUMNS = [
  'loss %',
  'delay ms',
  'reorder %',
  'buffer KB',
  'kB/s to guest',
  'time-outs',
  'kB/s from guest',
];

type Row = Omit<Cell, 'bytes' | 'seed' | 'direction'>;

/** Kilobytes a second of simulated time, and how often the gateway waited for a time-out. */
function carry(row: Row, direction: 'down' | 'up'): { rate: number; timeouts: number } {
  let [us, timeouts] = [0, 0];
  for (const seed of SEEDS) {
    const simulation = new Simulation({ ...row, direction, bytes: BYTES, seed });
    try {
      us += simulation.run();
      timeouts += simulation.timeouts;
    } catch (error) {
      throw new Error(`${JSON.stringify({ ...row, direction, seed })}: ${error}`, { cause: error });
    } finally {
      simulation.dispose();
    }
  }
  return { rate: Math.round((SEEDS.length * BYTES * 1000) / us), timeouts };
}

function* rows(): Generator<Row> {
  for (const loss of [0, 0.001, 0.01, 0.05]) {
    for (const delayUs of [0, 1000, 20_000]) {
      for (const reorder of [0, 0.01]) {
        for (const bufferBytes of [64 * 1024, 1024 * 1024]) {
          yield { family: 4, loss, delayUs, reorder, bufferBytes };
        }
      }
    }
  }
}

test('loss x delay x reordering x buffer, both ways -> as in the table, nothing stalls, nothing is damaged', async () => {
  const lines = [COLUMNS.join('  ')];
  for (const row of rows()) {
    const { loss, delayUs, reorder, bufferBytes } = row;
    const [down, up] = [carry(row, 'down'), carry(row, 'up')];
    const wire = [loss * 100, delayUs / 1000, reorder * 100, bufferBytes / 1024];
    const words = [...wire, down.rate, down.timeouts, up.rate];
    lines.push(words.map((value, column) => `${value}`.padStart(COLUMNS[column]!.length)).join('  '));
  }
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('simulation.golden.txt');
}, 120_000);

test.each([0, 1, 20])(
  'IPv6, one in a hundred lost and one reordered, %i ms away -> nothing stalls, nothing is damaged',
  (delayMs) => {
    // No figures: the host's end is a TCP socket of the kernel's, which has a clock of its own
    const wire = { loss: 0.01, reorder: 0.01, delayUs: delayMs * 1000 };
    const row: Row = { family: 6, ...wire, bufferBytes: 1024 * 1024 };
    for (const direction of ['down', 'up'] as const) expect(carry(row, direction).rate).toBeGreaterThan(0);
  },
  60_000,
);
