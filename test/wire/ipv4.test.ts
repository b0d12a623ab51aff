import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { anyByte, anyInt32, dump, hex, hostile, viewOf } from './bytes.ts';

/** ICMP echo of 8 bytes, 192.168.0.14 -> 192.168.0.1, DF */
const PACKET = hex('4500 001c 1234 4000 40 01 0000 c0a8000e c0a80001 0800f7fe00010000');
/** The same behind a four-byte option (router alert, RFC 2113) */
const WITH_OPTIONS = hex('4600 0020 1234 4000 40 01 0000 c0a8000e c0a80001 94040000 0800f7fe00010000');

function fields(view: DataView, off: number): (number | boolean)[] {
  return [
    ipv4.headerLength(view, off),
    ipv4.totalLength(view, off),
    ipv4.identification(view, off),
    ipv4.isFragment(view, off),
    ipv4.isLaterFragment(view, off),
    ipv4.ttl(view, off),
    ipv4.protocol(view, off),
    ipv4.headerChecksum(view, off),
    ipv4.source(view, off),
    ipv4.destination(view, off),
  ];
}

function edited(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

function isWhole(bytes: Uint8Array): boolean {
  return ipv4.check(viewOf(bytes), 0, bytes.length);
}

test('an echo request -> its fields', () => {
  const view = viewOf(PACKET);
  expect(fields(view, 0)).toEqual([
    20,
    28,
    0x1234,
    false,
    false,
    64,
    ipv4.PROTOCOL_ICMP,
    0,
    0xc0a8000e | 0,
    0xc0a80001 | 0,
  ]);
});

describe('check', () => {
  test('padded to a minimum frame (46 bytes) -> true, the total length is that of the packet', () => {
    const padded = new Uint8Array(46);
    padded.set(PACKET);
    const view = viewOf(padded);
    expect(ipv4.check(view, 0, padded.length)).toBe(true);
    expect(ipv4.totalLength(view, 0)).toBe(28);
  });

  test('options before the payload -> true, the header length reaches past them', () => {
    const view = viewOf(WITH_OPTIONS);
    expect(ipv4.check(view, 0, WITH_OPTIONS.length)).toBe(true);
    expect(view.getUint8(ipv4.headerLength(view, 0))).toBe(8);
  });

  test('protocol 253 -> true, the number kept', () => {
    const bytes = edited(PACKET, 9, 253);
    expect(isWhole(bytes)).toBe(true);
    expect(ipv4.protocol(viewOf(bytes), 0)).toBe(253);
  });

  test.each([
    ['version 6', edited(PACKET, 0, 0x65)],
    ['version 0', edited(PACKET, 0, 0x05)],
    ['header length 16', edited(PACKET, 0, 0x44)],
    ['header longer than the packet', edited(PACKET, 0, 0x48)],
    ['total length below the header', edited(PACKET, 2, 0, 19)],
    ['total length 0', edited(PACKET, 2, 0, 0)],
    ['total length past the bytes present', edited(PACKET, 2, 0, 29)],
    ['19 bytes', PACKET.slice(0, 19)],
    ['nothing', new Uint8Array(0)],
  ])('%s -> false', (_name, bytes) => {
    expect(isWhole(bytes)).toBe(false);
  });

  test('any bytes: true -> no accessor reads outside, and the whole packet is there', () => {
    fc.assert(
      fc.property(fc.oneof(hostile(PACKET), hostile(WITH_OPTIONS)), ({ view, off, length }) => {
        if (!ipv4.check(view, off, length)) return;
        fields(view, off);
        expect(ipv4.headerLength(view, off)).toBeLessThanOrEqual(ipv4.totalLength(view, off));
        view.getUint8(off + ipv4.totalLength(view, off) - 1);
      }),
    );
  });
});

test.each([
  ['don’t fragment', 0x4000, false, false],
  ['first fragment', 0x2000, true, false],
  ['middle fragment', 0x2001, true, true],
  ['last fragment', 0x00b9, true, true],
])('%s -> told apart', (_name, word, fragment, later) => {
  const view = viewOf(edited(PACKET, 6, word >> 8, word & 0xff));
  expect(ipv4.isFragment(view, 0)).toBe(fragment);
  expect(ipv4.isLaterFragment(view, 0)).toBe(later);
});

test('any addresses: swapped -> exchanged, the header checksum still right', () => {
  fc.assert(
    fc.property(anyInt32, anyInt32, (source, destination) => {
      const view = new DataView(new ArrayBuffer(ipv4.IPV4_HEADER_BYTES));
      ipv4.emitHeader(view, 0, 20, 64, ipv4.PROTOCOL_UDP, source, destination);
      ipv4.swapAddresses(view, 0);
      expect([ipv4.source(view, 0), ipv4.destination(view, 0)]).toEqual([destination, source]);
      expect(checksum(view, 0, ipv4.IPV4_HEADER_BYTES)).toBe(0);
    }),
  );
});

describe('emitHeader', () => {
  test('192.168.0.1 -> 192.168.0.14, UDP, 100 bytes -> the bytes, checksum included', () => {
    const view = new DataView(new ArrayBuffer(20));
    ipv4.emitHeader(view, 0, 100, 64, ipv4.PROTOCOL_UDP, 0xc0a80001 | 0, 0xc0a8000e | 0);
    expect(dump(view)).toBe('4500006400004000' + '4011b929' + 'c0a80001c0a8000e');
  });

  test('any fields: emitted, then read -> the same, checksum right, the bytes around untouched', () => {
    const total = fc.integer({ min: 20, max: 0xffff });
    fc.assert(
      fc.property(
        total,
        anyByte,
        anyByte,
        anyInt32,
        anyInt32,
        (length, ttl, protocol, source, destination) => {
          const view = new DataView(new ArrayBuffer(1 + ipv4.IPV4_HEADER_BYTES + 1));
          ipv4.emitHeader(view, 1, length, ttl, protocol, source, destination);
          expect(ipv4.check(view, 1, length)).toBe(true);
          const check = ipv4.headerChecksum(view, 1);
          expect(fields(view, 1)).toEqual([
            20,
            length,
            0,
            false,
            false,
            ttl,
            protocol,
            check,
            source,
            destination,
          ]);
          expect(checksum(view, 1, ipv4.IPV4_HEADER_BYTES)).toBe(0);
          expect(dump(view, 0, 1) + dump(view, 21)).toBe('0000');
        },
      ),
    );
  });
});
