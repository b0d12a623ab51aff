import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as vnet from '../../src/wire/vnet.ts';
import { dump, hex, hostile, viewOf } from './bytes.ts';

const FRAME_BYTES = 1000;
/** TSO over IPv4: headers of 54 bytes, segments of 1448, checksum at 34 + 16 */
const TSO = hex('01 01 3600 a805 2200 1000');

interface Header {
  flags?: number;
  gsoType?: number;
  headerLength?: number;
  gsoSize?: number;
  checksumStart?: number;
  checksumOffset?: number;
}

function header(fields: Header): DataView {
  const view = new DataView(new ArrayBuffer(vnet.VNET_HEADER_BYTES));
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gsoType ?? vnet.GSO_NONE);
  view.setUint16(2, fields.headerLength ?? 0, true);
  view.setUint16(4, fields.gsoSize ?? 0, true);
  view.setUint16(6, fields.checksumStart ?? 0, true);
  view.setUint16(8, fields.checksumOffset ?? 0, true);
  return view;
}

function isBelieved(fields: Header): boolean {
  return vnet.check(header(fields), 0, FRAME_BYTES);
}

test('a TSO header -> its little-endian fields', () => {
  const view = viewOf(TSO);
  expect([
    vnet.flags(view, 0),
    vnet.gsoType(view, 0),
    vnet.headerLength(view, 0),
    vnet.gsoSize(view, 0),
    vnet.checksumStart(view, 0),
    vnet.checksumOffset(view, 0),
  ]).toEqual([vnet.FLAG_NEEDS_CSUM, vnet.GSO_TCPV4, 54, 1448, 34, 16]);
});

test('clear -> ten zero bytes and no more, and check true', () => {
  const view = viewOf(new Uint8Array(12).fill(0xff));
  vnet.clear(view, 1);
  expect(dump(view)).toBe(`ff${'00'.repeat(10)}ff`);
  expect(vnet.check(view, 1, 0)).toBe(true);
});

describe('check: believed', () => {
  test.each<[string, Header]>([
    ['a plain frame', {}],
    ['a verified checksum', { flags: vnet.FLAG_DATA_VALID }],
    [
      'a checksum that ends with the frame',
      { flags: vnet.FLAG_NEEDS_CSUM, checksumStart: 982, checksumOffset: 16 },
    ],
    ['checksum fields without the flag', { checksumStart: 0xffff, checksumOffset: 0xffff }],
    ['a GSO size without a type', { gsoSize: 0xffff }],
    ['TSO over IPv4', { gsoType: vnet.GSO_TCPV4, headerLength: 54, gsoSize: 1448 }],
    ['TSO over IPv6 with ECN', { gsoType: vnet.GSO_TCPV6 | vnet.GSO_ECN, headerLength: 74, gsoSize: 1 }],
    ['UFO', { gsoType: vnet.GSO_UDP, headerLength: 42, gsoSize: 1472 }],
    ['USO', { gsoType: vnet.GSO_UDP_L4, headerLength: FRAME_BYTES, gsoSize: 1472 }],
  ])('%s', (_name, fields) => {
    expect(isBelieved(fields)).toBe(true);
  });
});

describe('check: not believed', () => {
  test.each<[string, Header]>([
    [
      'a checksum one byte past the end',
      { flags: vnet.FLAG_NEEDS_CSUM, checksumStart: 983, checksumOffset: 16 },
    ],
    ['a checksum start far past the end', { flags: vnet.FLAG_NEEDS_CSUM, checksumStart: 0xffff }],
    ['a checksum sum beyond 16 bits', { flags: 1, checksumStart: 0xffff, checksumOffset: 0xffff }],
    ['GSO size 0', { gsoType: vnet.GSO_TCPV4, headerLength: 54 }],
    ['GSO headers past the end', { gsoType: vnet.GSO_TCPV4, headerLength: FRAME_BYTES + 1, gsoSize: 1448 }],
    ['headers past the end without GSO', { headerLength: FRAME_BYTES + 1 }],
    ['GSO type 2', { gsoType: 2, headerLength: 54, gsoSize: 1448 }],
    ['GSO type 6', { gsoType: 6, headerLength: 54, gsoSize: 1448 }],
    ['ECN without TCP', { gsoType: vnet.GSO_UDP_L4 | vnet.GSO_ECN, headerLength: 42, gsoSize: 1448 }],
    ['ECN alone', { gsoType: vnet.GSO_ECN, headerLength: 54, gsoSize: 1448 }],
    ['flag 4 (coalescing information)', { flags: 4 }],
    ['flag 0x80', { flags: vnet.FLAG_NEEDS_CSUM | 0x80 }],
  ])('%s', (_name, fields) => {
    expect(isBelieved(fields)).toBe(false);
  });
});

test('any header of ten bytes: check true -> every position it names lies within the frame', () => {
  const anyHeader = hostile(TSO).filter(({ length }) => length >= vnet.VNET_HEADER_BYTES);
  fc.assert(
    fc.property(anyHeader, fc.nat(0xffff), ({ view, off }, frameBytes) => {
      if (!vnet.check(view, off, frameBytes)) return;
      expect(vnet.headerLength(view, off)).toBeLessThanOrEqual(frameBytes);
      if ((vnet.flags(view, off) & vnet.FLAG_NEEDS_CSUM) !== 0) {
        const end = vnet.checksumStart(view, off) + vnet.checksumOffset(view, off) + 2;
        expect(end).toBeLessThanOrEqual(frameBytes);
      }
      if (vnet.gsoType(view, off) !== vnet.GSO_NONE) expect(vnet.gsoSize(view, off)).toBeGreaterThan(0);
    }),
  );
});
