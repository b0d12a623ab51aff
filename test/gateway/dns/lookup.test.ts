import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyByte } from '../../wire/bytes.ts';
import { encode, FakeClient, query, Stage, viewOf } from './fakes.ts';

const ADDRESS = { answers: [{ type: 'A', name: 'example.com', ttl: 60, data: '93.184.216.34' }] };
const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;
/** A TXT record that makes an answer longer than any datagram for a guest. */
const LONG = {
  answers: [{ type: 'TXT', name: 'example.com', ttl: 60, data: Array(8).fill('x'.repeat(200)) }],
};

describe('a question', () => {
  test('asked -> goes to the first server with an id of its own, all else as it was', () => {
    const stage = new Stage();
    const asked = query({ name: 'WwW.eXample.com', id: 0x4242, edns: 1232 });
    stage.ask(asked);
    const { last } = stage.transport;
    expect(stage.transport.asked).toEqual(['10.0.0.1:53']);
    expect(last.id).not.toBe(0x4242);
    expect(last.query.slice(2)).toEqual(asked.slice(2));
    expect(last.stream).toBe(false);
  });

  test('answered -> the guest gets it, with the id and case it asked with, and the socket is closed', () => {
    const stage = new Stage();
    const client = stage.ask({ name: 'WwW.eXample.com', id: 0x4242 });
    stage.transport.last.answer(ADDRESS);
    expect(client.answer).toMatchObject({
      id: 0x4242,
      rcode: 'NOERROR',
      questions: [{ name: 'WwW.eXample.com' }],
    });
    expect(client.answer.answers).toMatchObject(ADDRESS.answers);
    expect([stage.transport.open, stage.forwarder.size, stage.counts.answered]).toEqual([0, 0, 1]);
    stage.pass(20_000);
    expect(client.replies).toHaveLength(1);
  });

  test.each([
    ['NXDOMAIN', NXDOMAIN],
    ['FORMERR', 1],
    ['NOTIMP', 4],
  ])('answered with %s -> that is the answer, no other server is asked', (name, rcode) => {
    const stage = new Stage();
    const client = stage.ask();
    stage.transport.last.answer({}, rcode);
    expect(client.codes).toEqual([name]);
    expect(stage.transport.asked).toHaveLength(1);
  });

  test('two with the same id of one guest -> each its own answer', () => {
    const stage = new Stage();
    const clients = [stage.ask({ name: 'a.test' }), stage.ask({ name: 'b.test' })];
    const [first, second] = stage.transport.exchanges;
    second?.answer();
    first?.answer();
    expect(clients.map(({ answer }) => answer.questions?.[0]?.name)).toEqual(['a.test', 'b.test']);
  });

  test('over TCP -> asked over TCP', () => {
    const stage = new Stage();
    const client = stage.ask({}, new FakeClient(1, true));
    expect(stage.transport.last.stream).toBe(true);
    stage.transport.last.answer(LONG);
    expect(client.answer.answers).toMatchObject([{ type: 'TXT' }]);
  });

  test('without any server -> SERVFAIL at once', () => {
    const stage = new Stage([]);
    expect(stage.ask({ id: 0x4242 }).answer).toMatchObject({ id: 0x4242, rcode: 'SERVFAIL' });
    expect(stage.counts.failed).toBe(1);
    expect(stage.unanswered).toHaveLength(1);
  });
});

describe('what is no answer', () => {
  /** Lets a server say something wrong, and then what is right. */
  function afterWrong(make: (bytes: Uint8Array) => Uint8Array) {
    const stage = new Stage();
    const client = stage.ask({ name: 'Example.com' });
    const { last } = stage.transport;
    const right = encode({
      type: 'response',
      id: last.id,
      flags: 0x180,
      questions: [{ type: 'A', name: 'Example.com' }],
      answers: [{ type: 'A', name: 'Example.com', ttl: 1, data: '6.6.6.6' }],
    });
    last.say(make(right.slice()));
    const ignored = [client.replies.length, stage.counts.ignored, stage.transport.open];
    if (last.isOpen) last.say(right);
    return { ignored, replies: client.replies.length };
  }

  const edit = (at: number, change: (byte: number) => number) => (bytes: Uint8Array) => {
    bytes[at] = change(bytes[at] as number);
    return bytes;
  };

  test.each([
    ['another id', edit(0, (byte) => byte ^ 1)],
    ['another id in its second byte', edit(1, (byte) => byte ^ 0x80)],
    ['another name', edit(14, () => 0x79)],
    ['the name in another case', edit(13, () => 0x65)],
    ['another type', edit(26, () => 28)],
    ['another class', edit(28, () => 3)],
    ['no question', edit(5, () => 0)],
    ['a query', edit(2, (byte) => byte & 0x7f)],
    ['another opcode', edit(2, (byte) => byte | 0x20)],
    ['a header cut off', (bytes) => bytes.slice(0, 11)],
    ['a question cut off', (bytes) => bytes.slice(0, 28)],
    ['an empty datagram', () => new Uint8Array(0)],
  ] as [string, (bytes: Uint8Array) => Uint8Array][])(
    '%s -> ignored, the right one still taken',
    (_name, make) => {
      expect(afterWrong(make)).toEqual({ ignored: [0, 1, 1], replies: 1 });
    },
  );

  test('any bytes -> never throw, and answer only if id and question match', () => {
    const stage = new Stage();
    const client = stage.ask();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        stage.transport.last.say(bytes);
        expect(client.replies).toEqual([]);
      }),
    );
  });

  test('a right answer with any bytes behind its question -> passed on', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), anyByte, (behind, count) => {
        const stage = new Stage();
        const client = stage.ask();
        const head = stage.transport.last.query;
        const message = Uint8Array.from([...head, ...behind]);
        viewOf(message).setUint16(2, 0x8180);
        message[7] = count;
        stage.transport.last.say(message);
        expect(client.replies.map((reply) => reply.slice(2))).toEqual([message.slice(2)]);
      }),
    );
  });
});

describe('servers in turn', () => {
  test('silent for 1.5 s -> the next one, with another id; its answer counts', () => {
    const stage = new Stage();
    const client = stage.ask();
    stage.pass(1490);
    expect(stage.transport.asked).toHaveLength(1);
    stage.pass(10);
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', '10.0.0.2:53']);
    const [first, second] = stage.transport.exchanges;
    expect([first?.isOpen, second?.isOpen]).toEqual([false, true]);
    expect(second?.id).not.toBe(first?.id);
    second?.answer(ADDRESS);
    expect(client.codes).toEqual(['NOERROR']);
    expect(stage.counts.timeouts).toBe(1);
  });

  test('all silent -> round again, SERVFAIL after 6 s, and nothing stays behind', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    const client = stage.ask({ id: 0x4242 });
    stage.pass(5990);
    expect(client.replies).toEqual([]);
    stage.pass(10);
    expect(client.answer).toMatchObject({
      id: 0x4242,
      rcode: 'SERVFAIL',
      questions: [{ name: 'example.com' }],
    });
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', '10.0.0.2:53', '10.0.0.1:53', '10.0.0.2:53']);
    expect([stage.transport.open, stage.forwarder.size]).toEqual([0, 0]);
  });

  test('the last one asked late -> has no more time than the question has', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    const client = stage.ask();
    stage.pass(700);
    stage.transport.last.listener.failed();
    stage.pass(5290);
    expect([stage.transport.asked.length, client.replies.length]).toEqual([5, 0]);
    stage.pass(10);
    expect(client.codes).toEqual(['SERVFAIL']);
  });

  test('a single one, silent once -> asked again', () => {
    const stage = new Stage(['10.0.0.1']);
    const client = stage.ask();
    stage.pass(1500);
    stage.transport.last.answer(ADDRESS);
    expect(stage.transport.asked).toHaveLength(2);
    expect(client.codes).toEqual(['NOERROR']);
  });

  test.each([
    ['SERVFAIL', SERVFAIL],
    ['REFUSED', REFUSED],
  ])('%s -> the next at once; a good answer from there counts', (_name, rcode) => {
    const stage = new Stage();
    const client = stage.ask();
    stage.transport.last.answer({}, rcode);
    stage.transport.last.answer({}, NXDOMAIN);
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', '10.0.0.2:53']);
    expect(client.codes).toEqual(['NXDOMAIN']);
  });

  test('SERVFAIL, SERVFAIL, REFUSED -> the last is the answer, with the right id', () => {
    const stage = new Stage();
    const client = stage.ask({ id: 0x4242 });
    for (const rcode of [SERVFAIL, SERVFAIL, REFUSED]) stage.transport.last.answer({}, rcode);
    expect(client.answer).toMatchObject({ id: 0x4242, rcode: 'REFUSED' });
    expect(stage.transport.asked).toHaveLength(3);
  });

  test('REFUSED, the others silent -> they are asked again, not it; REFUSED in the end', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    const client = stage.ask({ id: 0x4242 });
    stage.transport.last.answer({}, REFUSED);
    stage.pass(6000);
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', ...Array(4).fill('10.0.0.2:53')]);
    expect(client.answer).toMatchObject({ id: 0x4242, rcode: 'REFUSED' });
  });

  test('refused by ICMP -> the next at once; all of them -> SERVFAIL at once', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    const client = stage.ask();
    stage.transport.last.listener.failed();
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', '10.0.0.2:53']);
    stage.transport.last.listener.failed();
    expect(client.codes).toEqual(['SERVFAIL']);
    expect(stage.transport.open).toBe(0);
  });

  test('no socket to be had for one -> the next; for none -> SERVFAIL', () => {
    const stage = new Stage(['fd99::1', '10.0.0.2']);
    stage.transport.unreachable.add('[fd99::1]:53');
    stage.ask();
    expect(stage.transport.asked).toEqual(['10.0.0.2:53']);
    stage.transport.unreachable.add('10.0.0.2:53');
    expect(stage.ask().codes).toEqual(['SERVFAIL']);
  });
});

describe('servers that failed', () => {
  test('silent once -> asked last for 10 s, then first again', () => {
    const stage = new Stage();
    stage.ask();
    stage.pass(1500);
    stage.transport.last.answer();
    stage.ask();
    expect(stage.transport.last.server).toBe('10.0.0.2:53');
    stage.transport.last.answer();
    stage.pass(9990);
    stage.ask();
    expect(stage.transport.last.server).toBe('10.0.0.2:53');
    stage.transport.last.answer();
    stage.pass(10);
    stage.ask();
    expect(stage.transport.last.server).toBe('10.0.0.1:53');
  });

  test('all but one failed -> that one first, then the others in their order', () => {
    const stage = new Stage();
    stage.ask();
    for (const _ of [1, 2]) stage.transport.last.listener.failed();
    stage.transport.last.answer();
    stage.transport.exchanges.length = 0;
    stage.ask();
    stage.pass(3000);
    expect(stage.transport.asked).toEqual(['10.0.0.3:53', '10.0.0.1:53', '10.0.0.2:53']);
  });

  test('one that answers after all -> no longer among them', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    stage.ask();
    stage.transport.last.listener.failed();
    stage.pass(1500); // now both have failed; the second is asked again
    stage.transport.last.answer();
    stage.ask();
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', '10.0.0.2:53', '10.0.0.2:53', '10.0.0.2:53']);
  });

  test('SERVFAIL of one -> says nothing about it', () => {
    const stage = new Stage();
    stage.ask();
    stage.transport.last.answer({}, SERVFAIL);
    stage.transport.last.answer();
    stage.ask();
    expect(stage.transport.last.server).toBe('10.0.0.1:53');
  });

  test('the list set anew -> all in their order again', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    stage.ask();
    stage.transport.last.listener.failed();
    stage.useUpstreams(['10.0.0.1', '10.0.0.2']);
    stage.ask();
    expect(stage.transport.last.server).toBe('10.0.0.1:53');
  });

  test('other servers -> asked from then on; the old ones may answer what they were asked', () => {
    const stage = new Stage(['10.0.0.1']);
    const client = stage.ask();
    stage.useUpstreams(['10.7.7.7']);
    stage.ask();
    expect(stage.transport.asked).toEqual(['10.0.0.1:53', '10.7.7.7:53']);
    stage.transport.exchanges[0]?.answer();
    expect(client.codes).toEqual(['NOERROR']);
  });
});

describe('sizes', () => {
  const sizes = (asked: object, changes: object) => {
    const stage = new Stage();
    const client = stage.ask({ type: 'TXT', ...asked });
    stage.transport.last.answer(changes);
    return { client, stage };
  };
  /** An answer of exactly so many bytes. */
  const sized = (bytes: number) => {
    const head = 12 + 17 + 23;
    const texts = [];
    for (let left = bytes - head; left > 0; left -= 256) texts.push('x'.repeat(Math.min(left, 256) - 1));
    return { answers: [{ type: 'TXT', name: 'example.com', ttl: 60, data: texts }] };
  };

  test.each([
    ['without EDNS, 512 bytes', false, {}, 512],
    ['without EDNS, 513 bytes', true, {}, 513],
    ['EDNS 100, 512 bytes', false, { edns: 100 }, 512],
    ['EDNS 1000, 1000 bytes', false, { edns: 1000 }, 1000],
    ['EDNS 1000, 1001 bytes', true, { edns: 1000 }, 1001],
    ['EDNS 4096, 1232 bytes', false, { edns: 4096 }, 1232],
    ['EDNS 4096, 1233 bytes', true, { edns: 4096 }, 1233],
  ])('%s -> cut: %s', (_name, isCut, asked, bytes) => {
    const { client, stage } = sizes(asked, sized(bytes));
    const [reply] = client.replies as [Uint8Array];
    expect(client.answer.flag_tc).toBe(isCut);
    expect(stage.counts.cut).toBe(isCut ? 1 : 0);
    if (!isCut) expect(reply).toHaveLength(bytes);
    else
      expect(client.answer).toMatchObject({
        id: 0x1111,
        rcode: 'NOERROR',
        answers: [],
        questions: [{ type: 'TXT' }],
      });
  });

  test('cut, asked with EDNS -> an OPT record; without -> none', () => {
    expect(sizes({ edns: 700 }, LONG).client.answer.additionals).toMatchObject([{ type: 'OPT' }]);
    expect(sizes({}, LONG).client.answer.additionals).toEqual([]);
  });

  test('cut by the server itself -> as it is', () => {
    const { client } = sizes({}, { ...ADDRESS, flags: 0x380 });
    expect(client.answer).toMatchObject({ flag_tc: true, answers: ADDRESS.answers });
  });

  test('a refusal too long for the guest, no better answer -> cut as well', () => {
    const stage = new Stage(['10.0.0.1', '10.0.0.2']);
    const client = stage.ask({ type: 'TXT' });
    for (const _ of [1, 2]) stage.transport.last.answer(LONG, SERVFAIL);
    expect(client.answer).toMatchObject({ flag_tc: true, rcode: 'SERVFAIL' });
  });
});
