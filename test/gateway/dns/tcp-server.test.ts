import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ByteStream, Connection } from '../../../src/gateway/dns/connection.ts';
import { codeOf, decode, encode, NETWORK, query, Stage, viewOf } from './fakes.ts';

const GATEWAY = 'gateway.tapswitch.internal';

function framed(...messages: Uint8Array[]): Uint8Array {
  return Uint8Array.from(messages.flatMap((bytes) => [bytes.length >> 8, bytes.length & 255, ...bytes]));
}

/** The guest's end of a stream: what it has sent waits to be read, what it is sent waits for room. */
class FakeStream implements ByteStream {
  readonly sent: number[] = [];
  isOpen = true;
  /** Bytes it still takes; everything where absent */
  room = Number.POSITIVE_INFINITY;
  isBroken = false;
  hasEnded = false;
  #waiting: Uint8Array = new Uint8Array(0);

  say(bytes: Uint8Array): void {
    this.#waiting = Uint8Array.from([...this.#waiting, ...bytes]);
  }

  read(into: Uint8Array): number {
    if (!this.isOpen) throw new Error('a closed stream is read');
    const bytes = this.#waiting.subarray(0, into.length);
    into.set(bytes);
    this.#waiting = this.#waiting.subarray(bytes.length);
    return bytes.length === 0 && this.hasEnded ? -1 : bytes.length;
  }

  write(bytes: Uint8Array): number {
    if (!this.isOpen) throw new Error('a closed stream is written to');
    if (this.isBroken) return -1;
    const taken = bytes.subarray(0, this.room);
    this.sent.push(...taken);
    this.room -= taken.length;
    return taken.length;
  }

  close(): void {
    if (!this.isOpen) throw new Error('closed twice');
    this.isOpen = false;
  }

  /** Messages that were sent whole; a part at the end is left out. */
  get messages(): Uint8Array[] {
    const bytes = Uint8Array.from(this.sent);
    const messages = [];
    for (let at = 0; at + 2 <= bytes.length; ) {
      const length = viewOf(bytes).getUint16(at);
      if (at + 2 + length > bytes.length) break;
      messages.push(bytes.slice(at + 2, at + 2 + length));
      at += 2 + length;
    }
    return messages;
  }

  get ids(): (number | undefined)[] {
    return this.messages.map((message) => decode(message).id);
  }
}

function connect(stage = new Stage(), port = 1) {
  const stream = new FakeStream();
  const connection = stage.server.open(NETWORK, port, stream) as Connection;
  const say = (bytes: Uint8Array) => {
    stream.say(bytes);
    connection.ready();
  };
  return { stage, stream, connection, say };
}

const local = (id: number) => query({ name: GATEWAY, id });
const foreign = (id: number) => query({ name: `q${id}.example.com`, id });

describe('queries', () => {
  test('for a name of our own -> answered at once, behind its length', () => {
    const { stream, say } = connect();
    say(framed(local(7)));
    expect(stream.messages.map((bytes) => decode(bytes))).toMatchObject([
      { id: 7, rcode: 'NOERROR', answers: [{ data: '192.168.0.1' }] },
    ]);
    expect(stream.isOpen).toBe(true);
  });

  test('for another name -> passed on over TCP, the answer given back', () => {
    const { stage, stream, say } = connect();
    say(framed(foreign(7)));
    expect(stage.transport.last.stream).toBe(true);
    expect(stream.messages).toEqual([]);
    stage.transport.last.answer();
    expect(stream.ids).toEqual([7]);
  });

  test('several in one segment -> all answered', () => {
    const { stream, say } = connect();
    say(framed(local(1), local(2), local(3)));
    expect(stream.ids).toEqual([1, 2, 3]);
  });

  test('pipelined -> answers in the order the servers give them', () => {
    const { stage, stream, say } = connect();
    say(framed(foreign(1), foreign(2), local(3)));
    const [first, second] = stage.transport.exchanges;
    second?.answer();
    first?.answer();
    expect(stream.ids).toEqual([3, 2, 1]);
  });

  test('a byte at a time -> answered once, when it is whole', () => {
    const { stream, say } = connect();
    const bytes = framed(local(7), local(8));
    for (const [i, byte] of bytes.entries()) {
      say(Uint8Array.of(byte));
      expect(stream.messages.length).toBe(i + 1 < bytes.length / 2 ? 0 : i + 1 < bytes.length ? 1 : 2);
    }
  });

  test('any cuts -> the same answers', () => {
    const bytes = framed(...Array.from({ length: 20 }, (_, id) => local(id)));
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 10 }), (cuts) => {
        const { stream, say } = connect();
        const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        for (let i = 1; i < places.length; i++) say(bytes.subarray(places[i - 1], places[i]));
        expect(stream.ids).toEqual(Array.from({ length: 20 }, (_, id) => id));
      }),
    );
  });

  test('8 on their way -> the ninth waits in the stream until one is answered', () => {
    const { stage, stream, say } = connect();
    say(framed(...Array.from({ length: 12 }, (_, id) => foreign(id))));
    expect(stage.transport.exchanges).toHaveLength(8);
    stage.transport.exchanges[3]?.answer();
    expect(stage.transport.exchanges).toHaveLength(9);
    for (const exchange of stage.transport.exchanges) if (exchange.isOpen) exchange.answer();
    expect(stream.ids.sort((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 12 }, (_, id) => id),
    );
  });

  test('1,000 at once -> 32 a turn, the rest by and by', () => {
    const { stage, stream, say } = connect();
    say(framed(...Array.from({ length: 1000 }, (_, id) => local(id))));
    expect(stream.messages).toHaveLength(32);
    stage.pass(400);
    expect(stream.ids).toEqual(Array.from({ length: 1000 }, (_, id) => id));
  });

  test('one refused for the bound of the VM -> SERVFAIL, the connection goes on', () => {
    const stage = new Stage();
    for (let id = 0; id < 256; id++) stage.ask({ id });
    const { stream, say } = connect(stage);
    say(framed(foreign(1), local(2)));
    expect(stream.messages.map(codeOf)).toEqual(['SERVFAIL', 'NOERROR']);
  });
});

describe('hanging up', () => {
  test.each([
    ['a response', framed(encode({ type: 'response', id: 1, questions: [] }))],
    ['a length of 0', framed(new Uint8Array(0))],
    ['a message without header', framed(new Uint8Array(11))],
    ['a length of 4,097', Uint8Array.of(0x10, 0x01)],
    ['a length of 65,535', Uint8Array.of(0xff, 0xff, 1, 2, 3)],
    ['another protocol', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')],
  ])('%s -> at once', (_name, bytes) => {
    const { stage, stream, say } = connect();
    say(bytes);
    expect(stream.isOpen).toBe(false);
    expect([stream.sent, stage.server.size]).toEqual([[], 0]);
  });

  test('a query of 4,096 bytes -> taken', () => {
    const { stage, say } = connect();
    say(framed(Uint8Array.from([...foreign(1), ...new Array(4096 - foreign(1).length).fill(0)])));
    expect(stage.transport.last.query).toHaveLength(4096);
  });

  test('silent for 10 s -> hung up; one that asks every 9 s -> not', () => {
    const stage = new Stage();
    const [silent, busy] = [connect(stage), connect(stage)];
    for (let i = 0; i < 3; i++) {
      stage.pass(9000);
      busy.say(framed(local(i)));
    }
    expect([silent.stream.isOpen, busy.stream.isOpen]).toEqual([false, true]);
    stage.pass(9990);
    expect(busy.stream.isOpen).toBe(true);
    stage.pass(10);
    expect(busy.stream.isOpen).toBe(false);
    expect(stage.server.size).toBe(0);
  });

  test('a byte every 3 s, never a query -> hung up after 10 s', () => {
    const { stage, stream, say } = connect();
    for (const byte of [0, 40, 1]) {
      say(Uint8Array.of(byte));
      stage.pass(3000);
    }
    stage.pass(1000);
    expect(stream.isOpen).toBe(false);
  });

  test('the guest ends its half -> gets its answers, then the end', () => {
    const { stage, stream, say } = connect();
    stream.hasEnded = true;
    say(framed(foreign(1), local(2)));
    expect(stream.isOpen).toBe(true);
    stage.transport.last.answer();
    expect([stream.ids, stream.isOpen]).toEqual([[2, 1], false]);
  });

  test('the guest ends its half and takes its answers slowly -> all of them, then the end', () => {
    const { stage, stream, connection, say } = connect();
    stream.hasEnded = true;
    say(framed(foreign(1), local(2), foreign(3)));
    stream.room = 5;
    stage.transport.exchanges[0]?.answer();
    stage.transport.exchanges[1]?.answer();
    expect([stream.ids, stream.isOpen]).toEqual([[2], true]);
    stream.room = Number.POSITIVE_INFINITY;
    connection.ready();
    expect([stream.ids, stream.isOpen]).toEqual([[2, 1, 3], false]);
  });

  test('the guest ends its half within a query, or without any -> hung up', () => {
    for (const bytes of [new Uint8Array(0), framed(local(1)).slice(0, 9)]) {
      const { stream, say } = connect();
      stream.hasEnded = true;
      say(bytes);
      expect([stream.isOpen, stream.sent]).toEqual([false, []]);
    }
  });

  test('the guest ends its half behind 100 queries -> all answered', () => {
    const { stage, stream, say } = connect();
    stream.hasEnded = true;
    say(framed(...Array.from({ length: 100 }, (_, id) => local(id))));
    stage.pass(40);
    expect([stream.messages.length, stream.isOpen]).toEqual([100, false]);
  });

  test('the stream breaks -> the questions on their way end', () => {
    const { stage, stream, say } = connect();
    say(framed(foreign(1), foreign(2)));
    stream.isBroken = true;
    stage.transport.last.answer();
    expect([stream.isOpen, stage.transport.open, stage.forwarder.size, stage.server.size]).toEqual([
      false,
      0,
      0,
      0,
    ]);
  });

  test('the VM goes -> its connections end, others stay', () => {
    const stage = new Stage();
    const [gone, stays] = [connect(stage, 1), connect(stage, 2)];
    for (const { say } of [gone, stays]) say(framed(foreign(1)));
    stage.server.forgetPort(1);
    expect([gone.stream.isOpen, stays.stream.isOpen]).toEqual([false, true]);
    expect([stage.server.size, stage.forwarder.size]).toEqual([1, 1]);
  });
});

describe('a guest that does not read', () => {
  test('an answer half taken -> no further query handled until the rest is', () => {
    const { stage, stream, say, connection } = connect();
    stream.room = 10;
    say(framed(local(1), local(2)));
    expect([stream.sent.length, stage.counts.queries]).toEqual([10, 1]);
    stream.room = Number.POSITIVE_INFINITY;
    connection.ready();
    expect(stream.ids).toEqual([1, 2]);
  });

  test('answers of more than 64 KB that it does not take -> hung up', () => {
    const { stage, stream, say } = connect();
    say(framed(foreign(1), foreign(2)));
    stream.room = 0;
    const data = Array(200).fill('x'.repeat(250));
    const long = { answers: [{ type: 'TXT', name: 'example.com', ttl: 1, data }] };
    const [first, second] = stage.transport.exchanges;
    first?.answer(long);
    expect(stream.isOpen).toBe(true);
    second?.answer(long);
    expect([stream.isOpen, stage.transport.open]).toEqual([false, 0]);
  });

  test('an answer that it does not take for 10 s -> hung up', () => {
    const { stage, stream, say } = connect();
    stream.room = 0;
    say(framed(local(1)));
    stage.pass(9990);
    expect(stream.isOpen).toBe(true);
    stage.pass(10);
    expect(stream.isOpen).toBe(false);
  });
});

describe('bounds', () => {
  test('8 connections of a VM -> the ninth is refused and closed; after one ended, not', () => {
    const stage = new Stage();
    const open = Array.from({ length: 8 }, () => connect(stage));
    const ninth = new FakeStream();
    expect(stage.server.open(NETWORK, 1, ninth)).toBeUndefined();
    expect([ninth.isOpen, stage.counts.connectionsRefused]).toEqual([false, 1]);
    expect(stage.server.open(NETWORK, 2, new FakeStream())).toBeDefined();
    open[0]?.connection.close();
    expect(stage.server.open(NETWORK, 1, new FakeStream())).toBeDefined();
  });

  test('1,024 connections of all VMs -> the next is refused', () => {
    const stage = new Stage();
    for (let port = 1; port <= 128; port++) for (let i = 0; i < 8; i++) connect(stage, port);
    expect(stage.server.open(NETWORK, 200, new FakeStream())).toBeUndefined();
    stage.pass(10_000);
    expect(stage.server.size).toBe(0);
  });
});

test('any bytes in any cuts -> never throw', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.constantFrom(framed(local(1)), framed(foreign(2))),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, hasEnded) => {
      const { stage, stream, connection } = connect();
      for (const bytes of pieces) {
        if (stream.isOpen) stream.say(bytes);
        connection.ready();
      }
      stream.hasEnded = hasEnded;
      connection.ready();
      stage.pass(20_000);
      expect([stream.isOpen, stage.server.size, stage.forwarder.size]).toEqual([false, 0, 0]);
    }),
    { numRuns: 30 },
  );
});
