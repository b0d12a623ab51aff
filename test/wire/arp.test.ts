import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as arp from '../../src/wire/arp.ts';
import { anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

const REQUEST = hex('0001 0800 06 04 0001 0600c0a8000e c0a8000e 000000000000 c0a80001');

function fields(view: DataView, off: number): number[] {
  return [
    arp.operation(view, off),
    arp.senderHigh(view, off),
    arp.senderLow(view, off),
    arp.senderAddress(view, off),
    arp.targetHigh(view, off),
    arp.targetLow(view, off),
    arp.targetAddress(view, off),
  ];
}

test('a request -> its fields', () => {
  const view = viewOf(REQUEST);
  expect(arp.check(view, 0, arp.ARP_BYTES)).toBe(true);
  expect(fields(view, 0)).toEqual([1, 0x0600, 0xc0a8000e | 0, 0xc0a8000e | 0, 0, 0, 0xc0a80001 | 0]);
});

test('a reply: emitted -> the bytes of RFC 826', () => {
  const view = new DataView(new ArrayBuffer(arp.ARP_BYTES));
  arp.emit(view, 0, arp.ARP_REPLY, 0x0200, 1, 0xc0a80001 | 0, 0x0600, 0xc0a8000e | 0, 0xc0a8000e | 0);
  expect(dump(view)).toBe('00010800060400020200000000' + '01c0a800010600c0a8000ec0a8000e');
});

describe('check', () => {
  test('a request padded to a minimum frame (46 bytes) -> true', () => {
    const padded = new Uint8Array(46);
    padded.set(REQUEST);
    expect(arp.check(viewOf(padded), 0, padded.length)).toBe(true);
  });

  test.each([
    ['hardware type 6 (IEEE 802)', 1, 6],
    ['protocol type 0x0801', 3, 1],
    ['hardware addresses of 8 bytes', 4, 8],
    ['hardware addresses of 0 bytes', 4, 0],
    ['protocol addresses of 16 bytes', 5, 16],
  ])('%s -> false', (_name, at, byte) => {
    const bytes = REQUEST.slice();
    bytes[at] = byte;
    expect(arp.check(viewOf(bytes), 0, bytes.length)).toBe(false);
  });

  test('one byte short -> false', () => {
    expect(arp.check(viewOf(REQUEST.slice(0, 27)), 0, 27)).toBe(false);
  });

  test('operation 3 (reverse request) -> true, the operation kept', () => {
    const bytes = REQUEST.slice();
    bytes[7] = 3;
    const view = viewOf(bytes);
    expect(arp.check(view, 0, bytes.length)).toBe(true);
    expect(arp.operation(view, 0)).toBe(3);
  });

  test('any bytes: true -> no accessor reads outside', () => {
    fc.assert(
      fc.property(hostile(REQUEST), ({ view, off, length }) => {
        if (arp.check(view, off, length)) fields(view, off);
      }),
    );
  });
});

test('any fields: emitted, then read -> the same, the bytes around untouched', () => {
  fc.assert(
    fc.property(fc.tuple(anyWord, anyWord, anyInt32, anyInt32, anyWord, anyInt32, anyInt32), (packet) => {
      const view = new DataView(new ArrayBuffer(1 + arp.ARP_BYTES + 1));
      arp.emit(view, 1, ...packet);
      expect(arp.check(view, 1, arp.ARP_BYTES)).toBe(true);
      expect(fields(view, 1)).toEqual(packet);
      expect(dump(view, 0, 1) + dump(view, 29)).toBe('0000');
    }),
  );
});
