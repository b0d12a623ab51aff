import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as tcp from '../../src/wire/tcp.ts';
import { anyByte, anyWord, hex, hostile, viewOf } from './bytes.ts';

/** SYN, 40000 -> 8080, with a maximum segment size option */
const SYN = hex('9c40 1f90 00000001 00000000 60 02 faf0 0000 0000 020405b4');

function fields(view: DataView, off: number): number[] {
  return [
    tcp.sourcePort(view, off),
    tcp.destinationPort(view, off),
    tcp.dataOffset(view, off),
    tcp.flags(view, off),
  ];
}

test('a SYN with options -> its fields, the data offset past the options', () => {
  const view = viewOf(SYN);
  expect(tcp.check(view, 0, SYN.length)).toBe(true);
  expect(fields(view, 0)).toEqual([40_000, 8080, 24, tcp.SYN]);
});

test('any ports and control bits -> read back, those without a name kept', () => {
  fc.assert(
    fc.property(anyWord, anyWord, anyByte, (source, destination, bits) => {
      const view = viewOf(SYN);
      view.setUint16(0, source);
      view.setUint16(2, destination);
      view.setUint8(13, bits);
      expect(fields(view, 0)).toEqual([source, destination, 24, bits]);
    }),
  );
});

test('FIN, SYN, RST, PSH and ACK -> the five low bits in their order', () => {
  expect([tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK]).toEqual([1, 2, 4, 8, 16]);
});

describe('check', () => {
  test.each([
    ['data offset 16', 0x40],
    ['data offset 0', 0x00],
    ['data offset past the bytes present', 0x70],
  ])('%s -> false', (_name, byte) => {
    const bytes = SYN.slice();
    bytes[12] = byte;
    expect(tcp.check(viewOf(bytes), 0, bytes.length)).toBe(false);
  });

  test('19 bytes -> false', () => {
    expect(tcp.check(viewOf(SYN.slice(0, 19)), 0, 19)).toBe(false);
  });

  test('any bytes: true -> no accessor reads outside, and the options are there', () => {
    fc.assert(
      fc.property(hostile(SYN), ({ view, off, length }) => {
        if (!tcp.check(view, off, length)) return;
        fields(view, off);
        view.getUint8(off + tcp.dataOffset(view, off) - 1);
      }),
    );
  });
});
