import { expect, test } from 'vitest';
import { QUICK_IN_SETS, QUICK_ROWS, SETS } from '../../bench/sets.ts';

test('rows of a set -> named after it, no two results of one name', () => {
  const names = Object.entries(SETS).flatMap(([set, rows]) =>
    rows.flatMap((row) => {
      expect(`${row.name}.`.startsWith(`${set}.`), row.name).toBe(true);
      return row.subjects.map(([suffix]) => row.name + suffix);
    }),
  );
  expect(new Set(names).size).toBe(names.length);
});

test('rows of --quick -> there are such, of each set some', () => {
  const quick = [...QUICK_ROWS, ...QUICK_IN_SETS];
  const names = Object.values(SETS).flatMap((rows) => rows.map(({ name }) => name));
  for (const name of quick) expect(names).toContain(name);
  for (const [set, rows] of Object.entries(SETS)) {
    expect(
      rows.filter(({ name }) => quick.includes(name)),
      set,
    ).not.toEqual([]);
  }
});

test('rigs of a row -> each once among its subjects', () => {
  for (const { name, subjects } of Object.values(SETS).flat()) {
    const rigs = subjects.map(([, rig]) => rig);
    expect(new Set(rigs).size, name).toBe(rigs.length);
  }
});
