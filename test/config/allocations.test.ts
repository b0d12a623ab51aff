import { beforeEach, expect, test } from 'vitest';
import { Allocations } from '../../src/config/allocations.ts';
import { forward } from '../forward/fixtures.ts';

const chosen = {
  leased: '10.0.0.4',
  loopback: '127.64.0.1',
  forwards: ['127.0.0.1:26000:80/tcp', '[::1]:26001:80/tcp', '127.0.0.1:26002:80/udp'],
};
const LEASE = 0x0a000004;
const LOOPBACK = 0x7f400001;

let kept: Allocations;

beforeEach(() => {
  kept = new Allocations();
});

/** What of `chosen` no VM may have but the one it is kept for. */
const closedTo = (id: string) => [
  kept.isLeaseOfAnother(LEASE, id),
  kept.isLoopbackOfAnother(LOOPBACK, id),
  kept.isPortOfAnother(26000, 'tcp', id),
  kept.isPortOfAnother(26001, 'tcp', id),
  kept.isPortOfAnother(26002, 'udp', id),
];

test('kept for a VM -> its own, and closed to others until it is dropped', () => {
  kept.keep('a', chosen);
  expect([kept.leaseOf('a'), kept.loopbackOf('a')]).toEqual([LEASE, LOOPBACK]);
  expect(closedTo('a')).toEqual([false, false, false, false, false]);
  expect(closedTo('b')).toEqual([true, true, true, true, true]);
  expect(kept.isPortOfAnother(26000, 'udp', 'b')).toBe(false);
  kept.drop('a');
  expect([kept.leaseOf('a'), kept.loopbackOf('a')]).toEqual([undefined, undefined]);
  expect(closedTo('b')).toEqual([false, false, false, false, false]);
});

test('ports -> those of a forward of the same address, port and protocol', () => {
  kept.keep('a', chosen);
  expect(kept.portsOf('a', forward('0:80'))).toEqual([26000]);
  expect(kept.portsOf('a', forward('[::1]:0:80'))).toEqual([26001]);
  expect(kept.portsOf('a', forward('0:80/udp'))).toEqual([26002]);
  for (const other of ['0:81', '0.0.0.0:0:80', 'unix:/run/a:80']) {
    expect(kept.portsOf('a', forward(other)), other).toEqual([]);
  }
  expect(kept.portsOf('b', forward('0:80'))).toEqual([]);
});

test('kept anew -> nothing is left of what was kept before', () => {
  kept.keep('a', chosen);
  kept.keep('a', { loopback: '127.64.0.2', forwards: [] });
  expect(closedTo('b')).toEqual([false, false, false, false, false]);
  expect([kept.leaseOf('a'), kept.loopbackOf('a')]).toEqual([undefined, LOOPBACK + 1]);
});

test('the same kept for two VMs, one dropped -> closed to others still', () => {
  kept.keep('a', chosen);
  kept.keep('b', chosen);
  kept.drop('a');
  expect(closedTo('c')).toEqual([true, true, true, true, true]);
});
