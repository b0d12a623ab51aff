import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { anyInt32, hex, hostile, viewOf } from './bytes.ts';

/** No next header, fe80::1 -> ff02::2, 4 bytes of payload */
const PACKET = hex(
  '60000000 0004 3b ff fe80000000000000 0000000000000001 ff02000000000000 0000000000000002 01020304',
);
const WORDS = [0, 1, 2, 3];

function fields(view: DataView, off: number): (number | boolean)[] {
  return [
    ipv6.payloadLength(view, off),
    ipv6.nextHeader(view, off),
    ipv6.hopLimit(view, off),
    ...WORDS.map((i) => ipv6.sourceWord(view, off, i)),
    ...WORDS.map((i) => ipv6.destinationWord(view, off, i)),
    ipv6.isSourceUnspecified(view, off),
    ipv6.isSourceLinkLocal(view, off),
  ];
}

/** A packet from this source. */
function from(source: string): DataView {
  const bytes = PACKET.slice();
  bytes.set(ipv6.parseIpv6(source)!, 8);
  return viewOf(bytes);
}

test('a link-local packet -> its fields', () => {
  expect(fields(viewOf(PACKET), 0)).toEqual([
    4,
    0x3b,
    255,
    ...[0xfe800000 | 0, 0, 0, 1],
    ...[0xff020000 | 0, 0, 0, 2],
    false,
    true,
  ]);
});

test('any address words: written, then read -> the same', () => {
  fc.assert(
    fc.property(fc.array(anyInt32, { minLength: 8, maxLength: 8 }), (words) => {
      const view = viewOf(PACKET);
      words.forEach((word, i) => {
        view.setInt32(8 + 4 * i, word);
      });
      expect(fields(view, 0).slice(3, 11)).toEqual(words);
    }),
  );
});

describe('source', () => {
  test.each([
    ['::', true, false],
    ['::1', false, false],
    ['8000::', false, false],
    ['fe80::1', false, true],
    ['febf:ffff::1', false, true],
    ['fec0::1', false, false],
    ['fe7f::1', false, false],
    ['2001:db8::1', false, false],
  ])('%s -> unspecified %s, link-local %s', (source, unspecified, linkLocal) => {
    const view = from(source);
    expect(ipv6.isSourceUnspecified(view, 0)).toBe(unspecified);
    expect(ipv6.isSourceLinkLocal(view, 0)).toBe(linkLocal);
  });
});

describe('check', () => {
  test('padding behind the payload -> true, the payload length is the packet’s', () => {
    const padded = new Uint8Array(46);
    padded.set(PACKET);
    const view = viewOf(padded);
    expect(ipv6.check(view, 0, padded.length)).toBe(true);
    expect(ipv6.payloadLength(view, 0)).toBe(4);
  });

  test('next header 253 -> true, the number kept', () => {
    const bytes = PACKET.slice();
    bytes[6] = 253;
    expect(ipv6.check(viewOf(bytes), 0, bytes.length)).toBe(true);
    expect(ipv6.nextHeader(viewOf(bytes), 0)).toBe(253);
  });

  test.each([
    ['version 4', 0, 0x40],
    ['payload one byte past the bytes present', 5, 5],
    ['payload far past them', 4, 0xff],
  ])('%s -> false', (_name, at, byte) => {
    const bytes = PACKET.slice();
    bytes[at] = byte;
    expect(ipv6.check(viewOf(bytes), 0, bytes.length)).toBe(false);
  });

  test('39 bytes -> false', () => {
    expect(ipv6.check(viewOf(PACKET.slice(0, 39)), 0, 39)).toBe(false);
  });

  test('any bytes: true -> no accessor reads outside, and the whole packet is there', () => {
    fc.assert(
      fc.property(hostile(PACKET), ({ view, off, length }) => {
        if (!ipv6.check(view, off, length)) return;
        fields(view, off);
        view.getUint8(off + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, off) - 1);
      }),
    );
  });
});
