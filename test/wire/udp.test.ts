import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as udp from '../../src/wire/udp.ts';
import { anyWord, hex, hostile, viewOf } from './bytes.ts';

const DATAGRAM = hex('3039 0035 000c 0000 61626364');

function fields(view: DataView, off: number): number[] {
  return [udp.sourcePort(view, off), udp.destinationPort(view, off), udp.length(view, off)];
}

test('a datagram -> its fields', () => {
  const view = viewOf(DATAGRAM);
  expect(udp.check(view, 0, DATAGRAM.length)).toBe(true);
  expect(fields(view, 0)).toEqual([12_345, 53, 12]);
});

test('any ports -> read back', () => {
  fc.assert(
    fc.property(anyWord, anyWord, (source, destination) => {
      const view = viewOf(DATAGRAM);
      view.setUint16(0, source);
      view.setUint16(2, destination);
      expect(fields(view, 0)).toEqual([source, destination, 12]);
    }),
  );
});

describe('check', () => {
  test('padding behind the datagram -> true, the length is the datagram’s', () => {
    const padded = new Uint8Array(26);
    padded.set(DATAGRAM);
    expect(udp.check(viewOf(padded), 0, padded.length)).toBe(true);
    expect(udp.length(viewOf(padded), 0)).toBe(12);
  });

  test.each([
    ['length 7', 7],
    ['length 0', 0],
    ['length past the bytes present', 13],
  ])('%s -> false', (_name, length) => {
    const bytes = DATAGRAM.slice();
    bytes[5] = length;
    expect(udp.check(viewOf(bytes), 0, bytes.length)).toBe(false);
  });

  test('7 bytes -> false', () => {
    expect(udp.check(viewOf(DATAGRAM.slice(0, 7)), 0, 7)).toBe(false);
  });

  test('any bytes: true -> no accessor reads outside, and the whole datagram is there', () => {
    fc.assert(
      fc.property(hostile(DATAGRAM), ({ view, off, length }) => {
        if (!udp.check(view, off, length)) return;
        fields(view, off);
        view.getUint8(off + udp.length(view, off) - 1);
      }),
    );
  });
});
