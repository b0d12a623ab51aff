import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum } from '../../src/wire/checksum.ts';
import { emitFragmentHeader, FRAGMENT_HEADER_BYTES, toFragment } from '../../src/wire/fragment.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';

const OFF = 3;

function room(): { view: DataView; bytes: Uint8Array } {
  const bytes = new Uint8Array(64).fill(0xee);
  return { view: new DataView(bytes.buffer), bytes };
}

describe('toFragment', () => {
  test('any identification and offset -> read back, header checksum right, nothing else written', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(8191), fc.boolean(), (identification, units, more) => {
        const { view, bytes } = room();
        ipv4.emitHeader(view, OFF, 28, 64, ipv4.PROTOCOL_UDP, 0x01020304, 0x05060708);
        toFragment(view, OFF, identification, units * 8, more);
        expect(checksum(view, OFF, ipv4.IPV4_HEADER_BYTES)).toBe(0);
        expect(ipv4.identification(view, OFF)).toBe(identification);
        expect(view.getUint16(OFF + 6)).toBe((more ? 0x2000 : 0) | units);
        expect(ipv4.isFragment(view, OFF)).toBe(more || units > 0);
        expect(ipv4.source(view, OFF)).toBe(0x01020304);
        expect([...bytes.subarray(0, OFF), ...bytes.subarray(OFF + 20)]).toEqual(new Array(44).fill(0xee));
      }),
    );
  });
});

describe('emitFragmentHeader', () => {
  test('middle fragment -> the eight bytes of RFC 8200 section 4.5, nothing else written', () => {
    const { view, bytes } = room();
    emitFragmentHeader(view, OFF, 17, 0x01020304, 1448, true);
    expect([...bytes.subarray(OFF, OFF + FRAGMENT_HEADER_BYTES)]).toEqual([17, 0, 0x05, 0xa9, 1, 2, 3, 4]);
    expect(bytes[OFF - 1]).toBe(0xee);
    expect(bytes[OFF + FRAGMENT_HEADER_BYTES]).toBe(0xee);
  });

  test('last fragment -> no flag', () => {
    const { view } = room();
    emitFragmentHeader(view, OFF, 58, 1, 2896, false);
    expect(view.getUint16(OFF + 2)).toBe(2896);
  });
});
