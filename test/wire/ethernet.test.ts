import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as ethernet from '../../src/wire/ethernet.ts';
import { anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

const BROADCAST = hex('ffffffffffff 0600c0a8000e 0806');

test('a broadcast ARP frame -> its fields', () => {
  const view = viewOf(BROADCAST);
  expect(ethernet.check(view, 0, view.byteLength)).toBe(true);
  expect(ethernet.destinationHigh(view, 0)).toBe(0xffff);
  expect(ethernet.destinationLow(view, 0)).toBe(-1);
  expect(ethernet.sourceHigh(view, 0)).toBe(0x0600);
  expect(ethernet.sourceLow(view, 0)).toBe(0xc0a8000e | 0);
  expect(ethernet.etherType(view, 0)).toBe(ethernet.ETHERTYPE_ARP);
});

test.each([
  ['ff:ff:ff:ff:ff:ff', 'ffffffffffff', true, true],
  ['an IPv4 multicast group', '01005e000001', true, false],
  ['a MAC that differs from broadcast in its last bit', 'fffffffffffe', true, false],
  ['a unicast MAC', '0600c0a8000e', false, false],
])('destination %s -> multicast and broadcast told apart', (_name, destination, multicast, broadcast) => {
  const view = viewOf(hex(`${destination} 0600c0a80001 0800`));
  expect(ethernet.isMulticast(view, 0)).toBe(multicast);
  expect(ethernet.isBroadcast(view, 0)).toBe(broadcast);
});

test('a runt of 13 bytes -> check false', () => {
  expect(ethernet.check(viewOf(BROADCAST.slice(0, 13)), 0, 13)).toBe(false);
});

test('any bytes: check true -> no accessor reads outside', () => {
  fc.assert(
    fc.property(hostile(BROADCAST), ({ view, off, length }) => {
      if (!ethernet.check(view, off, length)) return;
      for (const read of [
        ethernet.destinationHigh,
        ethernet.destinationLow,
        ethernet.sourceHigh,
        ethernet.sourceLow,
        ethernet.etherType,
        ethernet.isMulticast,
        ethernet.isBroadcast,
      ]) {
        read(view, off);
      }
    }),
  );
});

test('any fields: written, then read -> the same, the bytes around untouched, unknown types kept', () => {
  fc.assert(
    fc.property(anyWord, anyInt32, anyWord, anyInt32, anyWord, (dstHigh, dstLow, srcHigh, srcLow, type) => {
      const view = new DataView(new ArrayBuffer(1 + ethernet.ETHERNET_HEADER_BYTES + 1));
      ethernet.writeHeader(view, 1, dstHigh, dstLow, srcHigh, srcLow, type);
      expect([
        ethernet.destinationHigh(view, 1),
        ethernet.destinationLow(view, 1),
        ethernet.sourceHigh(view, 1),
        ethernet.sourceLow(view, 1),
        ethernet.etherType(view, 1),
      ]).toEqual([dstHigh, dstLow, srcHigh, srcLow, type]);
      expect(dump(view, 0, 1) + dump(view, 15)).toBe('0000');
    }),
  );
});
