import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatMac, macHigh, macLow, macOf, parseMac } from '../../src/wire/mac.ts';

const anyMac = fc.maxSafeNat().map((n) => n % 2 ** 48);

describe('text', () => {
  test('any 48-bit value: formatted, then parsed -> itself', () => {
    fc.assert(
      fc.property(anyMac, (value) => {
        expect(parseMac(formatMac(value))).toBe(value);
      }),
    );
  });

  test.each(['06:00:c0:a8:00:0e', '06:00:C0:A8:00:0E', '06-00-c0-a8-00-0e'])('%s -> its value', (text) => {
    expect(parseMac(text)).toBe(0x0600c0a8000e);
  });

  test('leading zeros -> kept', () => {
    expect(formatMac(0)).toBe('00:00:00:00:00:00');
    expect(formatMac(0x0e)).toBe('00:00:00:00:00:0e');
  });

  test.each([
    '',
    '06:00:c0:a8:00',
    '06:00:c0:a8:00:0e:01',
    '06:00:c0:a8:00:0g',
    '6:0:c0:a8:0:e',
    '0600c0a8000e',
    '06:00-c0:a8:00:0e',
    ' 06:00:c0:a8:00:0e',
    '06:00:c0:a8:00:0e\n',
  ])('%j -> undefined', (text) => {
    expect(parseMac(text)).toBeUndefined();
  });

  test('any text -> a 48-bit value or undefined', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseMac(text) ?? 0).toBeLessThan(2 ** 48);
      }),
    );
  });
});

describe('halves', () => {
  test('any 48-bit value: split, then joined -> itself, and low is an int32', () => {
    fc.assert(
      fc.property(anyMac, (value) => {
        expect(macOf(macHigh(value), macLow(value))).toBe(value);
        expect(macLow(value)).toBe(macLow(value) | 0);
      }),
    );
  });

  test('ff:ff:ff:ff:ff:ff -> ffff and -1', () => {
    expect([macHigh(2 ** 48 - 1), macLow(2 ** 48 - 1)]).toEqual([0xffff, -1]);
  });
});
