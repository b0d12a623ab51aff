import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum, pseudoHeader4, pseudoHeader6 } from '../../src/wire/checksum.ts';
import * as udp from '../../src/wire/udp.ts';
import { anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

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

describe('emit', () => {
  test('ports and length -> the header, without a checksum', () => {
    const view = viewOf(new Uint8Array(8).fill(0xaa));
    udp.emit(view, 0, 12_345, 53, 12);
    expect(dump(view)).toBe('30390035000c0000');
  });

  test('any fields -> read back, the bytes around untouched', () => {
    fc.assert(
      fc.property(anyWord, anyWord, anyWord, (source, destination, length) => {
        const view = viewOf(new Uint8Array(10).fill(0xaa));
        udp.emit(view, 1, source, destination, length);
        expect(fields(view, 1)).toEqual([source, destination, length]);
        expect(dump(view, 0, 1) + dump(view, 9)).toBe('aaaa');
      }),
    );
  });
});

describe('checksum', () => {
  const anyData = fc.uint8Array({ maxLength: 64 });

  /** A datagram of this data whose checksum field holds rubbish. */
  function datagram(data: Uint8Array): DataView {
    const view = viewOf(Uint8Array.from([...new Uint8Array(8), ...data]));
    udp.emit(view, 0, 67, 68, 8 + data.length);
    view.setUint16(6, 0xbeef);
    return view;
  }

  test('of the datagram at the top, 192.168.0.14 to 192.168.0.1 -> filled in', () => {
    const view = viewOf(DATAGRAM);
    udp.fillChecksum(view, 0, pseudoHeader4(0xc0a8000e | 0, 0xc0a80001 | 0, 17, 12));
    // pseudo-header 1817c, header 307a, data c4c6: 276bc, folded 76be
    expect(dump(view, 6, 2)).toBe('8941');
  });

  test('any IPv4 datagram -> a receiver accepts it, and it is not 0', () => {
    fc.assert(
      fc.property(anyData, anyInt32, anyInt32, (data, source, destination) => {
        const view = datagram(data);
        const pseudo = pseudoHeader4(source, destination, 17, 8 + data.length);
        udp.fillChecksum(view, 0, pseudo);
        expect(checksum(view, 0, view.byteLength, pseudo)).toBe(0);
        expect(udp.isChecksumRight(view, 0, pseudo)).toBe(true);
        expect(view.getUint16(6)).not.toBe(0);
      }),
    );
  });

  test('any IPv6 datagram -> a receiver accepts it, and it is not 0', () => {
    const anyAddresses = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(anyData, anyAddresses, (data, addresses) => {
        const view = datagram(data);
        const pseudo = pseudoHeader6(viewOf(addresses), 0, 16, 17, 8 + data.length);
        udp.fillChecksum(view, 0, pseudo);
        expect(checksum(view, 0, view.byteLength, pseudo)).toBe(0);
        expect(view.getUint16(6)).not.toBe(0);
      }),
    );
  });

  test('one that comes out as 0 -> ffff', () => {
    const view = datagram(hex('0000'));
    const without = checksum(viewOf(hex('0043 0044 000a 0000 0000')), 0, 10);
    view.setUint16(8, without);
    udp.fillChecksum(view, 0, 0);
    expect(dump(view, 6, 2)).toBe('ffff');
    expect(udp.isChecksumRight(view, 0, 0)).toBe(true);
  });

  test('absent -> right; one bit wrong -> not', () => {
    const view = datagram(hex('616263'));
    view.setUint16(6, 0);
    expect(udp.isChecksumRight(view, 0, 99)).toBe(true);
    udp.fillChecksum(view, 0, 99);
    view.setUint8(8, 0x60);
    expect(udp.isChecksumRight(view, 0, 99)).toBe(false);
  });
});
