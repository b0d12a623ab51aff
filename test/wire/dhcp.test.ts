import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as dhcp from '../../src/wire/dhcp.ts';
import { anyByte, anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

const FIXED = hex(
  '01 01 06 00 3903f326 0000 8000 c0a8000e 00000000 00000000 0a000001 0600c0a8000e 00000000000000000000' +
    '00'.repeat(192) +
    '63825363',
);

/** A client's message with these options. */
function message(options: string): DataView {
  return viewOf(Uint8Array.from([...FIXED, ...hex(options)]));
}

const DISCOVER = message('350101 3d0701 0600c0a8000e 3204c0a80063 370401032b79 ff');

function find(view: DataView, code: number): number {
  return dhcp.option(view, 0, view.byteLength, code);
}

test('a message -> its fields', () => {
  expect(FIXED.length).toBe(dhcp.HEADER_BYTES);
  expect(dhcp.check(DISCOVER, 0, DISCOVER.byteLength)).toBe(true);
  expect(dhcp.transaction(DISCOVER, 0)).toBe(0x3903f326);
  expect(dhcp.flags(DISCOVER, 0)).toBe(0x8000);
  expect(dhcp.wantsBroadcast(DISCOVER, 0)).toBe(true);
  expect(dhcp.clientAddress(DISCOVER, 0)).toBe(0xc0a8000e | 0);
  expect(dhcp.relayAddress(DISCOVER, 0)).toBe(0x0a000001);
  expect([dhcp.clientHigh(DISCOVER, 0), dhcp.clientLow(DISCOVER, 0)]).toEqual([0x0600, 0xc0a8000e | 0]);
  expect(dhcp.messageType(DISCOVER, 0, DISCOVER.byteLength)).toBe(dhcp.DISCOVER);
  const requested = dhcp.addressOption(DISCOVER, 0, DISCOVER.byteLength, dhcp.OPTION_REQUESTED_ADDRESS);
  expect(requested).toBe(0xc0a80063 | 0);
});

describe('check', () => {
  test.each([
    ['a server’s message', 0, 2],
    ['hardware type 6', 1, 6],
    ['a hardware address of 16 bytes', 2, 16],
    ['another cookie', 239, 0x64],
  ])('%s -> false', (_name, at, byte) => {
    const bytes = FIXED.slice();
    bytes[at] = byte;
    expect(dhcp.check(viewOf(bytes), 0, bytes.length)).toBe(false);
  });

  test('239 bytes -> false; 240, without an option -> true', () => {
    expect(dhcp.check(viewOf(FIXED.slice(0, 239)), 0, 239)).toBe(false);
    expect(dhcp.check(viewOf(FIXED), 0, 240)).toBe(true);
    expect(dhcp.messageType(viewOf(FIXED), 0, 240)).toBe(0);
  });

  test('any bytes: true -> no accessor reads outside, whichever option is looked for', () => {
    const template = new Uint8Array(DISCOVER.buffer);
    // Damage near the options, too: among 270 bytes a random place seldom meets them
    const damagedOptions = fc
      .tuple(fc.uint8Array({ maxLength: 24 }), fc.nat(template.length - 240))
      .map(([noise, kept]) => {
        const bytes = Uint8Array.from([...template.slice(0, 240 + kept), ...noise]);
        return { view: viewOf(bytes), off: 0, length: bytes.length };
      });
    fc.assert(
      fc.property(fc.oneof(hostile(template), damagedOptions), anyByte, ({ view, off, length }, code) => {
        if (!dhcp.check(view, off, length)) return;
        for (const read of [dhcp.transaction, dhcp.flags, dhcp.clientAddress, dhcp.relayAddress])
          read(view, off);
        dhcp.clientHigh(view, off);
        dhcp.clientLow(view, off);
        dhcp.messageType(view, off, length);
        for (const wanted of [code, dhcp.OPTION_SERVER, dhcp.OPTION_REQUESTED_ADDRESS]) {
          dhcp.addressOption(view, off, length, wanted);
          const at = dhcp.option(view, off, length, wanted);
          if (at === dhcp.NO_OPTION) continue;
          expect(at + 2 + dhcp.optionLength(view, at)).toBeLessThanOrEqual(off + length);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('options', () => {
  test('padding between them -> passed over', () => {
    expect(find(message('000000 350101 00 3604c0a80001 ff'), dhcp.OPTION_SERVER)).toBe(247);
  });

  test('behind the end -> not there', () => {
    expect(find(message('ff 350101'), dhcp.OPTION_MESSAGE_TYPE)).toBe(dhcp.NO_OPTION);
  });

  test('the same twice -> the first', () => {
    const view = message('350101 350103 ff');
    expect(dhcp.messageType(view, 0, view.byteLength)).toBe(1);
  });

  test.each([
    ['without an end', '350101', 1],
    ['of no data', '3500 ff', 0],
    ['of two bytes', '35020101 ff', 0],
    ['whose data is past the end', '3501', 0],
    ['whose length is past the end', '35', 0],
    ['behind one that reaches past the end', '0cff61 350101 ff', 0],
    ['behind one that ends with the message', '0c0461616161 350101', 1],
  ])('a message type %s -> %#', (_name, options, type) => {
    const view = message(options);
    expect(dhcp.messageType(view, 0, view.byteLength)).toBe(type);
  });

  test.each([3, 5])('an address of %i bytes -> none', (bytes) => {
    const view = message(`36 0${bytes} ${'01'.repeat(bytes)} ff`);
    expect(dhcp.addressOption(view, 0, view.byteLength, dhcp.OPTION_SERVER)).toBe(0);
  });

  test('overload (52) -> options in sname and file are not looked at', () => {
    const view = message('340103 ff');
    view.setUint32(44, 0x350101ff);
    view.setUint32(108, 0x350101ff);
    expect(dhcp.messageType(view, 0, view.byteLength)).toBe(0);
  });
});

describe('a reply', () => {
  test('emitted, with an option of each kind -> the bytes, padded to 300', () => {
    const view = viewOf(new Uint8Array(301).fill(0xaa));
    dhcp.emitReply(view, 0, 0x3903f326, 0x8000, 0, 0xc0a8000e | 0, 0x0600, 0xc0a8000e | 0);
    let at = dhcp.HEADER_BYTES;
    at = dhcp.putByte(view, at, dhcp.OPTION_MESSAGE_TYPE, dhcp.OFFER);
    at = dhcp.putWord(view, at, dhcp.OPTION_MTU, 1500);
    at = dhcp.putLong(view, at, dhcp.OPTION_SERVER, 0xc0a80001 | 0);
    at = dhcp.putBytes(view, at, dhcp.OPTION_HOST_NAME, hex('766d2d31ee'), 4);
    at = dhcp.putDefaultRoute(view, at, 0xc0a80001 | 0);
    expect(dhcp.finish(view, 0, at)).toBe(300);
    expect(dump(view, 0, 44)).toBe(
      '02010600' +
        '3903f326' +
        '00008000' +
        '00000000' +
        'c0a8000e' +
        '0000000000000000' +
        '0600c0a8000e00000000000000000000',
    );
    expect(dump(view, 44, 192)).toBe('00'.repeat(192));
    expect(dump(view, 236)).toBe(
      '63825363' +
        '350102' +
        '1a0205dc' +
        '3604c0a80001' +
        '0c04766d2d31' +
        '790500c0a80001' +
        'ff' +
        '00'.repeat(33) +
        'aa',
    );
  });

  test('longer than 300 bytes already -> not padded', () => {
    const view = viewOf(new Uint8Array(400));
    dhcp.emitReply(view, 1, 0, 0, 0, 0, 0, 0);
    const at = dhcp.putBytes(view, 1 + 240, dhcp.OPTION_HOST_NAME, new Uint8Array(100).fill(0x61), 100);
    expect(dhcp.finish(view, 1, at)).toBe(240 + 2 + 100 + 1);
  });

  test('any fields -> read back, the bytes around untouched', () => {
    fc.assert(
      fc.property(
        anyInt32,
        anyWord,
        anyInt32,
        anyInt32,
        anyWord,
        anyInt32,
        (xid, flags, client, given, high, low) => {
          const view = viewOf(new Uint8Array(242).fill(0xaa));
          dhcp.emitReply(view, 1, xid, flags, client, given, high, low);
          expect([dhcp.transaction(view, 1), dhcp.flags(view, 1)]).toEqual([xid, flags]);
          expect([dhcp.clientAddress(view, 1), dhcp.givenAddress(view, 1)]).toEqual([client, given]);
          expect([dhcp.clientHigh(view, 1), dhcp.clientLow(view, 1)]).toEqual([high, low]);
          expect(dhcp.relayAddress(view, 1)).toBe(0);
          expect(dump(view, 0, 1) + dump(view, 241)).toBe('aaaa');
        },
      ),
    );
  });

  test('any options put -> found again', () => {
    const anyOption = fc.tuple(fc.integer({ min: 1, max: 254 }), fc.uint8Array({ maxLength: 40 }));
    const anyOptions = fc.uniqueArray(anyOption, { maxLength: 6, selector: ([code]) => code });
    fc.assert(
      fc.property(anyOptions, (options) => {
        const view = viewOf(new Uint8Array(600).fill(0xaa));
        dhcp.emitReply(view, 0, 0, 0, 0, 0, 0, 0);
        let at = dhcp.HEADER_BYTES;
        for (const [code, data] of options) at = dhcp.putBytes(view, at, code, data, data.length);
        const bytes = dhcp.finish(view, 0, at);
        for (const [code, data] of options) {
          const found = dhcp.option(view, 0, bytes, code);
          expect(dump(view, found + 2, dhcp.optionLength(view, found))).toBe(
            Buffer.from(data).toString('hex'),
          );
        }
      }),
    );
  });
});
