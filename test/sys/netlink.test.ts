import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAddress } from '../../src/sys/interface-address.ts';
import { addressBytes, addressText, parsePrefix } from '../../src/sys/ip-text.ts';
import { parseLink } from '../../src/sys/link.ts';
import { parseTransmitDropped } from '../../src/sys/link-statistics.ts';
import {
  attribute,
  concat,
  eachAttribute,
  message,
  type NetlinkMessage,
  NLMSG_DONE,
  NLMSG_ERROR,
  nested,
  parseAttributes,
  parseError,
  parseMessages,
  readNumber,
  readText,
  setSequence,
  text,
  u8,
  u16,
  u32,
  u32be,
} from '../../src/sys/netlink-message.ts';
import { parseChain } from '../../src/sys/nftables.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits.replaceAll(' ', ''), 'hex'));

test('values: numbers little-endian, `be` in network order, text with its NUL', () => {
  expect(hex(u8(0xab))).toBe('ab');
  expect(hex(u16(0x1234))).toBe('3412');
  expect(hex(u32(0x12345678))).toBe('78563412');
  expect(hex(u32be(0x12345678))).toBe('12345678');
  expect(hex(u32be(-300))).toBe('fffffed4');
  expect(hex(text('lo'))).toBe('6c6f00');
  expect(hex(text('é'))).toBe('c3a900');
});

test('attribute: length without the padding, value, zeros up to 4 bytes', () => {
  expect(hex(attribute(3, text('lo')))).toBe('07000300' + '6c6f0000');
  expect(hex(attribute(7, new Uint8Array(0)))).toBe('04000700');
  expect(hex(nested(18, [attribute(1, u8(5))]))).toBe('0c001280' + '0500010005000000');
});

test('attribute: a value beyond 16 bits of length -> RangeError', () => {
  expect(attribute(1, new Uint8Array(0xfffb)).length).toBe(0x10000);
  expect(() => attribute(1, new Uint8Array(0xfffc))).toThrow(RangeError);
});

test('message: header with length, type and request flag; setSequence fills the number in', () => {
  const made = message(18, 0x300, u32(7), [attribute(1, u8(1))]);
  setSequence(made, 0x0a0b0c0d);
  expect(hex(made)).toBe(
    '1c000000' + '1200' + '0103' + '0d0c0b0a' + '00000000' + '07000000' + '0500010001000000',
  );
});

test('parseMessages: what message() built, in order', () => {
  const datagram = concat([message(1, 4, u32(7)), message(2, 0, text('abc'))]);
  const [first, second, ...more] = parseMessages(datagram);
  expect(more).toEqual([]);
  expect(first).toMatchObject({ type: 1, flags: 5, sequence: 0 });
  expect(readNumber(first?.payload)).toBe(7);
  expect(readText(second?.payload)).toBe('abc');
});

test('parseMessages: a length too small, or larger than what came -> the messages before it', () => {
  const whole = message(1, 0, u32(7));
  expect(parseMessages(concat([whole, bytes('0f000000 0100 0000 00000000 00000000')]))).toHaveLength(1);
  expect(parseMessages(concat([whole, bytes('11000000 0100 0000 00000000 00000000')]))).toHaveLength(1);
  expect(parseMessages(whole.subarray(0, whole.length - 1))).toEqual([]);
  expect(parseMessages(bytes(''))).toEqual([]);
});

test('attributes: any list survives building and parsing', () => {
  const entry = fc.tuple(fc.integer({ min: 0, max: 0x3fff }), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const built = concat(entries.map(([type, value]) => attribute(type, value)));
      const parsed: [number, Uint8Array][] = [];
      eachAttribute(built, (type, value) => parsed.push([type, Uint8Array.from(value)]));
      expect(parsed).toEqual(entries.map(([type, value]) => [type, Uint8Array.from(value)]));
    }),
  );
});

test('parseAttributes: the nested flag is no part of the type; the last of a repeated type counts', () => {
  const parsed = parseAttributes(concat([attribute(1, u8(1)), nested(5, []), attribute(1, u8(2))]));
  expect([...parsed.keys()]).toEqual([1, 5]);
  expect(readNumber(parsed.get(1))).toBe(2);
  expect(parseAttributes(undefined).size).toBe(0);
});

test('readNumber and readText: odd lengths and missing values', () => {
  expect(readNumber(bytes('010203'))).toBeUndefined();
  expect(readNumber(undefined)).toBeUndefined();
  expect(readText(bytes('6162'))).toBe('ab');
  expect(readText(bytes('61006200'))).toBe('a');
  expect(readText(undefined)).toBe('');
});

test('parseError: capped and whole answers -> error number and the kernel`s words', () => {
  const words = attribute(1, text('no such thing'));
  const request = message(16, 0, u32(1));
  const errno = u32(-19);
  const answer = (flags: number, payload: Uint8Array): NetlinkMessage => ({
    type: NLMSG_ERROR,
    flags,
    sequence: 1,
    payload,
  });
  const capped = answer(0x300, concat([errno, request.subarray(0, 16), words]));
  expect(parseError(capped)).toEqual({ errno: 19, detail: 'no such thing' });
  const whole = answer(0x200, concat([errno, request, words]));
  expect(parseError(whole)).toEqual({ errno: 19, detail: 'no such thing' });
  expect(parseError(answer(0, concat([errno, request])))).toEqual({ errno: 19, detail: '' });
  expect(parseError(answer(0x300, bytes('00000000')))).toEqual({ errno: 0, detail: '' });
  expect(parseError(answer(0x300, bytes('')))).toEqual({ errno: 0, detail: '' });
  const done = { type: NLMSG_DONE, flags: 0x202, sequence: 1, payload: concat([u32(-105), words]) };
  expect(parseError(done)).toEqual({ errno: 105, detail: 'no such thing' });
});

test('parseLink: what is missing has a neutral value; a bridge`s message about a port is none', () => {
  const header = concat([bytes('00 00 0100'), u32(9), u32(0x10001), u32(0)]);
  const link = (payload: Uint8Array) => parseLink({ type: 16, flags: 0, sequence: 0, payload });
  expect(link(header)).toEqual({
    index: 9,
    name: '',
    kind: '',
    arpHardwareType: 1,
    mtu: 0,
    mac: '',
    up: true,
    carrier: true,
    master: 0,
    txQueueLength: 0,
    peerIndex: 0,
  });
  const noCarrier = link(concat([header, attribute(33, u8(0)), attribute(1, bytes('02000000002a'))]));
  expect(noCarrier).toMatchObject({ carrier: false, mac: '02:00:00:00:00:2a' });
  expect(link(concat([bytes('07'), header.subarray(1)]))).toBeUndefined();
  expect(link(header.subarray(1))).toBeUndefined();
});

test('parseChain: devices and policy; of another table -> none', () => {
  const hook = nested(4, [
    attribute(3, text('a')),
    nested(4, [attribute(1, text('a')), attribute(1, text('b'))]),
  ]);
  const named = [attribute(1, text('t')), attribute(3, text('c'))];
  const chain = (...attributes: Uint8Array[]) =>
    parseChain({ type: 0, flags: 0, sequence: 0, payload: concat([u32(5), ...named, ...attributes]) }, 't');
  expect(chain(hook, attribute(5, u32be(0)))).toEqual({ name: 'c', devices: ['a', 'b'], policy: 'drop' });
  const single = nested(4, [attribute(3, text('a'))]);
  expect(chain(single, attribute(5, u32be(1)))).toEqual({ name: 'c', devices: ['a'], policy: 'accept' });
  expect(chain()).toEqual({ name: 'c', devices: [], policy: undefined });
  expect(chain(attribute(1, text('other')))).toBeUndefined();
});

test('parseTransmitDropped: the eighth counter of the 64-bit ones; cut short or absent -> none', () => {
  const counters = new Uint8Array(25 * 8);
  const view = new DataView(counters.buffer);
  for (let i = 0; i < 25; i++) view.setBigUint64(8 * i, BigInt(2 ** 40 + i), true);
  const read = (value: Uint8Array, type = 1) =>
    parseTransmitDropped({ payload: concat([new Uint8Array(12), attribute(type, value)]) });
  expect(read(counters)).toBe(2 ** 40 + 7);
  expect(read(counters.subarray(0, 64))).toBe(2 ** 40 + 7);
  expect(read(counters.subarray(0, 63))).toBeUndefined();
  expect(read(counters, 2)).toBeUndefined();
  expect(parseTransmitDropped({ payload: new Uint8Array(3) })).toBeUndefined();
});

test('any bytes: no parser throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (datagram) => {
      for (const parsed of parseMessages(datagram)) {
        parseError(parsed);
        parseLink(parsed);
        parseAddress(parsed);
      }
      for (const type of [NLMSG_ERROR, NLMSG_DONE]) {
        for (const flags of [0, 0x200, 0x300]) {
          const answer = { type, flags, sequence: 0, payload: datagram };
          parseError(answer);
          parseLink(answer);
          parseAddress(answer);
          parseTransmitDropped(answer);
          parseChain(answer, '');
        }
      }
      readText(datagram);
      addressText(datagram);
    }),
    { numRuns: 2000 },
  );
});

test('a valid link with bytes flipped or cut: parseLink does not throw', () => {
  const info = nested(18, [attribute(1, text('veth'))]);
  const valid = concat([new Uint8Array(16), attribute(3, text('left')), info, attribute(5, u32(3))]);
  fc.assert(
    fc.property(fc.nat(valid.length - 1), fc.nat(255), fc.nat(valid.length), (at, value, length) => {
      const damaged = valid.slice();
      damaged[at] = value;
      parseLink({ type: 16, flags: 0, sequence: 0, payload: damaged.subarray(0, length) });
    }),
  );
});

test.each([
  ['192.168.0.1', 'c0a80001'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['fe80::1:0', 'fe800000000000000000000000010000'],
  ['2001:db8:1:2:3:4:5:6', '20010db8000100020003000400050006'],
  ['1::', '00010000000000000000000000000000'],
])('address %s: bytes and back', (address, digits) => {
  expect(hex(addressBytes(address))).toBe(digits);
  expect(addressText(bytes(digits))).toBe(address);
});

test('addresses: other spellings are read, what is none is refused', () => {
  expect(hex(addressBytes('::ffff:10.0.0.1'))).toBe('00000000000000000000ffff0a000001');
  expect(hex(addressBytes('FE80:0:0:0:0:0:0:1'))).toBe('fe800000000000000000000000000001');
  for (const wrong of ['', '10.0.0', '10.0.0.256', 'fe80::1%eth0', '1::2::3', 'host', '010.0.0.1']) {
    expect(() => addressBytes(wrong), wrong).toThrow(RangeError);
  }
  expect(addressText(bytes('0102'))).toBe('');
});

test('any 16 bytes: text and back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (address) => {
      expect(hex(addressBytes(addressText(address)))).toBe(hex(address));
    }),
  );
});

test('parsePrefix: address and length, or RangeError', () => {
  expect(parsePrefix('10.0.0.0/8')).toEqual({ address: bytes('0a000000'), prefix: 8 });
  expect(parsePrefix('::/128').prefix).toBe(128);
  for (const wrong of [
    '10.0.0.0',
    '10.0.0.0/33',
    '::/129',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
  ]) {
    expect(() => parsePrefix(wrong), wrong).toThrow(RangeError);
  }
});
