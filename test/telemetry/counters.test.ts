import { describe, expect, test } from 'vitest';
import { allocateCounters, CounterBlock, CounterReader } from '../../src/telemetry/counters.ts';
import { DROP, DROP_REASONS } from '../../src/telemetry/drops.ts';

const PORTS = 4;
const NOTHING = { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, drops: {} };

function workers(count: number) {
  const memory = allocateCounters(count, PORTS);
  const blocks = Array.from({ length: count }, (_, worker) => new CounterBlock(memory, worker, PORTS));
  return { blocks, reader: new CounterReader(memory, PORTS) };
}

test('nothing counted -> zeros, and no drop reason', () => {
  const { reader } = workers(2);
  for (let port = 0; port < PORTS; port++) expect(reader.read(port)).toEqual(NOTHING);
});

test('each kind counted -> read back as that kind, at that port alone', () => {
  const { blocks, reader } = workers(1);
  const [block] = blocks as [CounterBlock];
  block.received(2, 3, 300);
  block.sent(2, 5, 500);
  block.dropped(2, DROP.runt, 7);
  block.dropped(2, DROP['fault-injected'], 9);
  expect(reader.read(2)).toEqual({
    rxFrames: 3,
    rxBytes: 300,
    txFrames: 5,
    txBytes: 500,
    drops: { runt: 7, 'fault-injected': 9 },
  });
  for (const port of [0, 1, 3]) expect(reader.read(port)).toEqual(NOTHING);
});

test('refused by a device -> a count of its own, no drop; zero again once cleared', () => {
  const { blocks, reader } = workers(2);
  for (const block of blocks) block.refused(1, 3);
  expect(reader.refusals(1)).toBe(6);
  for (const port of [0, 1, 2]) expect(reader.read(port)).toEqual(NOTHING);
  expect(reader.refusals(2)).toBe(0);
  reader.clear(1);
  expect(reader.refusals(1)).toBe(0);
});

test.each(DROP_REASONS)('%s -> a cell of its own', (reason) => {
  const { blocks, reader } = workers(2);
  blocks[1]!.dropped(PORTS - 1, DROP[reason], 1);
  expect(reader.read(PORTS - 1).drops).toEqual({ [reason]: 1 });
  expect(reader.read(PORTS - 2)).toEqual(NOTHING);
});

test('several workers -> their blocks add up', () => {
  const { blocks, reader } = workers(3);
  for (const [worker, block] of blocks.entries()) {
    block.received(1, 10 ** worker, 1000 * 10 ** worker);
    block.received(1, 10 ** worker, 1000 * 10 ** worker);
    block.sent(1, worker, worker);
    block.dropped(1, DROP.vlan, worker);
  }
  expect(reader.read(1)).toEqual({
    rxFrames: 222,
    rxBytes: 222_000,
    txFrames: 3,
    txBytes: 3,
    drops: { vlan: 3 },
  });
});

test('cleared -> zero in every block, other ports untouched', () => {
  const { blocks, reader } = workers(3);
  for (const block of blocks) {
    for (let port = 0; port < PORTS; port++) {
      block.received(port, 1, 1);
      block.sent(port, 1, 1);
      for (const reason of DROP_REASONS) block.dropped(port, DROP[reason], 1);
    }
  }
  const before = reader.read(0);
  reader.clear(2);
  expect(reader.read(2)).toEqual(NOTHING);
  for (const port of [0, 1, 3]) expect(reader.read(port)).toEqual(before);
});

test('beyond 2^32 -> exact', () => {
  const { blocks, reader } = workers(1);
  blocks[0]!.sent(1, 1, 2 ** 45);
  blocks[0]!.sent(1, 1, 1);
  expect(reader.read(1).txBytes).toBe(2 ** 45 + 1);
});

describe('drop reasons', () => {
  test('each name -> once, lower case with hyphens, its number the place in the list', () => {
    expect(new Set(DROP_REASONS).size).toBe(DROP_REASONS.length);
    for (const [index, reason] of DROP_REASONS.entries()) {
      expect(reason).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(DROP[reason]).toBe(index);
    }
    expect(Object.keys(DROP)).toEqual([...DROP_REASONS]);
  });
});
