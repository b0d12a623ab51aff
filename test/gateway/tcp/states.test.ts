/** A forwarded connection from its first SYN to its end: named "state: event -> result". */
import { afterEach, describe, expect, test } from 'vitest';
import { STATE_NAMES } from '../../../src/gateway/tcp/flow.ts';
import { A, ACK, FIN, GATEWAY, icmpError, ipv4Tcp, RST, SYN } from '../../lib/frames.ts';
import { connectedPair } from '../../lib/socket-pair.ts';
import {
  GUEST_PORT,
  pattern,
  type ScriptOptions,
  SYN_OPTIONS,
  TcpScript,
  text,
} from '../../lib/tcp-script.ts';

const scripts: TcpScript[] = [];

afterEach(() => {
  for (const script of scripts.splice(0)) script.dispose();
});

function accepted(options: ScriptOptions = {}): TcpScript {
  const script = new TcpScript(options);
  scripts.push(script);
  return script;
}

function established(options: ScriptOptions = {}): TcpScript {
  const script = accepted(options).establish();
  script.pass(10);
  return script;
}

function state(script: TcpScript): string {
  return script.flow === undefined ? 'gone' : STATE_NAMES[script.flow.state]!;
}

describe('syn-sent', () => {
  test('accepted -> SYN from the gateway with MSS, scaling, SACK and timestamps', () => {
    const script = accepted();
    expect(script.syn).toMatchObject([{ flags: 'S', seq: 0, ack: 0 }]);
    expect([...script.syn[0]!.options.subarray(0, 14)]).toEqual([
      2, 4, 0xff, 0xd7, 1, 3, 3, 7, 1, 1, 4, 2, 1, 1,
    ]);
    expect(state(script)).toBe('syn-sent');
  });

  test('SYN-ACK -> ACK, established', () => {
    const script = accepted();
    const seen = script.guest({ flags: SYN | ACK, seq: 0, ack: 1, options: SYN_OPTIONS });
    expect(seen).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
    expect(state(script)).toBe('established');
  });

  test('SYN-ACK of another number -> RST of that number, goes on waiting', () => {
    const script = accepted();
    const seen = script.guest({ flags: SYN | ACK, seq: 0, ack: 77 });
    expect(seen).toMatchObject([{ flags: 'R', seq: 77 }]);
    expect(state(script)).toBe('syn-sent');
  });

  test('RST of another number -> nothing', () => {
    const script = accepted({ waitMs: 1000 });
    expect(script.guest({ flags: RST | ACK, seq: 0, ack: 77 })).toEqual([]);
    expect(script.pass(150)).toEqual([]);
  });

  test('RST -> SYN with another number after 100 ms', () => {
    const script = accepted({ waitMs: 1000 });
    const before = script.gatewayIss;
    expect(script.guest({ flags: RST | ACK, seq: 0, ack: 1 })).toEqual([]);
    expect(script.pass(99)).toEqual([]);
    expect(script.pass(1)).toMatchObject([{ flags: 'S', seq: 0 }]);
    expect(script.gatewayIss).not.toBe(before);
    expect(script.establish().flow?.state).toBeDefined();
    expect(state(script)).toBe('established');
  });

  /** A guest's "unreachable" about a segment of the gateway's, numbered `sequence` from its SYN on. */
  function rejected(script: TcpScript, code: number, sequence = 0, quoted = 28) {
    const ends = { fromPort: script.gatewayPort, toPort: GUEST_PORT };
    const number = { flags: SYN, sequence: (script.gatewayIss + sequence) | 0 };
    const about = ipv4Tcp({ from: GATEWAY, to: A, ...ends, ...number });
    const options = { code, quoteBytes: quoted };
    return script.net.from(script.port).send(icmpError({ from: A, to: GATEWAY }, about, options)).drops;
  }

  test.each([2, 3, 9, 10, 13])('unreachable, code %i, about the SYN -> as a reset', (code) => {
    const script = accepted({ waitMs: 1000 });
    const before = script.gatewayIss;
    rejected(script, code);
    expect(script.pass(99)).toEqual([]);
    expect(script.pass(1)).toMatchObject([{ flags: 'S', seq: 0 }]);
    expect(script.gatewayIss).not.toBe(before);
  });

  test.each([
    ['of the host, which may pass', 1, 0, 28],
    ['about another number', 3, 1, 28],
    ['that quotes too little', 3, 0, 27],
  ])('unreachable %s -> nothing', (_name, code, sequence, quoted) => {
    const script = accepted({ waitMs: 1000 });
    expect(rejected(script, code, sequence, quoted)).toEqual({ [script.port]: { 'no-service': 1 } });
    expect(script.pass(150)).toEqual([]);
  });

  test('unreachable about an open connection -> nothing', () => {
    const script = established();
    rejected(script, 3);
    expect(state(script)).toBe('established');
    expect(script.write('x').seen.map(({ data }) => text(data))).toEqual(['x']);
  });

  test('RST every time -> given up after the wait: reset, counted as forward-refused', () => {
    const script = accepted({ kind: 'tcp', waitMs: 1000 });
    let asked = 1;
    for (let ms = 0; ms < 1200 && script.flow !== undefined; ms++) {
      const seen = ms === 0 ? script.syn : script.pass(1);
      if (ms > 0) asked += seen.length;
      if (seen.length > 0) script.guest({ flags: RST | ACK, seq: 0, ack: 1 });
    }
    expect(asked).toBe(10);
    expect(state(script)).toBe('gone');
    expect(script.read()).toBe('reset');
    expect(script.drops).toEqual({ 'forward-refused': 1 });
  });

  test('no patience: RST -> given up at the next look', () => {
    const script = accepted({ kind: 'tcp' });
    script.guest({ flags: RST | ACK, seq: 0, ack: 1 });
    script.pass(100);
    expect(script.read()).toBe('reset');
    expect(script.drops).toEqual({ 'forward-refused': 1 });
  });

  test('many given up at once -> each is counted, five are told of', () => {
    const script = accepted({ kind: 'tcp' });
    for (let i = 1; i < 20; i++) {
      const forward = { number: 7, port: script.port, guestPort: 80, waitMs: 0 };
      script.net.gateway.tcp.accept(forward, connectedPair('tcp').near);
    }
    script.pass(1000);
    expect(script.drops).toEqual({ 'forward-unanswered': 20 });
    const told = { forward: 7, reason: 'forward-unanswered', waitedMs: 1000 };
    expect(script.net.givenUp).toEqual(new Array(5).fill(told));
  });

  test('silence -> SYN again every 250 ms, given up as forward-unanswered', () => {
    const script = accepted({ kind: 'tcp', waitMs: 0 });
    expect(script.pass(999)).toMatchObject(new Array(3).fill({ flags: 'S', seq: 0 }));
    expect(script.read()).toBe('nothing');
    expect(script.pass(1)).toEqual([]);
    expect(script.read()).toBe('reset');
    expect(script.drops).toEqual({ 'forward-unanswered': 1 });
  });

  test('no carrier -> asked once it is there, within the wait', () => {
    const script = accepted({ waitMs: 2000, carrier: false });
    expect(script.syn).toEqual([]);
    expect(script.pass(500)).toEqual([]);
    script.net.tables.setCarrier(script.port, true);
    expect(script.pass(100)).toMatchObject([{ flags: 'S', seq: 0 }]);
    script.establish();
    expect(state(script)).toBe('established');
  });

  test('no carrier for longer -> reset, counted as forward-no-carrier', () => {
    const script = accepted({ kind: 'tcp', waitMs: 300, carrier: false });
    script.pass(300);
    expect(script.read()).toBe('reset');
    expect(script.drops).toEqual({ 'forward-no-carrier': 1 });
  });

  test('the host hangs up by a reset -> given up', () => {
    const script = accepted({ kind: 'tcp', waitMs: 1000 });
    script.hangUp(true);
    expect(state(script)).toBe('gone');
  });

  test('what the host wrote before -> sent once it is established', () => {
    const script = accepted();
    expect(script.write('early').seen).toEqual([]);
    const seen = script.guest({ flags: SYN | ACK, seq: 0, ack: 1, options: SYN_OPTIONS });
    expect(seen.map(({ data }) => text(data)).join('')).toBe('early');
  });
});

describe('established, data', () => {
  test('from the host -> a segment with PSH; its ACK frees it', () => {
    const script = established();
    const { seen } = script.write('hello');
    expect(seen).toMatchObject([{ flags: 'PA', seq: 1, ack: 1 }]);
    expect(text(seen[0]!.data)).toBe('hello');
    expect(script.guest({ ack: 6 })).toEqual([]);
    expect(script.flow?.inFlight).toBe(0);
    expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
  });

  test('much from the host -> frames to be cut into segments of the guest’s size', () => {
    const script = established();
    const { seen } = script.write(pattern(10_000));
    expect(seen).toMatchObject([{ seq: 1, cut: 1000 }]);
    expect(seen[0]!.data).toEqual(pattern(10_000));
  });

  test('from the guest -> the host reads it, acknowledged within 4 ms', () => {
    const script = established();
    expect(script.guest({ data: 'hello' })).toEqual([]);
    expect(text(script.readAll().data)).toBe('hello');
    expect(script.pass(3)).toEqual([]);
    expect(script.pass(1)).toMatchObject([{ flags: 'A', ack: 6 }]);
  });

  test('two whole segments from the guest -> acknowledged at once', () => {
    const script = established();
    expect(script.guest({ data: pattern(1000) })).toEqual([]);
    expect(script.guest({ seq: 1001, data: pattern(1000, 1000) })).toMatchObject([{ flags: 'A', ack: 2001 }]);
    expect(script.readAll().data).toEqual(pattern(2000));
  });

  test('out of order -> ACK with SACK at once; the host reads it in order', () => {
    const script = established();
    const [first] = script.guest({ seq: 4, data: 'def' });
    expect(first).toMatchObject({ flags: 'A', ack: 1 });
    expect(script.sacked(first!)).toEqual([[4, 7]]);
    const [second] = script.guest({ seq: 10, data: 'jkl' });
    expect(script.sacked(second!)).toEqual([
      [10, 13],
      [4, 7],
    ]);
    expect(script.read()).toBe('nothing');
    expect(script.guest({ seq: 1, data: 'abc' })).toMatchObject([{ ack: 7 }]);
    expect(script.guest({ seq: 7, data: 'ghi' })).toMatchObject([{ ack: 13 }]);
    expect(text(script.readAll().data)).toBe('abcdefghijkl');
    expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
  });

  test('overlaps -> each byte once', () => {
    const script = established();
    script.guest({ seq: 4, data: 'defg' });
    script.guest({ seq: 6, data: 'fghi' });
    script.guest({ seq: 1, data: 'abcde' });
    script.guest({ seq: 5, data: 'efghijk' });
    expect(text(script.readAll().data)).toBe('abcdefghijk');
  });

  test('a duplicate -> ACK of what is there, the host reads it once', () => {
    const script = established();
    script.guest({ data: 'abc' });
    expect(script.guest({ data: 'abc' })).toMatchObject([{ flags: 'A', ack: 4 }]);
    expect(text(script.readAll().data)).toBe('abc');
  });

  test('beyond the window -> ACK, nothing taken', () => {
    const script = established();
    expect(script.guest({ seq: 1_000_000, data: 'x' })).toMatchObject([{ flags: 'A', ack: 1 }]);
    expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
  });

  test('any order of segments -> the host reads the stream', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const script = established();
      const stream = pattern(20_000);
      const starts = Array.from({ length: 40 }, (_, i) => i * 500);
      starts.sort((a, b) => ((a * 7919 * seed) % 1009) - ((b * 7919 * seed) % 1009));
      const heard: Uint8Array[] = [];
      for (const at of starts) {
        const end = Math.min(stream.length, at + 500 + ((at * seed) % 700));
        script.guest({ seq: 1 + at, data: stream.subarray(at, end) });
        heard.push(script.readAll().data);
      }
      expect(Buffer.concat(heard).equals(Buffer.from(stream))).toBe(true);
      expect(script.flow?.receiveBuffer).toBeUndefined();
    }
  });

  test.each([-1, -3, -1000])(
    'the guest’s numbers wrap from 2^32%i on -> the host reads it in order',
    (iss) => {
      const script = established({ iss });
      script.guest({ seq: 1501, data: pattern(500, 1500) });
      for (const at of [0, 500, 1000]) script.guest({ seq: 1 + at, data: pattern(500, at) });
      expect(script.readAll().data).toEqual(pattern(2000));
      expect(script.pass(5).at(-1) ?? { ack: script.flow!.acked - script.flow!.irs }).toMatchObject({
        ack: 2001,
      });
    },
  );

  test('an ACK of what was never sent -> ACK', () => {
    const script = established();
    expect(script.guest({ ack: 500 })).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
  });

  test('SYN -> challenge ACK, the connection stays', () => {
    const script = established();
    expect(script.guest({ flags: SYN, seq: 0 })).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
    expect(script.guest({ flags: SYN, seq: 5000 })).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
    expect(state(script)).toBe('established');
  });
});

describe('windows', () => {
  test('the host does not read -> the window closes, nothing of what was let in is lost, and it opens again', () => {
    const script = established({ sendBuffer: 4096 });
    const sent: Uint8Array[] = [];
    let seq = 1;
    let edge = seq + 60_000;
    let zero = false;
    while (seq < 2_000_000 && !zero) {
      const bytes = Math.min(1000, edge - seq);
      const data = pattern(bytes, seq);
      sent.push(data);
      const seen = [...script.guest({ seq, data }), ...script.pass(5)];
      seq += bytes;
      for (const { ack, window } of seen) {
        if (ack === seq) zero = window === 0;
        edge = Math.max(edge, ack + window * 128);
      }
      if (edge === seq) zero = true;
    }
    expect(zero).toBe(true);
    const { data, seen } = script.readAll();
    expect(data.length).toBe(seq - 1);
    expect(Buffer.concat(sent).equals(Buffer.from(data))).toBe(true);
    expect(seen.some(({ window }) => window * 128 > 200_000)).toBe(true);
    expect(script.flow?.receiveBuffer).toBeUndefined();
  }, 30_000);

  test('the guest’s is closed -> probed at growing intervals, goes on when it opens', () => {
    const script = established();
    script.guest({ window: 0 });
    expect(script.write('hello').seen).toEqual([]);
    const probes: number[] = [];
    for (let ms = 1; ms <= 8000; ms++) {
      for (const { seq, data } of script.pass(1)) {
        expect([seq, data.length]).toEqual([0, 0]);
        probes.push(ms);
        expect(script.guest({ window: 0 })).toEqual([]);
      }
    }
    expect(probes.length).toBeGreaterThanOrEqual(3);
    expect(probes[2]! - probes[1]!).toBeGreaterThan(1.5 * (probes[1]! - probes[0]!));
    const seen = script.guest({ window: 1000 });
    expect(seen.map(({ data }) => text(data))).toEqual(['hello']);
    expect(script.flow?.backoff).toBe(0);
  });

  test('the guest’s was closed for an hour, and the first segment after that is lost -> sent again', () => {
    const script = established();
    script.guest({ window: 0 });
    script.write('hello');
    for (let s = 0; s < 3600; s++) {
      for (const _probe of script.skip(1000)) script.guest({ window: 0 });
    }
    expect(script.guest({ window: 1000 }).map(({ data }) => text(data))).toEqual(['hello']);
    expect(script.pass(1000).map(({ data }) => text(data))).toEqual(['hello']);
  }, 30_000);

  test('the guest’s is small -> no more than fits is sent', () => {
    const script = established();
    script.guest({ window: 1500 });
    const { seen } = script.write(pattern(4000));
    expect(seen.map(({ data }) => data.length).reduce((a, b) => a + b)).toBeLessThanOrEqual(1500);
    let at = 1 + seen.reduce((sum, { data }) => sum + data.length, 0);
    const heard = seen.map(({ data }) => data);
    for (let i = 0; i < 10 && at < 4001; i++) {
      for (const { seq, data } of script.guest({ ack: at, window: 1500 })) {
        expect(seq).toBe(at);
        heard.push(data);
        at += data.length;
      }
    }
    expect(Buffer.concat(heard).equals(Buffer.from(pattern(4000)))).toBe(true);
  });
});

describe('loss', () => {
  test('SACK beyond a hole of three segments’ worth -> the hole is sent again', () => {
    const script = established();
    script.write(pattern(6000));
    const seen = script.guest({ options: script.sack([1001, 4001]) });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ seq: 1 });
    expect(seen[0]!.data).toEqual(pattern(1000));
    expect(script.guest({ ack: 6001 })).toEqual([]);
    expect(script.flow?.inFlight).toBe(0);
  });

  test('SACK of two holes -> both are sent again, what the guest has is not', () => {
    const script = established();
    script.write(pattern(9000));
    const seen = script.guest({ options: script.sack([5001, 9001], [1001, 3001]) });
    const again = [...seen, ...script.guest({ ack: 3001, options: script.sack([5001, 9001]) })];
    const numbers = new Set(again.flatMap(({ seq, data }) => Array.from(data, (_, i) => seq + i)));
    const holes = [
      ...Array.from({ length: 1000 }, (_, i) => 1 + i),
      ...Array.from({ length: 2000 }, (_, i) => 3001 + i),
    ];
    expect([...numbers].sort((a, b) => a - b)).toEqual(holes);
    for (const { seq, data } of again) expect(data).toEqual(pattern(data.length, seq - 1));
  });

  test('no SACK: three duplicate ACKs -> the first segment again', () => {
    const script = accepted().establish(SYN_OPTIONS.slice(0, 4));
    script.pass(10);
    script.write(pattern(6000));
    expect(script.guest({})).toEqual([]);
    expect(script.guest({})).toEqual([]);
    const [again] = script.guest({});
    expect(again).toMatchObject({ seq: 1 });
    expect(again!.data).toEqual(pattern(1000));
  });

  test('silence, round trip known -> the tail is probed, then everything sent again slower and slower', () => {
    const script = established();
    script.write(pattern(100));
    script.pass(2);
    script.guest({ ack: 101 });
    script.write(pattern(3000, 100));
    const probe = script.pass(15);
    expect(probe).toHaveLength(1);
    expect(probe[0]).toMatchObject({ seq: 2101 });
    expect(probe[0]!.data).toEqual(pattern(1000, 2100));
    const times: number[] = [];
    for (let ms = 1; ms <= 2000; ms++) {
      for (const { seq } of script.pass(1)) {
        expect(seq).toBe(101);
        times.push(ms);
      }
    }
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(times[0]).toBeGreaterThanOrEqual(190);
    expect(times[2]! - times[1]!).toBeGreaterThan(1.5 * (times[1]! - times[0]!));
  });

  test('silence, no round trip known -> sent again after a second', () => {
    const script = established();
    script.write('hello');
    expect(script.pass(999)).toEqual([]);
    const [again] = script.pass(1);
    expect(text(again!.data)).toBe('hello');
    script.guest({ ack: 6 });
    expect(script.pass(3000)).toEqual([]);
  });

  test('after a time-out -> each ACK sends on, until the guest has everything', () => {
    const script = established();
    script.write(pattern(8000));
    const again = script.pass(1000);
    expect(again).toMatchObject([{ seq: 1 }]);
    const got = new Uint8Array(8000);
    let at = 1;
    let seen = again;
    for (let round = 0; round < 20 && at < 8001; round++) {
      for (const { seq, data } of seen) {
        got.set(data, seq - 1);
        at = Math.max(at, seq + data.length);
      }
      seen = script.guest({ ack: at });
    }
    expect(got).toEqual(pattern(8000));
    expect(script.flow?.inFlight).toBe(0);
  });

  test('silence for ever -> RST after twelve time-outs, the host is reset', () => {
    const script = established({ kind: 'tcp' });
    script.write('hello');
    let seen = 0;
    for (let s = 0; s < 1200 && script.flow !== undefined; s++) seen += script.skip(1000).length;
    expect(seen).toBe(13);
    expect(state(script)).toBe('gone');
    expect(script.read()).toBe('reset');
  });
});

describe('ends', () => {
  test('established: end from the host -> FIN, fin-wait-1; its ACK -> fin-wait-2', () => {
    const script = established();
    expect(script.end()).toMatchObject([{ flags: 'FA', seq: 1, ack: 1 }]);
    expect(state(script)).toBe('fin-wait-1');
    expect(script.guest({ ack: 2 })).toEqual([]);
    expect(state(script)).toBe('fin-wait-2');
  });

  test('established: data and end from the host -> the FIN comes behind the data', () => {
    const script = established();
    script.write('bye');
    expect(script.end()).toMatchObject([{ flags: 'FA', seq: 4 }]);
  });

  test('fin-wait-2: data from the guest -> the host reads it still', () => {
    const script = established();
    script.end();
    script.guest({ ack: 2 });
    script.guest({ ack: 2, data: 'late' });
    expect(text(script.readAll().data)).toBe('late');
  });

  test('fin-wait-2: FIN -> ACK, the host sees the end, time-wait, gone after a second', () => {
    const script = established();
    script.end();
    script.guest({ ack: 2 });
    expect(script.guest({ flags: FIN | ACK, ack: 2 })).toMatchObject([{ flags: 'A', seq: 2, ack: 2 }]);
    expect(script.read()).toBe('end');
    expect(state(script)).toBe('time-wait');
    script.pass(999);
    expect(state(script)).toBe('time-wait');
    script.pass(1);
    expect(state(script)).toBe('gone');
  });

  test('time-wait: the FIN again -> ACK again', () => {
    const script = established();
    script.end();
    script.guest({ flags: FIN | ACK, ack: 2 });
    expect(script.guest({ flags: FIN | ACK, ack: 2 })).toMatchObject([{ flags: 'A', seq: 2, ack: 2 }]);
  });

  test('fin-wait-1: FIN and ACK in one -> time-wait', () => {
    const script = established();
    script.end();
    expect(script.guest({ flags: FIN | ACK, ack: 2 })).toMatchObject([{ flags: 'A', ack: 2 }]);
    expect(state(script)).toBe('time-wait');
  });

  test('simultaneous: FIN that does not acknowledge ours -> closing, its ACK -> time-wait', () => {
    const script = established();
    script.end();
    expect(script.guest({ flags: FIN | ACK, ack: 1 })).toMatchObject([{ flags: 'A', seq: 2, ack: 2 }]);
    expect(state(script)).toBe('closing');
    script.guest({ seq: 2, ack: 2 });
    expect(state(script)).toBe('time-wait');
    expect(script.read()).toBe('end');
  });

  test('established: FIN from the guest -> ACK, close-wait, the host sees the end and may go on', () => {
    const script = established();
    expect(script.guest({ flags: FIN | ACK, data: 'bye' })).toMatchObject([{ flags: 'A', ack: 5 }]);
    expect(state(script)).toBe('close-wait');
    expect(text(script.read() as Uint8Array)).toBe('bye');
    expect(script.read()).toBe('end');
    const { seen } = script.write('more');
    expect(text(seen[0]!.data)).toBe('more');
  });

  test('close-wait: end from the host -> FIN, last-ack; its ACK -> gone', () => {
    const script = established();
    script.guest({ flags: FIN | ACK });
    expect(script.end()).toMatchObject([{ flags: 'FA', seq: 1, ack: 2 }]);
    expect(state(script)).toBe('last-ack');
    script.guest({ seq: 2, ack: 2 });
    expect(state(script)).toBe('gone');
    expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
  });

  test('FIN before the data in front of it -> the end comes after the data', () => {
    const script = established();
    script.guest({ seq: 4, flags: FIN | ACK, data: 'def' });
    expect(script.read()).toBe('nothing');
    expect(script.guest({ data: 'abc' })).toMatchObject([{ ack: 8 }]);
    expect(text(script.read() as Uint8Array)).toBe('abcdef');
    expect(script.read()).toBe('end');
  });

  test('fin-wait-1: the FIN is lost -> sent again', () => {
    const script = established();
    script.end();
    expect(script.pass(1000)).toMatchObject([{ flags: 'FA', seq: 1 }]);
  });

  test('FIN and data lost -> both sent again', () => {
    const script = established();
    script.write('bye');
    script.end();
    const again = script.pass(1000);
    expect(again.map(({ data }) => text(data)).join('')).toBe('bye');
    const after = [...again, ...script.guest({ ack: 4 })];
    expect(after.some(({ flags, seq, data }) => flags.includes('F') && seq + data.length === 4)).toBe(true);
  });
});

describe('resets', () => {
  test('RST of the very next number -> the host is reset', () => {
    const script = established({ kind: 'tcp' });
    expect(script.guest({ flags: RST, seq: 1 })).toEqual([]);
    expect(state(script)).toBe('gone');
    expect(script.read()).toBe('reset');
  });

  test('RST elsewhere in the window -> challenge ACK', () => {
    const script = established();
    expect(script.guest({ flags: RST, seq: 2 })).toMatchObject([{ flags: 'A', ack: 1 }]);
    expect(state(script)).toBe('established');
  });

  test('RST outside the window -> nothing', () => {
    const script = established();
    expect(script.guest({ flags: RST, seq: 0 })).toEqual([]);
    expect(script.guest({ flags: RST, seq: 10_000_000 })).toEqual([]);
    expect(state(script)).toBe('established');
  });

  test('the host’s reset -> RST of the next number to the guest', () => {
    const script = established({ kind: 'tcp' });
    script.write('abc');
    script.guest({ ack: 4 });
    expect(script.hangUp(true)).toMatchObject([{ flags: 'RA', seq: 4, ack: 1 }]);
    expect(state(script)).toBe('gone');
  });

  test('the forward ends -> both sides are reset', () => {
    const script = established({ kind: 'tcp' });
    script.net.gateway.tcp.endPort(script.port, ({ forward }) => forward === 7);
    expect(script.poll()).toMatchObject([{ flags: 'RA', seq: 1 }]);
    expect(script.read()).toBe('reset');
  });

  test('the host is gone, the guest sends on -> RST', () => {
    const script = established({ kind: 'tcp' });
    script.hangUp();
    const seen = [...script.guest({ ack: 2, data: 'a' }), ...script.guest({ seq: 2, ack: 2, data: 'b' })];
    expect(seen.some(({ flags }) => flags.includes('R'))).toBe(true);
    expect(state(script)).toBe('gone');
  });
});

describe('keep-alive', () => {
  const TWO_HOURS = 7_200_000;

  test('answered every time -> the connection stays, however long', () => {
    const script = established();
    for (let i = 0; i < 30; i++) {
      let asked = 0;
      for (let s = 0; s < TWO_HOURS / 75_000 + 2 && asked === 0; s++) asked += script.skip(75_000).length;
      expect(asked).toBe(1);
      script.guest({});
    }
    expect(state(script)).toBe('established');
  }, 60_000);

  test('never answered -> reset after nine', () => {
    const script = established({ kind: 'tcp' });
    let asked = 0;
    for (let i = 0; i < 120 && script.flow !== undefined; i++) {
      asked += script.skip(75_000).filter(({ flags }) => flags === 'A').length;
    }
    expect(asked).toBe(9);
    expect(script.read()).toBe('reset');
  }, 60_000);
});
