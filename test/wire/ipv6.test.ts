import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pseudoHeader6 } from '../../src/wire/checksum.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { anyByte, anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

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
    ipv6.isSourceMulticast(view, off),
    ipv6.isDestinationMulticast(view, off),
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
        ipv6.swapAddresses(view, off);
        view.getUint8(off + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, off) - 1);
      }),
    );
  });
});

test.each([
  ['ff02::1', true],
  ['ff00::', true],
  ['feff::1', false],
  ['fe80::1', false],
  ['2001:db8::ff', false],
])('%s -> multicast as source and destination: %s', (address, multicast) => {
  const view = from(address);
  expect(ipv6.isSourceMulticast(view, 0)).toBe(multicast);
  ipv6.swapAddresses(view, 0);
  expect(ipv6.isDestinationMulticast(view, 0)).toBe(multicast);
});

test('addresses swapped twice -> the packet as it was', () => {
  const view = viewOf(PACKET);
  ipv6.swapAddresses(view, 0);
  expect(dump(view, 8, 32)).toBe('ff020000000000000000000000000002' + 'fe800000000000000000000000000001');
  ipv6.swapAddresses(view, 0);
  expect(dump(view)).toBe(Buffer.from(PACKET).toString('hex'));
});

describe('emitHeader', () => {
  test('the fields of the packet at the top -> its bytes', () => {
    const view = viewOf(new Uint8Array(40).fill(0xaa));
    ipv6.emitHeader(view, 0, 4, 0x3b, 255, 0xfe800000 | 0, 0, 0, 1, 0xff020000 | 0, 0, 0, 2);
    expect(dump(view)).toBe(Buffer.from(PACKET.slice(0, 40)).toString('hex'));
  });

  test('any fields -> read back, traffic class and flow label 0, the bytes around untouched', () => {
    const anyWords = fc.array(anyInt32, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(anyWord, anyByte, anyByte, anyWords, (payload, next, hops, words) => {
        const view = viewOf(new Uint8Array(42).fill(0xaa));
        const [s0, s1, s2, s3, d0, d1, d2, d3] = words as [
          number,
          number,
          number,
          number,
          number,
          number,
          number,
          number,
        ];
        ipv6.emitHeader(view, 1, payload, next, hops, s0, s1, s2, s3, d0, d1, d2, d3);
        expect(fields(view, 1).slice(0, 11)).toEqual([payload, next, hops, ...words]);
        expect(dump(view, 1, 4)).toBe('60000000');
        expect(dump(view, 0, 1) + dump(view, 41)).toBe('aaaa');
      }),
    );
  });
});

test('pseudoHeader -> the partial sum over the packet’s addresses', () => {
  const view = viewOf(PACKET);
  expect(ipv6.pseudoHeader(view, 0, 58, 4)).toBe(pseudoHeader6(view, 8, 24, 58, 4));
});

describe('extension headers', () => {
  const UDP = 17;
  const HOP_BY_HOP = 0;
  const ROUTING = 43;
  const FRAGMENT = 44;
  const AUTHENTICATION = 51;
  const DESTINATION_OPTIONS = 60;

  /** Headers in this order, each of eight bytes unless `units` says more, before eight bytes of `last`. */
  function chain(kinds: readonly number[], last: number, units = 0): DataView {
    const headers = kinds.flatMap((_, i) => [
      kinds[i + 1] ?? last,
      units,
      ...new Uint8Array(6 + 8 * units).fill(0xee),
    ]);
    const payload = [...headers, ...new Uint8Array(8).fill(0x11)];
    const bytes = Uint8Array.from([...PACKET.slice(0, 40), ...payload]);
    bytes[5] = payload.length;
    bytes[6] = kinds[0] ?? last;
    return viewOf(bytes);
  }

  const found = (view: DataView) => [ipv6.transportProtocol(view, 0), ipv6.transportOffset(view, 0)];

  test.each<[string, number[], number]>([
    ['none', [], 40],
    ['hop-by-hop options', [HOP_BY_HOP], 48],
    ['all three', [HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING], 64],
    ['eight', new Array(8).fill(DESTINATION_OPTIONS), 104],
  ])('%s -> the protocol behind them', (_name, kinds, offset) => {
    expect(found(chain(kinds, UDP))).toEqual([UDP, offset]);
  });

  test('one of 24 bytes -> its length counted', () => {
    expect(found(chain([DESTINATION_OPTIONS], UDP, 2))).toEqual([UDP, 64]);
  });

  test('nine -> no transport', () => {
    expect(found(chain(new Array(9).fill(DESTINATION_OPTIONS), UDP))).toEqual([
      ipv6.NO_TRANSPORT,
      ipv6.NO_TRANSPORT,
    ]);
  });

  test.each([
    ['a fragment header', FRAGMENT],
    ['an authentication header', AUTHENTICATION],
    ['an unknown number', 253],
  ])('%s behind hop-by-hop options -> reported, not passed over', (_name, kind) => {
    expect(found(chain([HOP_BY_HOP], kind))).toEqual([kind, 48]);
  });

  test.each([
    ['that says 16 bytes of 8 left', [DESTINATION_OPTIONS, 1]],
    ['that says 2048 bytes', [DESTINATION_OPTIONS, 255]],
  ])('a last one %s -> no transport', (_name, [kind, units]) => {
    const view = chain([], 59);
    view.setUint8(6, kind!);
    view.setUint8(41, units!);
    expect(found(view)).toEqual([ipv6.NO_TRANSPORT, ipv6.NO_TRANSPORT]);
  });

  test('one of which four bytes are there -> no transport', () => {
    const view = viewOf(PACKET);
    view.setUint8(6, HOP_BY_HOP);
    expect(found(view)).toEqual([ipv6.NO_TRANSPORT, ipv6.NO_TRANSPORT]);
  });

  test('nothing behind the last one -> the packet’s very end', () => {
    const view = chain([], UDP);
    view.setUint8(6, HOP_BY_HOP);
    view.setUint8(40, UDP);
    view.setUint8(41, 0);
    expect(found(view)).toEqual([UDP, 48]);
  });

  describe('first fragment', () => {
    function fragment(offsetAndFlags: number): DataView {
      const view = chain([HOP_BY_HOP], FRAGMENT);
      view.setUint8(48, UDP);
      view.setUint16(50, offsetAndFlags);
      return view;
    }

    test.each([
      ['offset 0, more to come', 0x0001, UDP],
      ['offset 0, nothing to come: atomic', 0, UDP],
      ['offset 0, reserved bits set', 0x0006, UDP],
      ['offset 8', 0x0008, ipv6.NO_TRANSPORT],
      ['the last offset', 0xfff8, ipv6.NO_TRANSPORT],
    ])('%s -> %#', (_name, word, protocol) => {
      expect(ipv6.firstFragmentProtocol(fragment(word), 0)).toBe(protocol);
    });

    test('no fragment, and a fragment header of which four bytes are there -> none', () => {
      expect(ipv6.firstFragmentProtocol(chain([HOP_BY_HOP], UDP), 0)).toBe(ipv6.NO_TRANSPORT);
      const short = viewOf(PACKET);
      short.setUint8(6, FRAGMENT);
      expect(ipv6.firstFragmentProtocol(short, 0)).toBe(ipv6.NO_TRANSPORT);
    });
  });

  test('any bytes -> nothing read outside, and an offset inside the packet or at its end', () => {
    const template = new Uint8Array(chain([HOP_BY_HOP, ROUTING, FRAGMENT], UDP).buffer);
    fc.assert(
      fc.property(hostile(template), ({ view, off, length }) => {
        if (!ipv6.check(view, off, length)) return;
        ipv6.firstFragmentProtocol(view, off);
        const [protocol, offset] = [ipv6.transportProtocol(view, off), ipv6.transportOffset(view, off)];
        expect(protocol === ipv6.NO_TRANSPORT).toBe(offset === ipv6.NO_TRANSPORT);
        if (offset === ipv6.NO_TRANSPORT) return;
        expect(offset).toBeGreaterThanOrEqual(off + 40);
        expect(offset).toBeLessThanOrEqual(off + 40 + ipv6.payloadLength(view, off));
      }),
      { numRuns: 1000 },
    );
  });
});
