import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatIpv6, parseIpv6 } from '../../src/wire/ipv6.ts';

/** Addresses with many zero groups, where the rules of compression bite */
const anyAddress = fc
  .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));

describe('parseIpv6, formatIpv6', () => {
  test('any address: formatted, then parsed -> itself', () => {
    fc.assert(
      fc.property(anyAddress, (bytes) => {
        expect(parseIpv6(formatIpv6(bytes))).toEqual(bytes);
      }),
    );
  });

  test('any address but IPv4-mapped ones -> the text a URL has for it', () => {
    fc.assert(
      fc.property(anyAddress, (bytes) => {
        const text = formatIpv6(bytes);
        fc.pre(!text.includes('.'));
        expect(new URL(`http://[${text}]/`).hostname).toBe(`[${text}]`);
      }),
    );
  });

  test('an address at an offset of longer bytes -> only its own 16 bytes', () => {
    const bytes = new Uint8Array(20);
    bytes.set(parseIpv6('2001:db8::7')!, 3);
    expect(formatIpv6(bytes, 3)).toBe('2001:db8::7');
  });

  test.each([
    ['2001:0DB8:0:0:8:800:200C:417A', '2001:db8::8:800:200c:417a'],
    ['FF01:0:0:0:0:0:0:101', 'ff01::101'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::', '::'],
    ['1::', '1::'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:13.1.68.3', '::d01:4403'],
    ['0:0:0:0:0:FFFF:129.144.52.38', '::ffff:129.144.52.38'],
    ['::ffff:129.144.52.38', '::ffff:129.144.52.38'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s -> %s', (text, canonical) => {
    expect(formatIpv6(parseIpv6(text)!)).toBe(canonical);
  });

  test.each([
    '',
    ':',
    ':::',
    '1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '1::2::3',
    '1:2:3:4:5:6:7:',
    ':1:2:3:4:5:6:7',
    '12345::',
    'g::',
    '::1.2.3',
    '::1.2.3.256',
    '::1.2.3.04',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    'fe80::1%eth0',
    '::1/128',
    ' ::1',
    '[::1]',
    '192.168.0.1',
  ])('%j -> undefined', (text) => {
    expect(parseIpv6(text)).toBeUndefined();
  });

  test('any text of its alphabet -> accepted exactly when node:net accepts it', () => {
    const unit = fc.constantFrom(':', '::', '0', 'f', '1a2B', '00001', '1.2.3.4', '.', 'g');
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 18 }), (units) => {
        const text = units.join('');
        expect(parseIpv6(text) !== undefined).toBe(isIPv6(text));
      }),
      { numRuns: 2000 },
    );
  });
});
