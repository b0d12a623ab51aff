import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum, fold, pseudoHeader4, pseudoHeader6, sum, update16 } from '../../src/wire/checksum.ts';
import { parseIpv4 } from '../../src/wire/ipv4.ts';
import { parseIpv6 } from '../../src/wire/ipv6.ts';
import { anyInt32, anyWord, hex, viewOf } from './bytes.ts';

/** The definition, word by word, in exact integers. */
function slowFold(bytes: Uint8Array): number {
  let total = 0n;
  for (let i = 0; i < bytes.length; i += 2) total += BigInt(bytes[i] * 256 + (bytes[i + 1] ?? 0));
  while (total > 0xffffn) total = (total >> 16n) + (total & 0xffffn);
  return Number(total);
}

describe('sum', () => {
  test('example of RFC 1071 section 3: sum ddf2, checksum 220d', () => {
    const view = viewOf(hex('0001 f203 f4f5 f6f7'));
    expect(fold(sum(view, 0, 8))).toBe(0xddf2);
    expect(checksum(view, 0, 8)).toBe(0x220d);
  });

  test('any bytes at any offset -> the sum of the definition, and no read outside', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), (bytes, skip) => {
        const off = Math.min(skip, bytes.length);
        const length = bytes.length - off;
        expect(fold(sum(viewOf(bytes), off, length))).toBe(slowFold(bytes.slice(off)));
      }),
    );
  });

  test.each([0, 1, 2, 3, 15, 16, 17, 65_535, 65_536, 131_072])(
    '%i bytes of ones -> no precision lost',
    (n) => {
      const ones = new Uint8Array(n).fill(0xff);
      expect(fold(sum(viewOf(ones), 0, n))).toBe(slowFold(ones));
    },
  );

  test('bytes cut at an even place: sum of the first as initial of the second -> sum of the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (bytes, half) => {
        const cut = Math.min(2 * half, bytes.length & ~1);
        const view = viewOf(bytes);
        const parts = sum(view, cut, bytes.length - cut, sum(view, 0, cut));
        expect(fold(parts)).toBe(slowFold(bytes));
      }),
    );
  });
});

test('fold: any uint32 -> 16 bits, congruent modulo ffff', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) => {
      expect(fold(value)).toBeLessThanOrEqual(0xffff);
      expect(fold(value) % 0xffff).toBe(value % 0xffff);
    }),
  );
});

describe('update16', () => {
  test('example of RFC 1624 section 4: dd2f, 5555 -> 3285: 0000, not ffff', () => {
    expect(update16(0xdd2f, 0x5555, 0x3285)).toBe(0);
  });

  test('any word of any bytes changed -> the checksum computed anew', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 2, maxLength: 64 }),
        fc.nat(31),
        anyWord,
        (bytes, index, newWord) => {
          const view = viewOf(bytes);
          const at = (2 * index) % (bytes.length & ~1);
          const check = checksum(view, 0, bytes.length);
          const oldWord = view.getUint16(at);
          view.setUint16(at, newWord);
          fc.pre(fold(sum(view, 0, bytes.length)) !== 0);
          expect(update16(check, oldWord, newWord)).toBe(checksum(view, 0, bytes.length));
        },
      ),
    );
  });
});

describe('pseudo-headers', () => {
  test('IPv4: addresses on both sides of 2^31 -> the sum of RFC 768 laid out as bytes', () => {
    fc.assert(
      fc.property(anyInt32, anyInt32, anyWord, (src, dst, length) => {
        const view = new DataView(new ArrayBuffer(12));
        view.setInt32(0, src);
        view.setInt32(4, dst);
        view.setUint16(8, 17);
        view.setUint16(10, length);
        expect(fold(pseudoHeader4(src, dst, 17, length))).toBe(fold(sum(view, 0, 12)));
      }),
    );
  });

  test('IPv6: any addresses -> the sum of RFC 8200 section 8.1 laid out as bytes', () => {
    const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(address, address, fc.nat(100_000), (src, dst, length) => {
        const view = viewOf(Uint8Array.from([...src, ...dst, ...hex('00000000 0000003a')]));
        view.setUint32(32, length);
        expect(fold(pseudoHeader6(view, 0, 16, 58, length))).toBe(fold(sum(view, 0, 40)));
      }),
    );
  });

  test('a UDP datagram with its right checksum -> 0', () => {
    const view = viewOf(hex('3039 0035 000c 0000 61626364'));
    const src = parseIpv4('192.168.0.14')!;
    const dst = parseIpv4('192.168.0.1')!;
    const pseudo = pseudoHeader4(src | 0, dst | 0, 17, 12);
    view.setUint16(6, checksum(view, 0, 12, pseudo));
    expect(checksum(view, 0, 12, pseudo)).toBe(0);
    expect(checksum(view, 0, 12, pseudoHeader4(src, dst, 17, 12))).toBe(0);
  });

  test('a neighbour solicitation with its right checksum -> 0', () => {
    const src = parseIpv6('fe80::400:c0ff:fea8:e')!;
    const dst = parseIpv6('ff02::1:ff00:1')!;
    const body = hex('8700 0000 00000000 fe80000000000000 0000000000000001 0101 0600c0a8000e');
    const view = viewOf(Uint8Array.from([...src, ...dst, ...body]));
    const pseudo = pseudoHeader6(view, 0, 16, 58, body.length);
    view.setUint16(34, checksum(view, 32, body.length, pseudo));
    expect(checksum(view, 32, body.length, pseudo)).toBe(0);
  });
});
