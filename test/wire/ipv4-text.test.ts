import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatIpv4, maskOf, parseCidr4, parseIpv4 } from '../../src/wire/ipv4.ts';

const BAD_ADDRESSES = [
  '',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.256',
  '1.2.3.1000',
  '1.2.3.-1',
  '1.2.3.+1',
  '01.2.3.4',
  '1.2.3.010',
  '0x1.2.3.4',
  '1.2.3.1e1',
  '1.2.3.4 ',
  '1.2.3.',
  '1..3.4',
  '3232235534',
];

describe('parseIpv4, formatIpv4', () => {
  test('any uint32: formatted, then parsed -> itself; the same text from its int32', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), (value) => {
        expect(parseIpv4(formatIpv4(value))).toBe(value);
        expect(formatIpv4(value | 0)).toBe(formatIpv4(value));
      }),
    );
  });

  test('192.168.0.14 -> above 2^31, unsigned', () => {
    expect(parseIpv4('192.168.0.14')).toBe(3_232_235_534);
  });

  test.each(BAD_ADDRESSES)('%j -> undefined', (text) => {
    expect(parseIpv4(text)).toBeUndefined();
  });

  test('any text of digits and dots -> accepted exactly when node:net accepts it', () => {
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom('0', '1', '2', '5', '9', '.', 'x'), maxLength: 16 }),
      fc.array(fc.nat(300), { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.')),
    );
    fc.assert(
      fc.property(text, (candidate) => {
        expect(parseIpv4(candidate) !== undefined).toBe(isIPv4(candidate));
      }),
    );
  });
});

describe('parseCidr4', () => {
  test('192.168.0.1/16 -> address with its host bits, and prefix', () => {
    expect(parseCidr4('192.168.0.1/16')).toEqual({ address: 0xc0a80001, prefix: 16 });
  });

  test.each([0, 32])('prefix %i -> accepted', (prefix) => {
    expect(parseCidr4(`10.0.0.0/${prefix}`)?.prefix).toBe(prefix);
  });

  test.each([
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/1.5',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '/8',
    '10.0.0.0/255.0.0.0',
  ])('%j -> undefined', (text) => {
    expect(parseCidr4(text)).toBeUndefined();
  });
});

test.each([
  [0, '0.0.0.0'],
  [1, '128.0.0.0'],
  [16, '255.255.0.0'],
  [31, '255.255.255.254'],
  [32, '255.255.255.255'],
])('maskOf(%i) -> %s as int32', (prefix, text) => {
  expect(formatIpv4(maskOf(prefix))).toBe(text);
  expect(maskOf(prefix)).toBe(maskOf(prefix) | 0);
});
