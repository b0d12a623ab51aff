import dnsPacket, { type Packet } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as dns from '../../src/wire/dns.ts';
import { anyByte, anyInt32, anyWord, dump, hex, hostile, viewOf } from './bytes.ts';

/** id 0x1234, RD, question www.Example.com A IN, and an OPT record: 1232 bytes, version 0, DO */
const QUERY = hex(`
  1234 0100 0001 0000 0000 0001
  03777777 074578616d706c65 03636f6d 00 0001 0001
  00 0029 04d0 00 00 8000 0000`);
const QUESTION_END = 12 + 17 + 4;
/** The same without OPT */
const PLAIN = QUERY.slice(0, QUESTION_END);
PLAIN[11] = 0;

const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const anyName = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'));

function oracle(packet: Packet): Uint8Array {
  return Uint8Array.from(dnsPacket.encode(packet));
}

function decoded(view: DataView, length = view.byteLength) {
  return dnsPacket.decode(Buffer.from(view.buffer, view.byteOffset, length));
}

function endOf(bytes: Uint8Array): number {
  return dns.questionEnd(viewOf(bytes), 0, bytes.length);
}

function edited(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

/** A message of the header of PLAIN and these bytes. */
function withQuestion(...bytes: number[]): Uint8Array {
  return Uint8Array.from([...PLAIN.slice(0, 12), ...bytes]);
}

test('a query with EDNS -> its fields', () => {
  const view = viewOf(QUERY);
  expect(dns.check(view, 0, QUERY.length)).toBe(true);
  expect(dns.id(view, 0)).toBe(0x1234);
  expect([dns.isResponse(view, 0), dns.isTruncated(view, 0), dns.recursionAvailable(view, 0)]).toEqual([
    false,
    false,
    false,
  ]);
  expect(dns.recursionDesired(view, 0)).toBe(true);
  expect([dns.opcode(view, 0), dns.rcode(view, 0)]).toEqual([0, 0]);
  const end = dns.questionEnd(view, 0, QUERY.length);
  expect(end).toBe(QUESTION_END);
  expect([dns.questionName(view, 0), dns.questionType(view, end), dns.questionClass(view, end)]).toEqual([
    'www.example.com',
    dns.TYPE_A,
    dns.CLASS_IN,
  ]);
  const opt = dns.findOpt(view, 0, QUERY.length, end);
  expect(opt).toBe(end);
  expect([dns.optUdpBytes(view, opt), dns.optVersion(view, opt)]).toEqual([1232, 0]);
});

test('a header one byte short -> not a message', () => {
  expect(dns.check(viewOf(QUERY.slice(0, 11)), 0, 11)).toBe(false);
});

test.each([
  ['QR', 2, 0x80, dns.isResponse],
  ['TC', 2, 0x02, dns.isTruncated],
  ['RD', 2, 0x01, dns.recursionDesired],
  ['RA', 3, 0x80, dns.recursionAvailable],
])('only %s set -> read as such, and from no other bit', (_name, at, bit, read) => {
  const set = edited(PLAIN, 2, 0, 0);
  set[at] = bit;
  expect(read(viewOf(set), 0)).toBe(true);
  const clear = edited(PLAIN, 2, 0xff, 0xff);
  clear[at] = 0xff & ~bit;
  expect(read(viewOf(clear), 0)).toBe(false);
});

test('an update that was refused -> opcode 5, rcode 5', () => {
  const view = viewOf(edited(PLAIN, 2, 0xa8, 0x05));
  expect([dns.opcode(view, 0), dns.rcode(view, 0)]).toEqual([5, dns.RCODE_REFUSED]);
});

describe('questionEnd', () => {
  test('the root -> a name without labels', () => {
    const bytes = withQuestion(0, 0, 2, 0, 1);
    expect(endOf(bytes)).toBe(17);
    expect(dns.questionName(viewOf(bytes), 0)).toBe('');
  });

  test.each([
    ['no question', edited(PLAIN, 5, 0)],
    ['two questions', edited(PLAIN, 5, 2)],
    ['256 questions', edited(PLAIN, 4, 1, 0)],
    ['class cut off', PLAIN.slice(0, QUESTION_END - 1)],
    ['name cut off', PLAIN.slice(0, 20)],
    ['name without end', withQuestion(3, 0x77, 0x77, 0x77)],
    ['header alone', PLAIN.slice(0, 12)],
    ['pointer to itself', withQuestion(0xc0, 12, 0, 1, 0, 1)],
    ['pointer into the header', withQuestion(0xc0, 0, 0, 1, 0, 1)],
    ['label, then pointer back to it', withQuestion(1, 0x61, 0xc0, 12, 0, 1, 0, 1)],
    ['label of 64 bytes', withQuestion(64, ...new Array(64).fill(0x61), 0, 0, 1, 0, 1)],
    ['extended label type (RFC 6891 section 5)', withQuestion(0x41, 0, 0, 0, 1, 0, 1)],
  ])('%s -> none', (_name, bytes) => {
    expect(endOf(bytes)).toBe(dns.NONE);
  });

  test('a name of 255 bytes -> whole; of 256 -> none', () => {
    const labels = (last: number) => [63, 63, 63, last].flatMap((n) => [n, ...new Array(n).fill(0x61)]);
    expect(endOf(withQuestion(...labels(61), 0, 0, 1, 0, 1))).toBe(12 + 255 + 4);
    expect(endOf(withQuestion(...labels(62), 0, 0, 1, 0, 1))).toBe(dns.NONE);
  });
});

describe('questionName', () => {
  test.each([
    ['a dot in a label', [3, 0x61, 0x2e, 0x62, 0], 'a\\046b'],
    ['a backslash in a label', [1, 0x5c, 0], '\\092'],
    ['a zero, a blank, a byte above ASCII', [3, 0, 0x20, 0xc4, 0], '\\000\\032\\196'],
    ['upper case at the ends of the alphabet', [4, 0x41, 0x5a, 0x40, 0x5b, 0], 'az@['],
  ])('%s -> unlike any other name', (_name, bytes, text) => {
    expect(dns.questionName(viewOf(withQuestion(...bytes, 0, 1, 0, 1)), 0)).toBe(text);
  });
});

describe('sameQuestion', () => {
  const isSame = (a: Uint8Array, b: Uint8Array) =>
    dns.sameQuestion(viewOf(a), 0, endOf(a), viewOf(b), 0, endOf(b));

  test('another id, flags and records behind it -> the same', () => {
    expect(isSame(PLAIN, edited(QUERY, 0, 9, 9, 0x81))).toBe(true);
  });

  test.each([
    ['the case of one letter', edited(PLAIN, 17, 0x65)],
    ['the type', edited(PLAIN, QUESTION_END - 3, 28)],
    ['the class', edited(PLAIN, QUESTION_END - 1, 3)],
    ['a shorter name', withQuestion(3, 0x77, 0x77, 0x77, 0, 0, 1, 0, 1)],
  ])('another in %s -> not the same', (_name, other) => {
    expect(isSame(PLAIN, other)).toBe(false);
  });
});

describe('findOpt', () => {
  const find = (bytes: Uint8Array) => dns.findOpt(viewOf(bytes), 0, bytes.length, endOf(bytes));

  test('no additional record -> none', () => {
    expect(find(PLAIN)).toBe(dns.NONE);
  });

  test('behind an answer with a compressed name and another additional record -> found', () => {
    const bytes = Uint8Array.from([
      ...PLAIN,
      ...hex('c00c 0001 0001 00000005 0004 c0a80001'),
      ...hex('0161 c00c 0010 0001 00000005 0002 0178'),
      ...QUERY.slice(QUESTION_END),
    ]);
    bytes[7] = 1;
    bytes[11] = 2;
    expect(find(bytes)).toBe(bytes.length - dns.OPT_RECORD_BYTES);
  });

  test.each([
    ['in the answer section', edited(edited(QUERY, 7, 1), 11, 0)],
    ['whose data is cut off', edited(QUERY, QUERY.length - 1, 1)],
    ['that is cut off', QUERY.slice(0, -1)],
    ['that the counts do not reach', edited(QUERY, 11, 0)],
    ['with a name other than the root', Uint8Array.from([...PLAIN, 1, 0x61, ...QUERY.slice(QUESTION_END)])],
  ])('one %s -> none', (_name, bytes) => {
    expect(find(bytes)).toBe(dns.NONE);
  });

  test('65,535 records promised in each section, one there -> none, at once', () => {
    expect(find(edited(QUERY, 6, 255, 255, 255, 255, 255, 255))).toBe(dns.NONE);
  });

  test('advertised: 100 bytes -> 512', () => {
    const bytes = edited(QUERY, QUESTION_END + 3, 0, 100);
    expect(dns.optUdpBytes(viewOf(bytes), find(bytes))).toBe(512);
  });
});

describe('responses', () => {
  const respond = (rcode: number, query = QUERY) => {
    const view = new DataView(new ArrayBuffer(512));
    const end = endOf(query);
    return { view, at: dns.emitResponse(view, 0, viewOf(query), 0, end, rcode, true) };
  };

  test('emitted for a query -> id, question with its case, RD copied, RA, nothing else', () => {
    const { view, at } = respond(dns.RCODE_NXDOMAIN);
    expect(dump(view, 0, at)).toBe(`12348583${'0001000000000000'}${dump(viewOf(PLAIN), 12)}`);
  });

  test('CD and the opcode of the query -> copied; AD, Z and an rcode -> not', () => {
    const { view } = respond(0, edited(QUERY, 2, 0x20, 0x7f));
    expect(dump(view, 2, 2)).toBe('a490');
  });

  test('without authority -> AA clear', () => {
    const view = new DataView(new ArrayBuffer(64));
    dns.emitResponse(view, 0, viewOf(PLAIN), 0, QUESTION_END, 0, false);
    expect(dump(view, 2, 2)).toBe('8180');
  });

  test('for a query without a readable question -> the header alone', () => {
    const { view, at } = respond(dns.RCODE_FORMERR, edited(PLAIN, 5, 7));
    expect(at).toBe(12);
    expect(dump(view, 0, 12)).toBe('123485810000000000000000');
  });

  test('with A, AAAA and OPT records -> what another decoder reads', () => {
    const { view, at } = respond(0);
    let end = dns.appendA(view, 0, at, 5, 0xc0a8000e | 0);
    end = dns.appendAaaa(view, 0, end, 5, 0xfd000001 | 0, 0x20003, 0x40005, 0x6000e);
    expect(end - at).toBe(dns.A_RECORD_BYTES + dns.AAAA_RECORD_BYTES);
    end = dns.appendOpt(view, 0, end, viewOf(QUERY), QUESTION_END, 1232, 0);
    const { answers, additionals } = decoded(view, end);
    expect(answers).toMatchObject([
      { name: 'www.Example.com', type: 'A', class: 'IN', ttl: 5, data: '192.168.0.14' },
      { name: 'www.Example.com', type: 'AAAA', class: 'IN', ttl: 5, data: 'fd00:1:2:3:4:5:6:e' },
    ]);
    expect(additionals).toMatchObject([
      { name: '.', type: 'OPT', udpPayloadSize: 1232, extendedRcode: 0, ednsVersion: 0, flag_do: true },
    ]);
  });

  test('with a PTR record -> what another decoder reads', () => {
    const { view, at } = respond(0);
    const name = dns.encodeName('vm-1.tapswitch.internal') as Uint8Array;
    const end = dns.appendPtr(view, 0, at, 5, name);
    expect(end - at).toBe(dns.ptrRecordBytes(name));
    expect(decoded(view, end).answers).toMatchObject([{ type: 'PTR', data: 'vm-1.tapswitch.internal' }]);
  });

  test('BADVERS -> its halves in header and OPT', () => {
    const { view, at } = respond(dns.RCODE_BADVERS);
    const end = dns.appendOpt(view, 0, at, viewOf(QUERY), QUESTION_END, 1232, dns.RCODE_BADVERS);
    expect(dns.rcode(view, 0)).toBe(0);
    expect(decoded(view, end).additionals).toMatchObject([{ extendedRcode: 1 }]);
  });

  test('cut -> question, TC and the rest of the flags', () => {
    const answer = edited(QUERY, 2, 0x81, 0xa0, 0, 1, 0, 5, 0, 4, 0, 3);
    const view = new DataView(new ArrayBuffer(64));
    expect(dns.emitTruncated(view, 0, viewOf(answer), 0, QUESTION_END)).toBe(QUESTION_END);
    expect(dns.isTruncated(view, 0)).toBe(true);
    expect(dump(view, 0, 12)).toBe('123483a00001000000000000');
    expect(dump(view, 12, 21)).toBe(dump(viewOf(PLAIN), 12));
  });

  test('setTruncated, setId -> that alone changes', () => {
    const view = viewOf(edited(PLAIN, 2, 0x81, 0x80));
    dns.setTruncated(view, 0);
    dns.setId(view, 0, 0xbeef);
    expect(dump(view, 0, 4)).toBe('beef8380');
  });
});

describe('encodeName', () => {
  test('a name -> labels, case kept', () => {
    expect(dump(viewOf(dns.encodeName('Vm.x') as Uint8Array))).toBe('02566d017800');
  });

  test.each([
    ['nothing', ''],
    ['an empty label', 'a..b'],
    ['a dot at the end', 'a.'],
    ['a label of 64', `${'a'.repeat(64)}.b`],
    ['256 bytes', [63, 63, 63, 62].map((n) => 'a'.repeat(n)).join('.')],
    ['a blank', 'a b'],
  ])('%s -> undefined', (_name, text) => {
    expect(dns.encodeName(text)).toBeUndefined();
  });
});

describe('properties', () => {
  test('any bytes: true -> nothing reads outside or goes round in circles', () => {
    fc.assert(
      fc.property(hostile(QUERY), ({ view, off, length }) => {
        if (!dns.check(view, off, length)) return;
        dns.id(view, off);
        dns.rcode(view, off);
        const end = dns.questionEnd(view, off, length);
        if (end === dns.NONE) return;
        expect(end).toBeLessThanOrEqual(off + length);
        dns.questionName(view, off);
        dns.questionType(view, end);
        dns.questionClass(view, end);
        const opt = dns.findOpt(view, off, length, end);
        if (opt === dns.NONE) return;
        dns.optUdpBytes(view, opt);
        dns.optVersion(view, opt);
        const out = new DataView(new ArrayBuffer(end - off + dns.OPT_RECORD_BYTES));
        dns.appendOpt(out, 0, dns.emitResponse(out, 0, view, off, end, 0, true), view, opt, 512, 0);
      }),
      { numRuns: 1000 },
    );
  });

  test('any records with pointers behind a question -> passed over without following one', () => {
    const noise = fc.uint8Array({ maxLength: 64 });
    const pointers = fc.array(fc.constantFrom(0xc0, 0x0c, 0x21, 0x00, 0xff), { maxLength: 64 });
    fc.assert(
      fc.property(fc.oneof(noise, pointers), fc.nat(9), (behind, count) => {
        const bytes = edited(Uint8Array.from([...PLAIN, ...behind]), 7, count, 0, count, 0, count);
        const opt = dns.findOpt(viewOf(bytes), 0, bytes.length, QUESTION_END);
        expect(opt).toBeLessThanOrEqual(Math.max(0, bytes.length - dns.OPT_RECORD_BYTES));
      }),
    );
  });

  test('any query of another encoder -> the same id, name, type and size', () => {
    fc.assert(
      fc.property(
        anyName,
        anyWord,
        fc.constantFrom('A', 'AAAA', 'PTR', 'TXT'),
        fc.integer({ min: 1, max: 0xffff }),
        (name, id, type, bytes) => {
          const opt = { type: 'OPT', name: '.', udpPayloadSize: bytes, flags: 0, options: [] };
          const query = { type: 'query', id, questions: [{ type, name }], additionals: [opt] } as unknown;
          const view = viewOf(oracle(query as Packet));
          const end = dns.questionEnd(view, 0, view.byteLength);
          expect(dns.id(view, 0)).toBe(id);
          expect(dns.questionName(view, 0)).toBe(name.toLowerCase());
          expect(dns.questionType(view, end)).toBe({ A: 1, AAAA: 28, PTR: 12, TXT: 16 }[type]);
          const at = dns.findOpt(view, 0, view.byteLength, end);
          expect(dns.optUdpBytes(view, at)).toBe(Math.max(512, bytes));
        },
      ),
    );
  });

  test('any response: emitted -> read by another decoder, the bytes around untouched', () => {
    fc.assert(
      fc.property(anyName, anyWord, anyInt32, fc.nat(0x7fffffff), anyByte, (name, id, address, ttl, code) => {
        const query = viewOf(oracle({ type: 'query', id, questions: [{ type: 'A', name }] }));
        const view = new DataView(new ArrayBuffer(1 + query.byteLength + dns.A_RECORD_BYTES + 1));
        const at = dns.emitResponse(view, 1, query, 0, query.byteLength, code & 15, true);
        const end = dns.appendA(view, 1, 1 + at, ttl, address);
        expect(end).toBe(view.byteLength - 1);
        const read = decoded(new DataView(view.buffer, 1, end - 1));
        const data = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
        expect(read.id).toBe(id);
        expect(dns.rcode(view, 1)).toBe(code & 15);
        expect(read.answers).toMatchObject([{ name, type: 'A', ttl, data }]);
        expect(dump(view, 0, 1) + dump(view, end)).toBe('0000');
      }),
    );
  });

  test('any name: encoded, then asked for -> its lower case', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const bytes = withQuestion(...(dns.encodeName(name) as Uint8Array), 0, 1, 0, 1);
        expect(endOf(bytes)).toBe(bytes.length);
        expect(dns.questionName(viewOf(bytes), 0)).toBe(name.toLowerCase());
      }),
    );
  });
});
