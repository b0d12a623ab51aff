import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf as copyOf, hostile } from '../../wire/bytes.ts';
import { encode, FakeClient, ip, NAMES, NETWORK, query, Stage } from './fakes.ts';

const GATEWAY = 'gateway.tapswitch.internal';

function edited(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

describe('names of our own', () => {
  test('asked for -> answered at once, with authority, RA, a short time to live, the case kept', () => {
    const stage = new Stage();
    const { answer } = stage.ask({ name: 'GateWay.tapswitch.INTERNAL', id: 0x4242 });
    expect(answer).toMatchObject({
      id: 0x4242,
      rcode: 'NOERROR',
      flag_aa: true,
      flag_ra: true,
      flag_rd: true,
    });
    expect(answer.questions).toMatchObject([{ name: 'GateWay.tapswitch.INTERNAL' }]);
    expect(answer.answers).toMatchObject([{ type: 'A', ttl: 5, data: '192.168.0.1' }]);
    expect(stage.transport.exchanges).toEqual([]);
    expect(stage.counts).toMatchObject({ queries: 1, local: 1, forwarded: 0 });
  });

  test('IPv6 -> AAAA; any type -> both', () => {
    const stage = new Stage();
    const data = (type: string) =>
      stage.ask({ name: GATEWAY, type }).answer.answers?.map((one) => 'data' in one && one.data);
    expect(data('AAAA')).toEqual(['fd00::1']);
    const any = edited(query({ name: GATEWAY }), 12 + GATEWAY.length + 2, 0, 255);
    expect(stage.ask(any).answer.answers).toHaveLength(2);
  });

  test('an address -> its name', () => {
    const { answer } = new Stage().ask({ name: '1.0.168.192.in-addr.arpa', type: 'PTR' });
    expect(answer.answers).toMatchObject([{ type: 'PTR', data: GATEWAY }]);
  });

  test.each([
    ['unknown', 'www.example.com.tapswitch.internal', 'NXDOMAIN'],
    ['unknown address', '9.0.168.192.in-addr.arpa', 'NXDOMAIN'],
    ['without the type', 'tapswitch.internal', 'NOERROR'],
  ])('%s -> said so, not kept by the guest, nobody else asked', (_name, name, rcode) => {
    const stage = new Stage();
    const { answer } = stage.ask({ name });
    expect(answer).toMatchObject({ rcode, answers: [], authorities: [] });
    expect(stage.transport.exchanges).toEqual([]);
  });

  test('a VM -> by the addresses it has when it asks', () => {
    const stage = new Stage();
    stage.names.addVm(1, NETWORK, 'vm-1');
    const asked = { name: 'vm-1.tapswitch.internal' };
    expect(stage.ask(asked).answer).toMatchObject({ rcode: 'NOERROR', answers: [] });
    stage.book.addresses.set(1, [ip('192.168.0.14')]);
    expect(stage.ask(asked).answer.answers).toMatchObject([{ data: '192.168.0.14' }]);
    expect(stage.ask(asked, new FakeClient(2)).answer.rcode).toBe('NXDOMAIN');
  });

  test('another class than IN -> refused, not passed on', () => {
    const stage = new Stage();
    expect(stage.ask({ name: GATEWAY, class: 'CH' }).codes).toEqual(['REFUSED']);
    expect(stage.transport.exchanges).toEqual([]);
  });
});

describe('EDNS', () => {
  test('our own answer to a query with it -> with it; without -> without', () => {
    const stage = new Stage();
    expect(stage.ask({ name: GATEWAY, edns: 1232 }).answer.additionals).toMatchObject([
      { type: 'OPT', udpPayloadSize: 1232, ednsVersion: 0 },
    ]);
    expect(stage.ask({ name: GATEWAY }).answer.additionals).toEqual([]);
  });

  test('version 1 -> BADVERS, no answer', () => {
    const asked = query({ name: GATEWAY, edns: 1232 });
    const answer = new Stage().ask(edited(asked, asked.length - 5, 1)).answer;
    expect(answer).toMatchObject({
      rcode: 'NOERROR',
      answers: [],
      additionals: [{ extendedRcode: 1, ednsVersion: 0 }],
    });
  });

  const many = Array.from({ length: 32 }, (_, i) => ip(`fd99::${i + 1}`));
  const answerTo = (asked: object, stream: boolean) => {
    const stage = new Stage();
    stage.names.setNetwork(NETWORK, { ...NAMES, records: new Map([['many.example', many]]) });
    const client = stage.ask({ name: 'many.example', type: 'AAAA', ...asked }, new FakeClient(1, stream));
    return { bytes: client.replies[0]?.length ?? 0, answer: client.answer };
  };

  test.each([
    ['512 bytes', {}, false, 17, 512],
    ['EDNS 680, of which OPT takes some', { edns: 680 }, false, 22, 680],
    ['EDNS 4096', { edns: 4096 }, false, 32, 1232],
    ['TCP', {}, true, 32, 65535],
  ])(
    '32 addresses, room for %s -> as many as fit, and TC where some do not',
    (_name, asked, stream, count, room) => {
      const { bytes, answer } = answerTo(asked, stream);
      expect(answer.answers).toHaveLength(count);
      expect(answer.flag_tc).toBe(count < 32);
      expect(bytes).toBeLessThanOrEqual(room);
      expect(answer.additionals).toHaveLength('edns' in asked ? 1 : 0);
    },
  );
});

describe('what is not answered as asked', () => {
  test.each([
    ['an update', 'NOTIMP', edited(query(), 2, 0x28)],
    ['a notification', 'NOTIMP', edited(query(), 2, 0x20)],
    ['two questions', 'FORMERR', edited(query(), 5, 2)],
    ['no question', 'FORMERR', edited(query(), 5, 0)],
    ['a compressed name', 'FORMERR', edited(query(), 12, 0xc0, 12)],
    ['a question cut off', 'FORMERR', query().slice(0, 20)],
    ['a header alone', 'FORMERR', query().slice(0, 12)],
    ['a zone', 'REFUSED', query({ type: 'AXFR' })],
    ['the changes of a zone', 'REFUSED', query({ type: 'IXFR' })],
    ['a zone of our own', 'REFUSED', query({ name: 'tapswitch.internal', type: 'AXFR' })],
    ['4,097 bytes', 'REFUSED', Uint8Array.from([...query(), ...new Array(4097 - query().length).fill(0)])],
  ])('%s -> %s, nobody else asked', (_name, rcode, message) => {
    const stage = new Stage();
    const client = stage.ask(message);
    expect(client.codes).toEqual([rcode]);
    expect(client.replies[0]?.slice(0, 2)).toEqual(message.slice(0, 2));
    expect(stage.transport.exchanges).toEqual([]);
    expect(stage.counts.unacceptable).toBe(1);
  });

  test('4,096 bytes -> passed on', () => {
    const stage = new Stage();
    stage.ask(Uint8Array.from([...query(), ...new Array(4096 - query().length).fill(0)]));
    expect(stage.transport.last.query).toHaveLength(4096);
  });

  test.each([
    ['a response', encode({ type: 'response', id: 1, questions: [{ type: 'A', name: GATEWAY }] })],
    ['eleven bytes', query().slice(0, 11)],
    ['nothing', new Uint8Array(0)],
  ])('%s -> silence', (_name, message) => {
    const stage = new Stage();
    const client = new FakeClient();
    expect(stage.service.handle(client, copyOf(message), 0, message.length)).toBe(false);
    expect(client.replies).toEqual([]);
    expect(stage.counts.queries).toBe(0);
  });
});

test('any bytes of a guest -> never throw, one answer at most, never longer than it may be', () => {
  fc.assert(
    fc.property(
      fc
        .constantFrom(GATEWAY, '1.0.168.192.in-addr.arpa', 'example.com')
        .chain((name) => hostile(query({ name, edns: 600 }))),
      ({ view, off, length }) => {
        const stage = new Stage();
        const client = new FakeClient();
        const isAnswered = stage.service.handle(client, view, off, length);
        expect(client.replies.length + stage.forwarder.size).toBe(isAnswered ? 1 : 0);
        for (const reply of client.replies) expect(reply.length).toBeLessThanOrEqual(1232);
      },
    ),
    { numRuns: 1000 },
  );
});
