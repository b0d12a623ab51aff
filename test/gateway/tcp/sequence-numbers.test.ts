/** Segments that overlap, numbers that wrap, windows that shrink: "state: event -> result". */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { STATE_NAMES } from '../../../src/gateway/tcp/flow.ts';
import { ACK, FIN } from '../../lib/frames.ts';
import {
  MSS_OPTION,
  pattern,
  type ScriptOptions,
  type Seen,
  SYN_OPTIONS,
  TcpScript,
  text,
} from '../../lib/tcp-script.ts';

// The gateway's own numbers begin where a test says
const initial = vi.hoisted(() => ({ number: 1 }));
vi.mock('../../../src/gateway/tcp/unguessable.ts', () => ({ unguessable: () => initial.number }));

const scripts: TcpScript[] = [];

afterEach(() => {
  initial.number = 1;
  for (const script of scripts.splice(0)) script.dispose();
});

function established(options: ScriptOptions = {}, synOptions: readonly number[] = SYN_OPTIONS): TcpScript {
  const script = new TcpScript(options).establish(synOptions);
  scripts.push(script);
  script.pass(10);
  return script;
}

const STREAM = pattern(60);

/** Bytes `from` to `to` of the stream, the first byte being number 1. */
function send(script: TcpScript, from: number, to: number): Seen[] {
  return script.guest({ seq: from, data: STREAM.subarray(from - 1, to - 1) });
}

describe('11-20 has come out of order', () => {
  // What comes next, and the ranges that are told then; 1-10 is still missing
  test.each<[string, number, number, number[][]]>([
    ['the same', 11, 21, [[11, 21]]],
    [
      'before it, apart',
      5,
      8,
      [
        [5, 8],
        [11, 21],
      ],
    ],
    ['before it, touching', 5, 11, [[5, 21]]],
    ['across its beginning', 5, 15, [[5, 21]]],
    ['up to its end', 5, 21, [[5, 21]]],
    ['all of it and more', 5, 31, [[5, 31]]],
    ['inside', 13, 17, [[11, 21]]],
    ['its beginning', 11, 15, [[11, 21]]],
    ['its end', 15, 21, [[11, 21]]],
    ['its beginning and more', 11, 31, [[11, 31]]],
    ['across its end', 15, 31, [[11, 31]]],
    ['behind it, touching', 21, 31, [[11, 31]]],
    [
      'behind it, apart',
      25,
      31,
      [
        [25, 31],
        [11, 21],
      ],
    ],
  ])('%s -> each byte is kept once', (_, from, to, ranges) => {
    const script = established();
    send(script, 11, 21);
    const [answer] = send(script, from, to);
    expect(answer).toMatchObject({ ack: 1 });
    expect(script.sacked(answer!)).toEqual(ranges);
    expect(script.read()).toBe('nothing');
    send(script, 1, 61);
    expect(script.readAll().data).toEqual(STREAM);
    expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
  });

  test('and 31-40: a segment across both -> one range', () => {
    const script = established();
    send(script, 11, 21);
    send(script, 31, 41);
    const [answer] = send(script, 15, 35);
    expect(script.sacked(answer!)).toEqual([[11, 41]]);
    send(script, 1, 11);
    expect(script.readAll().data).toEqual(STREAM.subarray(0, 40));
  });

  test('1-15: across the hole into it -> everything up to 20', () => {
    const script = established();
    send(script, 11, 21);
    expect(send(script, 1, 16)).toMatchObject([{ ack: 21 }]);
    expect(script.readAll().data).toEqual(STREAM.subarray(0, 20));
  });

  test('1-30: over the hole and all of it -> everything up to 30', () => {
    const script = established();
    send(script, 11, 21);
    send(script, 1, 31);
    expect(script.readAll().data).toEqual(STREAM.subarray(0, 30));
    expect(script.pass(5).at(-1) ?? { ack: 31 }).toMatchObject({ ack: 31 });
    expect(script.flow?.receiveBuffer).toBeUndefined();
  });
});

describe('1-20 has been read', () => {
  test.each<[string, number, number]>([
    ['the last of it again', 11, 21],
    ['something in the middle again', 5, 15],
    ['its first byte again', 1, 2],
  ])('%s -> ACK, nothing for the host', (_, from, to) => {
    const script = established();
    send(script, 1, 21);
    script.readAll();
    expect(send(script, from, to)).toMatchObject([{ flags: 'A', ack: 21 }]);
    expect(script.read()).toBe('nothing');
  });

  test.each<[string, number]>([
    ['from its middle', 11],
    ['from its first byte', 1],
    ['from its last byte', 20],
  ])('a segment %s on and beyond -> the host reads what is new', (_, from) => {
    const script = established();
    send(script, 1, 21);
    script.readAll();
    send(script, from, 31);
    expect(script.readAll().data).toEqual(STREAM.subarray(20, 30));
  });

  test('a FIN behind what is old -> the end', () => {
    const script = established();
    send(script, 1, 21);
    script.readAll();
    script.guest({ seq: 11, data: STREAM.subarray(10, 20), flags: FIN | ACK });
    expect(script.read()).toBe('end');
    expect(STATE_NAMES[script.flow!.state]).toBe('close-wait');
  });
});

test('a segment across the edge of the window -> what is within is taken, the rest comes again', () => {
  const script = established({ sendBuffer: 4096 });
  const edge = script.flow!.rcvEdge - script.flow!.rcvNxt;
  const answers = script.guest({ seq: 1 + edge - 10, data: pattern(20) });
  expect(script.sacked(answers[0]!)).toEqual([[edge - 9, edge + 1]]);
});

// Both places where a number of 32 bits begins again: as unsigned it becomes 0, as signed the least there is
describe.each([-1, -2, -1500, 0x7fffffff, 0x7ffffffe, 0x7fffffff - 1500])(
  'the gateway’s numbers begin at %i',
  (number) => {
    function wrapping(options: readonly number[] = SYN_OPTIONS): TcpScript {
      initial.number = number;
      const script = established({}, options);
      expect(script.gatewayIss).toBe(number);
      return script;
    }

    test('data and its acknowledgments -> the stream goes on', () => {
      const script = wrapping();
      for (let at = 0; at < 6000; at += 1500) {
        const { seen } = script.write(pattern(1500, at));
        expect(Buffer.concat(seen.map(({ data }) => data)).equals(Buffer.from(pattern(1500, at)))).toBe(true);
        expect(script.guest({ ack: 1 + at + 1500 })).toEqual([]);
        expect(script.flow?.inFlight).toBe(0);
      }
      expect(script.end()).toMatchObject([{ flags: 'FA', seq: 6001 }]);
    });

    test('a hole with SACK on both sides of it -> exactly that again', () => {
      const script = wrapping();
      script.write(pattern(8000));
      const seen = script.guest({ ack: 1001, options: script.sack([3001, 7001]) });
      expect(Buffer.concat(seen.map(({ data }) => data)).subarray(0, 2000)).toEqual(
        Buffer.from(pattern(2000, 1000)),
      );
      expect(seen[0]).toMatchObject({ seq: 1001 });
      script.guest({ ack: 8001 });
      expect(script.flow?.inFlight).toBe(0);
    });

    test('three duplicates -> the first segment again', () => {
      const script = wrapping(MSS_OPTION);
      script.write(pattern(6000));
      script.guest({});
      script.guest({});
      const [again] = script.guest({});
      expect(again).toMatchObject({ seq: 1 });
      expect(again!.data).toEqual(pattern(1000));
    });

    test('silence -> everything again, from the first byte on', () => {
      const script = wrapping();
      script.write(pattern(3000));
      expect(script.pass(1000)[0]).toMatchObject({ seq: 1 });
      script.guest({ ack: 3001 });
      expect(script.flow?.inFlight).toBe(0);
    });

    test('an acknowledgment from before -> nothing; of what was never sent -> ACK', () => {
      const script = wrapping();
      script.write(pattern(2000));
      script.guest({ ack: 2001 });
      expect(script.guest({ ack: 500 })).toEqual([]);
      expect(script.guest({ ack: 2002 })).toMatchObject([{ flags: 'A', seq: 2001 }]);
      expect(text(script.write('on').seen[0]!.data)).toBe('on');
    });
  },
);

describe.each([0x7fffffff, 0x7ffffffe, 0x7fffffff - 15])('the guest’s numbers begin at %i', (iss) => {
  test('out of order across the wrap -> the host reads the stream', () => {
    const script = established({ iss });
    const [first] = send(script, 31, 61);
    expect(script.sacked(first!)).toEqual([[31, 61]]);
    send(script, 11, 21);
    send(script, 1, 35);
    expect(script.readAll().data).toEqual(STREAM);
  });

  test('the end -> close-wait', () => {
    const script = established({ iss });
    send(script, 1, 61);
    script.guest({ seq: 61, flags: FIN | ACK });
    script.readAll();
    expect(script.read()).toBe('end');
  });
});

describe('the guest’s window shrinks', () => {
  const sum = (seen: readonly Seen[]) => seen.reduce((bytes, { data }) => bytes + data.length, 0);

  test('below what is on its way -> no more is sent until there is room', () => {
    const script = established();
    script.guest({ window: 8000 });
    expect(sum(script.write(pattern(20_000)).seen)).toBe(8000);
    expect(sum(script.guest({ ack: 1001, window: 3000 }))).toBe(0);
    expect(sum(script.guest({ ack: 5001, window: 1000 }))).toBe(0);
    expect(sum(script.guest({ ack: 8001, window: 1000 }))).toBe(1000);
    const open = script.guest({ ack: 9001, window: 0xffff });
    expect(sum(open)).toBe(11_000);
    expect(open[0]).toMatchObject({ seq: 9001 });
  });

  test('and what was beyond it is thrown away -> only what fits is sent again, then the rest', () => {
    const script = established();
    script.guest({ window: 8000 });
    script.write(pattern(8000));
    script.guest({ ack: 1001, window: 2000 });
    const got = new Uint8Array(8000);
    let at = 1001;
    for (let ms = 0; ms < 20_000 && at < 8001; ms++) {
      for (const { seq, data } of script.pass(1)) {
        if (seq !== at) continue;
        expect(data.length).toBeLessThanOrEqual(2000);
        got.set(data, seq - 1);
        at += data.length;
        script.guest({ ack: at, window: 2000 });
      }
      if (at < 8001) script.guest({ ack: at, window: 2000 });
    }
    expect(at).toBe(8001);
    expect(got.subarray(1000)).toEqual(pattern(7000, 1000));
  });

  test('to nothing, with data on its way, for an hour -> asked again and again, never given up; then it goes on', () => {
    const script = established();
    script.guest({ window: 8000 });
    script.write(pattern(8000));
    script.guest({ ack: 1001, window: 0 });
    for (let s = 0; s < 3600; s++) {
      for (const _ of script.skip(1000)) script.guest({ ack: 1001, window: 0 });
    }
    expect(STATE_NAMES[script.flow!.state]).toBe('established');
    const seen = [...script.guest({ ack: 1001, window: 8000 }), ...script.skip(60_000)];
    expect(seen[0]).toMatchObject({ seq: 1001 });
  }, 30_000);

  test('to nothing, and then silence -> given up, the host is reset', () => {
    const script = established({ kind: 'tcp' });
    script.guest({ window: 8000 });
    script.write(pattern(8000));
    script.guest({ ack: 1001, window: 0 });
    for (let s = 0; s < 1200 && script.flow !== undefined; s++) script.skip(1000);
    expect(script.flow).toBeUndefined();
    expect(script.read()).toBe('reset');
  });

  test('an older segment with another window -> not believed', () => {
    const script = established();
    script.guest({ seq: 1, data: 'abc', window: 5000 });
    script.guest({ seq: 4, window: 3000 });
    script.guest({ seq: 1, data: 'abc', window: 60_000 });
    expect(script.flow?.sndWnd).toBe(3000);
  });
});
