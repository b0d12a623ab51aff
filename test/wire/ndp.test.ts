import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as ndp from '../../src/wire/ndp.ts';
import { anyByte, anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

/** For fd00::1, from 06:00:c0:a8:00:0e; a nonce option (RFC 3971) stands first */
const SOLICITATION = hex(
  '87 00 0000 00000000 fd000000000000000000000000000001 0e01 112233445566 0101 0600c0a8000e',
);
const WORDS = [0, 1, 2, 3];

function target(view: DataView, off = 0): number[] {
  return WORDS.map((i) => ndp.targetWord(view, off, i));
}

/** A message of this type whose fixed part is `fixed` bytes long, with these options. */
function message(type: number, fixed: number, options = ''): DataView {
  return viewOf(Uint8Array.from([type, ...new Uint8Array(fixed - 1), ...hex(options)]));
}

function accepts(view: DataView): boolean {
  return ndp.check(view, 0, view.byteLength);
}

test('a solicitation -> its target and its sender’s MAC', () => {
  const view = viewOf(SOLICITATION);
  expect(accepts(view)).toBe(true);
  expect(target(view)).toEqual([0xfd000000 | 0, 0, 0, 1]);
  const link = ndp.option(view, 0, SOLICITATION.length, ndp.SOURCE_LINK_LAYER);
  expect(link).toBe(32);
  expect([ndp.linkHigh(view, link), ndp.linkLow(view, link)]).toEqual([0x0600, 0xc0a8000e | 0]);
  expect(ndp.option(view, 0, SOLICITATION.length, ndp.TARGET_LINK_LAYER)).toBe(ndp.NO_OPTION);
});

test('an option that is there twice -> the first', () => {
  const view = message(133, 8, '0101 060000000001 0101 060000000002');
  const link = ndp.option(view, 0, view.byteLength, ndp.SOURCE_LINK_LAYER);
  expect(ndp.linkLow(view, link)).toBe(1);
});

test.each([
  ['ff02::1', 'ff020000000000000000000000000001', true, false],
  ['fe80::1', 'fe800000000000000000000000000001', false, true],
  ['febf::1', 'febf0000000000000000000000000001', false, true],
  ['fec0::1', 'fec00000000000000000000000000001', false, false],
  ['fd00::1', 'fd000000000000000000000000000001', false, false],
])('target %s -> multicast: %s, link-local: %s', (_name, address, multicast, linkLocal) => {
  const view = message(135, 8, address);
  expect(ndp.isTargetMulticast(view, 0)).toBe(multicast);
  expect(ndp.isTargetLinkLocal(view, 0)).toBe(linkLocal);
});

test('types 133 to 137 -> neighbour discovery, their neighbours not', () => {
  expect([132, 133, 134, 135, 136, 137, 138].map((type) => ndp.isType(type))).toEqual([
    false,
    true,
    true,
    true,
    true,
    true,
    false,
  ]);
});

describe('check', () => {
  test.each([
    ['router solicitation', 133, 8],
    ['router advertisement', 134, 16],
    ['neighbour solicitation', 135, 24],
    ['neighbour advertisement', 136, 24],
    ['redirect', 137, 40],
  ])('%s -> from %i on: %i bytes', (_name, type, fixed) => {
    expect(accepts(message(type, fixed))).toBe(true);
    expect(ndp.check(message(type, fixed), 0, fixed - 1)).toBe(false);
    expect(accepts(message(type, fixed, '0501 00000000 0000'))).toBe(true);
  });

  test.each([
    ['an option of no bytes', '0100 000000000000'],
    ['an option longer than what is left', '0102 000000000000'],
    ['one whose last byte is missing', '0101 0000000000'],
    ['a sound option, then one byte', '0101 000000000000 01'],
    ['a sound option, then one of no bytes', '0101 000000000000 0100 000000000000'],
  ])('%s -> false', (_name, options) => {
    expect(accepts(message(135, 24, options))).toBe(false);
  });

  test('another type of ICMPv6 -> false', () => {
    expect(accepts(message(128, 40))).toBe(false);
  });

  test('any bytes: true -> no accessor reads outside, whichever option is looked for', () => {
    fc.assert(
      fc.property(hostile(SOLICITATION), anyByte, ({ view, off, length }, kind) => {
        if (!ndp.check(view, off, length)) return;
        if (length >= 24) target(view, off);
        for (const wanted of [kind, ndp.SOURCE_LINK_LAYER, ndp.TARGET_LINK_LAYER]) {
          const at = ndp.option(view, off, length, wanted);
          if (at === ndp.NO_OPTION) continue;
          ndp.linkHigh(view, at);
          ndp.linkLow(view, at);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('emit', () => {
  const room = () => viewOf(new Uint8Array(64).fill(0xaa));

  test('neighbour advertisement -> the bytes of RFC 4861 section 4.4', () => {
    const view = room();
    const flags = ndp.ROUTER | ndp.SOLICITED | ndp.OVERRIDE;
    expect(ndp.emitAdvertisement(view, 0, flags, 0xfd000000 | 0, 0, 0, 1)).toBe(24);
    expect(dump(view, 0, 25)).toBe('88000000' + 'e0000000' + 'fd000000000000000000000000000001' + 'aa');
  });

  test('router advertisement -> the bytes of section 4.2', () => {
    const view = room();
    expect(ndp.emitRouterAdvertisement(view, 0, 64, 1800)).toBe(16);
    expect(dump(view, 0, 17)).toBe('86000000' + '40000708' + '00000000' + '00000000' + 'aa');
  });

  test('link-layer address -> the bytes of section 4.6.1', () => {
    const view = room();
    expect(ndp.emitLinkLayer(view, 0, ndp.SOURCE_LINK_LAYER, 0x0274, 0x61707377)).toBe(8);
    expect(dump(view, 0, 9)).toBe('0101' + '027461707377' + 'aa');
  });

  test('prefix -> the bytes of section 4.6.2, the bits behind the prefix zero', () => {
    const view = room();
    const flags = ndp.ON_LINK | ndp.AUTONOMOUS;
    expect(ndp.emitPrefix(view, 0, 64, flags, 2_592_000, 604_800, 0xfd001122 | 0, 3, 4, 1)).toBe(32);
    expect(dump(view, 0, 33)).toBe(
      '0304' + '40c0' + '00278d00' + '00093a80' + '00000000' + 'fd001122000000030000000000000000' + 'aa',
    );
  });

  test.each([
    [0, '00000000000000000000000000000000'],
    [1, '80000000000000000000000000000000'],
    [32, 'ffffffff000000000000000000000000'],
    [48, 'ffffffffffff00000000000000000000'],
    [65, 'ffffffffffffffff8000000000000000'],
    [128, 'ffffffffffffffffffffffffffffffff'],
  ])('prefix of %i bits, of ffff:... -> %s', (length, prefix) => {
    const view = room();
    ndp.emitPrefix(view, 0, length, 0, 1, 1, -1, -1, -1, -1);
    expect(dump(view, 16, 16)).toBe(prefix);
  });

  test('MTU -> the bytes of section 4.6.4', () => {
    const view = room();
    expect(ndp.emitMtu(view, 0, 1500)).toBe(8);
    expect(dump(view, 0, 9)).toBe('0501' + '0000' + '000005dc' + 'aa');
  });

  test('DNS server -> the bytes of RFC 8106 section 5.1', () => {
    const view = room();
    expect(ndp.emitDnsServer(view, 0, 1800, 0xfd000000 | 0, 0, 0, 1)).toBe(24);
    expect(dump(view, 0, 25)).toBe('1903' + '0000' + '00000708' + 'fd000000000000000000000000000001' + 'aa');
  });

  test('any solicitation’s answer -> read back, accepted, the bytes around untouched', () => {
    const anyAddress = fc.tuple(anyInt32, anyInt32, anyInt32, anyInt32);
    fc.assert(
      fc.property(anyInt32, anyAddress, anyWord, anyInt32, (flags, words, high, low) => {
        const view = room();
        let bytes = ndp.emitAdvertisement(view, 1, flags, ...words);
        bytes += ndp.emitLinkLayer(view, 1 + bytes, ndp.TARGET_LINK_LAYER, high, low);
        expect(ndp.check(view, 1, bytes)).toBe(true);
        expect(target(view, 1)).toEqual(words);
        expect(view.getInt32(5)).toBe(flags);
        const link = ndp.option(view, 1, bytes, ndp.TARGET_LINK_LAYER);
        expect([ndp.linkHigh(view, link), ndp.linkLow(view, link)]).toEqual([high, low]);
        expect(dump(view, 0, 1) + dump(view, 1 + bytes, 1)).toBe('aaaa');
      }),
    );
  });
});
