import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksum } from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmp.ts';
import { anyByte, anyInt32, dump, hex, hostile, viewOf } from './bytes.ts';

const REQUEST = hex('08 00 f7fd 0001 0001');

/** An echo request with its checksum. */
function request(body: Uint8Array): DataView {
  const view = viewOf(Uint8Array.from([8, 0, 0, 0, ...body]));
  view.setUint16(2, checksum(view, 0, view.byteLength));
  return view;
}

test('an echo request -> its fields', () => {
  const view = viewOf(hex('08 00 0000 1234 0007'));
  expect(icmp.type(view, 0)).toBe(icmp.ECHO_REQUEST);
  expect(icmp.code(view, 0)).toBe(0);
  expect(icmp.identifier(view, 0)).toBe(0x1234);
  expect(icmp.sequence(view, 0)).toBe(7);
});

test('type 42 (extended echo) -> kept', () => {
  const view = viewOf(hex('2a 00 0000 1234 0007'));
  expect(icmp.check(view, 0, 8)).toBe(true);
  expect(icmp.type(view, 0)).toBe(42);
});

describe('check', () => {
  test('7 bytes -> false', () => {
    expect(icmp.check(viewOf(REQUEST.slice(0, 7)), 0, 7)).toBe(false);
  });

  test('any bytes: true -> no accessor and no reply goes outside', () => {
    fc.assert(
      fc.property(hostile(REQUEST), ({ view, off, length }) => {
        if (!icmp.check(view, off, length)) return;
        for (const read of [icmp.type, icmp.code, icmp.identifier, icmp.sequence]) read(view, off);
        icmp.toEchoReply(view, off);
      }),
    );
  });
});

describe('toEchoReply', () => {
  test('id 1, seq 1 -> type 0, checksum fffd, the rest unchanged', () => {
    const view = viewOf(REQUEST);
    icmp.toEchoReply(view, 0);
    expect(dump(view)).toBe('0000fffd' + '00010001');
  });

  test('any request -> a reply whose checksum a receiver accepts, the body unchanged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), (body) => {
        const view = request(body);
        icmp.toEchoReply(view, 0);
        expect(icmp.type(view, 0)).toBe(icmp.ECHO_REPLY);
        expect(checksum(view, 0, view.byteLength)).toBe(0);
        expect(dump(view, 4)).toBe(Buffer.from(body).toString('hex'));
      }),
    );
  });

  test('id 0, seq 0, no data: a reply of zeros -> checksum ffff, not 0', () => {
    const view = request(new Uint8Array(4));
    icmp.toEchoReply(view, 0);
    expect(dump(view)).toBe('0000ffff' + '00000000');
  });

  test('a request with a wrong checksum -> still wrong in the reply', () => {
    const view = viewOf(hex('08 00 f7fc 0001 0001'));
    icmp.toEchoReply(view, 0);
    expect(checksum(view, 0, 8)).not.toBe(0);
  });
});

describe('emitUnreachable', () => {
  test('host unreachable, a quote that lies elsewhere -> the message, checksum included', () => {
    const view = viewOf(hex('000000000000000000000000 4500001c'));
    const bytes = icmp.emitUnreachable(view, 0, icmp.HOST_UNREACHABLE, 12, 4);
    expect(bytes).toBe(12);
    expect(dump(view, 0, 12)).toBe('0301b7e2' + '00000000' + '4500001c');
  });

  test('a packet turned into the error about itself -> quoted as it was', () => {
    const packet = hex('4500001c 00004000 40110000 c0a8000e c0a80001 3039003500080000');
    const view = viewOf(Uint8Array.from([...packet, ...new Uint8Array(28)]));
    const bytes = icmp.emitUnreachable(view, 20, icmp.PORT_UNREACHABLE, 0, packet.length);
    expect(dump(view, 28, packet.length)).toBe(Buffer.from(packet).toString('hex'));
    expect(checksum(view, 20, bytes)).toBe(0);
  });

  test('any code and quote -> fields and quote read back, checksum right, the bytes around untouched', () => {
    fc.assert(
      fc.property(anyByte, fc.uint8Array({ maxLength: 64 }), (code, quote) => {
        const room = 1 + icmp.ICMP_HEADER_BYTES + quote.length + 1;
        const view = viewOf(Uint8Array.from([...new Uint8Array(room).fill(0xaa), ...quote]));
        const bytes = icmp.emitUnreachable(view, 1, code, room, quote.length);
        expect(bytes).toBe(room - 2);
        expect([icmp.type(view, 1), icmp.code(view, 1)]).toEqual([icmp.UNREACHABLE, code]);
        expect(checksum(view, 1, bytes)).toBe(0);
        expect(dump(view, 5, 4)).toBe('00000000');
        expect(dump(view, 9, quote.length)).toBe(Buffer.from(quote).toString('hex'));
        expect(dump(view, 0, 1) + dump(view, room - 1, 1)).toBe('aaaa');
      }),
    );
  });
});

describe('emitError', () => {
  test('fragmentation needed -> the MTU in the last two bytes of the header (RFC 1191)', () => {
    const view = viewOf(hex('000000000000000000000000 4500001c'));
    const bytes = icmp.emitError(view, 0, icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, 1400, 12, 4);
    expect(dump(view, 0, 2) + dump(view, 4, 8)).toBe('0304' + '00000578' + '4500001c');
    expect(checksum(view, 0, bytes)).toBe(0);
  });

  test('any type, code and rest -> read back, checksum right', () => {
    fc.assert(
      fc.property(anyByte, anyByte, anyInt32, fc.uint8Array({ maxLength: 64 }), (type, code, rest, quote) => {
        const view = viewOf(Uint8Array.from([...new Uint8Array(8 + quote.length), ...quote]));
        const bytes = icmp.emitError(view, 0, type, code, rest, 8 + quote.length, quote.length);
        expect([icmp.type(view, 0), icmp.code(view, 0), view.getInt32(4)]).toEqual([type, code, rest]);
        expect(dump(view, 8, quote.length)).toBe(Buffer.from(quote).toString('hex'));
        expect(checksum(view, 0, bytes)).toBe(0);
      }),
    );
  });
});
