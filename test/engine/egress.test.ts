import { describe, expect, test } from 'vitest';
import { EgressQueues } from '../../src/engine/egress.ts';
import { BATCH_FRAMES } from '../../src/port/batch.ts';
import { MAX_PORTS } from '../../src/switch/tables.ts';

/** Each row as its port and slots. */
function rowsOf(egress: EgressQueues): [number, number[]][] {
  return Array.from({ length: egress.rows }, (_, row) => {
    const first = egress.first(row);
    return [egress.port(row), [...egress.slots.subarray(first, first + egress.count(row))]];
  });
}

describe('egress queues', () => {
  test('empty -> no rows', () => {
    expect(rowsOf(new EgressQueues())).toEqual([]);
  });

  test('frames for several ports, mixed -> one row a port, each in the order they came', () => {
    const egress = new EgressQueues();
    for (const [port, slot] of [
      [7, 0],
      [2, 1],
      [7, 2],
      [4095, 3],
      [2, 5],
      [7, 4],
    ] as const)
      egress.add(port, slot);
    expect(rowsOf(egress)).toEqual([
      [7, [0, 2, 4]],
      [2, [1, 5]],
      [4095, [3]],
    ]);
  });

  test('one frame for many ports -> in the row of each', () => {
    const egress = new EgressQueues();
    for (let port = 1; port < MAX_PORTS; port++) egress.add(port, 9);
    expect(egress.rows).toBe(MAX_PORTS - 1);
    expect(rowsOf(egress).every(([port, slots], row) => port === row + 1 && slots[0] === 9)).toBe(true);
  });

  test('whole batches to every port -> no row reaches into the next', () => {
    const egress = new EgressQueues();
    for (let slot = 0; slot < BATCH_FRAMES; slot++) {
      for (const port of [1, 2, 3]) egress.add(port, slot);
    }
    const all = Array.from({ length: BATCH_FRAMES }, (_, slot) => slot);
    expect(rowsOf(egress)).toEqual([1, 2, 3].map((port) => [port, all]));
  });

  test('cleared -> no rows; used again -> nothing of before, rows from the first on', () => {
    const egress = new EgressQueues();
    for (const port of [5, 6, 5]) egress.add(port, 1);
    egress.clear();
    expect(rowsOf(egress)).toEqual([]);
    egress.add(6, 2);
    egress.add(8, 3);
    egress.add(5, 4);
    expect(rowsOf(egress)).toEqual([
      [6, [2]],
      [8, [3]],
      [5, [4]],
    ]);
  });
});
