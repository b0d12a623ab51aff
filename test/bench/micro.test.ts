import { describe, expect, test } from 'vitest';
import { type MicroBench, microBenches } from '../../bench/micro-benches.ts';

const groups = Object.entries(microBenches());
const all = groups.flatMap(([group, benches]) =>
  Object.entries(benches).map(([name, once]): [string, string, MicroBench] => [group, name, once]),
);
const of = (wanted: string) => all.filter(([group]) => group === wanted);

test.each(all)('%s: %s -> can be done again and again', (_group, _name, once) => {
  for (let i = 0; i < 3; i++) once();
});

describe('what a bench is named after is what it does', () => {
  test.each(of('capture filter'))('%s: %s', (_group, name, once) => {
    expect(once()).toBe(name.endsWith(' selects'));
  });

  test.each(of('FDB'))('%s: %s', (_group, name, once) => {
    if (name.startsWith('found')) expect(once()).toBeGreaterThanOrEqual(0);
    else expect(once()).toBeLessThan(0);
  });

  test.each(of('checksum'))('%s: %s -> 16 bits', (_group, _name, once) => {
    expect(once()).toBeGreaterThan(0);
    expect(once()).toBeLessThanOrEqual(0xffff);
  });

  test('IPv4 header checked and read -> one that is right', () => {
    expect(of('codecs').find(([, name]) => name.includes('checked'))?.[2]()).toBeTypeOf('number');
  });
});
