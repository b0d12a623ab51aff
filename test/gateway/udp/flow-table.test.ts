import { expect, test } from 'vitest';
import type { FlowKey } from '../../../src/gateway/flow-key.ts';
import type { DatagramFlow, FlowEvents } from '../../../src/gateway/udp/flow.ts';
import { FlowTable } from '../../../src/gateway/udp/flow-table.ts';
import { ReadyList } from '../../../src/gateway/udp/ready-list.ts';
import { FLOW_KEY_FIELDS, keyOf } from '../../lib/flow-keys.ts';

const EVENTS: FlowEvents = {
  readyList: new ReadyList(),
  hostFailed: () => undefined,
  receive: () => false,
  timerExpired: () => undefined,
  ended: () => undefined,
};

const key = (port: number, guestPort: number, remotePort = 9): FlowKey =>
  keyOf({ port, guest3: 0x0a000001, guestPort, remote3: 0x01010101, remotePort });

test('the same addresses on two ports -> two flows', () => {
  const table = new FlowTable(EVENTS);
  const one = table.add(key(1, 7));
  const two = table.add(key(2, 7));
  expect(table.find(key(1, 7))).toBe(one);
  expect(table.find(key(2, 7))).toBe(two);
  expect(table.find(key(3, 7))).toBeUndefined();
});

test.each(FLOW_KEY_FIELDS)('another %s -> another flow', (field) => {
  const table = new FlowTable(EVENTS);
  table.add(key(1, 7));
  const other = key(1, 7);
  other[field]++;
  expect(table.find(other)).toBeUndefined();
});

test('2000 flows, every other removed -> the rest is found', () => {
  const table = new FlowTable(EVENTS);
  const flows = Array.from({ length: 2000 }, (_, i) => table.add(key(1 + (i % 3), i)));
  flows.forEach((flow, i) => {
    if (i % 2 === 1) table.remove(flow);
  });
  flows.forEach((flow, i) => {
    expect(table.find(key(1 + (i % 3), i))).toBe(i % 2 === 1 ? undefined : flow);
  });
  expect(table.size).toBe(1000);
  expect(table.flowsOf(1) + table.flowsOf(2) + table.flowsOf(3)).toBe(1000);
});

test('used again -> no longer the oldest of its VM', () => {
  const table = new FlowTable(EVENTS);
  const [a, b, c] = [1, 2, 3].map((guestPort) => table.add(key(1, guestPort))) as [
    DatagramFlow,
    DatagramFlow,
    DatagramFlow,
  ];
  expect(table.oldestOf(1)).toBe(a);
  table.touch(a, 5);
  expect(table.oldestOf(1)).toBe(b);
  table.touch(c, 6);
  expect(table.oldestOf(1)).toBe(b);
  table.remove(b);
  expect(table.oldestOf(1)).toBe(a);
  table.remove(a);
  table.remove(c);
  expect(table.oldestOf(1)).toBeUndefined();
});
