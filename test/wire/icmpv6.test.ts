import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum, pseudoHeader6 } from '../../src/wire/checksum.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import { IPV6_HEADER_BYTES } from '../../src/wire/ipv6.ts';
import { anyByte, anyInt32, dump, hex, hostile, viewOf } from './bytes.ts';

/** fe80::1 -> ff02::2, as ping sends it but for the payload's length */
const HEADER = hex('60000000 0008 3a 40 fe80000000000000 0000000000000001 ff02000000000000 0000000000000002');
const REQUEST = hex('80 00 0000 1234 0007');
const MESSAGE = IPV6_HEADER_BYTES;

/** The header, and behind it the message with its checksum. */
function packet(message: Uint8Array): DataView {
  const view = viewOf(Uint8Array.from([...HEADER, ...message]));
  icmpv6.fillChecksum(view, MESSAGE, message.length, 0);
  return view;
}

/** What a receiver computes over the message and pseudo-header: 0 when the checksum is right. */
function residue(view: DataView, bytes: number): number {
  return checksum(view, MESSAGE, bytes, pseudoHeader6(view, 8, 24, 58, bytes));
}

test('an echo request -> its fields', () => {
  const view = viewOf(REQUEST);
  expect([icmpv6.type(view, 0), icmpv6.code(view, 0)]).toEqual([icmpv6.ECHO_REQUEST, 0]);
  expect([icmpv6.identifier(view, 0), icmpv6.sequence(view, 0)]).toEqual([0x1234, 7]);
});

test.each([130, 131, 132, 133, 142, 143, 144])(
  'type %i -> a listener report if it is 131, 132 or 143',
  (type) => {
    const view = viewOf(REQUEST);
    view.setUint8(0, type);
    expect(icmpv6.isListenerReport(view, 0)).toBe([131, 132, 143].includes(type));
  },
);

describe('check', () => {
  test('8 bytes -> true; 7 -> false', () => {
    expect(icmpv6.check(viewOf(REQUEST), 0, 8)).toBe(true);
    expect(icmpv6.check(viewOf(REQUEST.slice(0, 7)), 0, 7)).toBe(false);
  });

  test('any bytes: true -> no accessor and no reply goes outside', () => {
    fc.assert(
      fc.property(hostile(REQUEST), ({ view, off, length }) => {
        if (!icmpv6.check(view, off, length)) return;
        for (const read of [icmpv6.type, icmpv6.code, icmpv6.identifier, icmpv6.sequence]) read(view, off);
        icmpv6.isListenerReport(view, off);
        icmpv6.toEchoReply(view, off);
      }),
    );
  });
});

describe('checksum', () => {
  test('of an echo request from fe80::1 to ff02::2 -> as computed by hand', () => {
    // fe80 + 1 + ff02 + 2 + 8 + 3a + 8000 + 1234 + 7 = 29002, folded 9004
    expect(dump(packet(REQUEST), MESSAGE + 2, 2)).toBe('6ffb');
  });

  test('any message -> right; any other byte -> wrong', () => {
    const anyMessage = fc.uint8Array({ minLength: 8, maxLength: 64 });
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, at, flip) => {
        const view = packet(message);
        expect(residue(view, message.length)).toBe(0);
        expect(icmpv6.isChecksumRight(view, MESSAGE, message.length, 0)).toBe(true);
        const hit = MESSAGE + (at % message.length);
        view.setUint8(hit, view.getUint8(hit) ^ flip);
        // 00 and ff are one: a word that was 0000 and is ffff now stays unnoticed, but no single byte does that
        expect(icmpv6.isChecksumRight(view, MESSAGE, message.length, 0)).toBe(false);
      }),
    );
  });

  test('another address -> wrong', () => {
    const view = packet(REQUEST);
    view.setUint8(23, 9);
    expect(icmpv6.isChecksumRight(view, MESSAGE, 8, 0)).toBe(false);
  });
});

describe('toEchoReply', () => {
  test('any request -> a reply that a receiver accepts, the body unchanged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), (body) => {
        const bytes = 4 + body.length;
        const view = packet(Uint8Array.from([128, 0, 0, 0, ...body]));
        icmpv6.toEchoReply(view, MESSAGE);
        expect(icmpv6.type(view, MESSAGE)).toBe(icmpv6.ECHO_REPLY);
        expect(residue(view, bytes)).toBe(0);
        expect(dump(view, MESSAGE + 4)).toBe(Buffer.from(body).toString('hex'));
      }),
    );
  });

  test('a request with a wrong checksum -> still wrong in the reply', () => {
    const view = packet(REQUEST);
    view.setUint16(MESSAGE + 2, view.getUint16(MESSAGE + 2) - 1);
    icmpv6.toEchoReply(view, MESSAGE);
    expect(residue(view, 8)).not.toBe(0);
  });
});

describe('emitError', () => {
  test('the longest quote -> a packet of 1280 bytes', () => {
    expect(IPV6_HEADER_BYTES + icmpv6.ICMPV6_HEADER_BYTES + icmpv6.MAX_QUOTE_BYTES).toBe(1280);
  });

  test('packet too big, a quote that lies elsewhere -> the message, its checksum still to come', () => {
    const view = viewOf(hex('eeeeeeeeeeeeeeeeeeeeeeee 60000000'));
    const bytes = icmpv6.emitError(view, 0, icmpv6.PACKET_TOO_BIG, 0, 1400, 12, 4);
    expect(bytes).toBe(12);
    expect(dump(view, 0, 12)).toBe('02000000' + '00000578' + '60000000');
  });

  test('a packet turned into the error about itself -> quoted as it was', () => {
    const view = viewOf(Uint8Array.from([...HEADER, ...REQUEST, ...new Uint8Array(48)]));
    const bytes = icmpv6.emitError(view, MESSAGE, icmpv6.UNREACHABLE, icmpv6.PORT_UNREACHABLE, 0, 0, 48);
    expect(bytes).toBe(56);
    expect(dump(view, MESSAGE + 8, 48)).toBe(Buffer.from([...HEADER, ...REQUEST]).toString('hex'));
  });

  test('any type, code, rest and quote -> read back, the bytes around untouched', () => {
    const anyQuote = fc.uint8Array({ maxLength: 64 });
    fc.assert(
      fc.property(anyByte, anyByte, anyInt32, anyQuote, (type, code, rest, quote) => {
        const room = 1 + 8 + quote.length + 1;
        const view = viewOf(Uint8Array.from([...new Uint8Array(room).fill(0xaa), ...quote]));
        const bytes = icmpv6.emitError(view, 1, type, code, rest, room, quote.length);
        expect(bytes).toBe(room - 2);
        expect([icmpv6.type(view, 1), icmpv6.code(view, 1), view.getInt32(5)]).toEqual([type, code, rest]);
        expect(dump(view, 9, quote.length)).toBe(Buffer.from(quote).toString('hex'));
        expect(dump(view, 0, 1) + dump(view, room - 1, 1)).toBe('aaaa');
      }),
    );
  });
});
