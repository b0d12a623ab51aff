/** Timestamps and the protection against wrapped numbers (RFC 7323), as scripts: "state: event -> result". */
import { afterEach, describe, expect, test } from 'vitest';
import { STATE_NAMES } from '../../../src/gateway/tcp/flow.ts';
import { ACK, FIN, RST } from '../../lib/frames.ts';
import { type GuestSegment, type Seen, SYN_OPTIONS, TcpScript, text } from '../../lib/tcp-script.ts';

const scripts: TcpScript[] = [];

afterEach(() => {
  for (const script of scripts.splice(0)) script.dispose();
});

function word32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function stamp(value: number, echo = 0): number[] {
  return [1, 1, 8, 10, ...word32(value), ...word32(echo)];
}

/** Established with timestamps, the guest's first being `first`. */
function established(first = 1000): TcpScript {
  const script = new TcpScript({ kind: 'tcp' }).establish([...SYN_OPTIONS, ...stamp(first)]);
  scripts.push(script);
  script.pass(10);
  return script;
}

/** Value and echo of a segment's timestamps. */
function stamped({ options }: Seen): [number, number] | undefined {
  if (options[0] !== 1 || options[1] !== 1 || options[2] !== 8) return undefined;
  const view = new DataView(options.buffer, options.byteOffset);
  return [view.getInt32(4), view.getInt32(8)];
}

function say(script: TcpScript, value: number, segment: GuestSegment = {}): Seen[] {
  return script.guest({ ...segment, options: stamp(value) });
}

/** What the gateway echoes when it is made to answer. */
function echoed(script: TcpScript): number | undefined {
  const [answer] = script.guest({ ack: 1000 });
  return stamped(answer!)?.[1];
}

describe('established with timestamps', () => {
  test('every segment of the gateway’s carries one, with the clock’s steps, echoing the guest’s', () => {
    const script = established(77);
    const [first] = script.write('a').seen;
    script.guest({ ack: 2, options: stamp(80) });
    script.pass(25);
    const [second] = script.write('b').seen;
    expect(stamped(first!)?.[1]).toBe(77);
    expect(stamped(second!)?.[1]).toBe(80);
    expect((stamped(second!)![0] - stamped(first!)![0]) | 0).toBe(25);
  });

  test('an older timestamp -> ACK, nothing taken', () => {
    const script = established(1000);
    expect(say(script, 999, { data: 'old' })).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
    expect(script.read()).toBe('nothing');
    expect(say(script, 1000, { data: 'new' })).toEqual([]);
    expect(text(script.readAll().data)).toBe('new');
  });

  test('an older timestamp on a FIN -> ACK, the connection stays', () => {
    const script = established(1000);
    expect(say(script, 1, { flags: FIN | ACK })).toMatchObject([{ flags: 'A', ack: 1 }]);
    expect(STATE_NAMES[script.flow!.state]).toBe('established');
  });

  test('an older timestamp on an acknowledgment -> ACK, nothing counts as received', () => {
    const script = established(1000);
    script.write('hello');
    expect(say(script, 999, { ack: 6 })).toMatchObject([{ flags: 'A' }]);
    expect(script.flow?.inFlight).toBe(5);
  });

  test('an older timestamp on the reset that is due -> the connection ends all the same', () => {
    const script = established(1000);
    expect(say(script, 1, { flags: RST, seq: 1 })).toEqual([]);
    expect(script.flow).toBeUndefined();
    expect(script.read()).toBe('reset');
  });

  test.each([
    [0x7fffffff, -0x80000000],
    [-1, 0],
    [-2, 5],
  ])('the timestamps wrap from %i to %i -> goes on', (before, after) => {
    const script = established(before);
    say(script, after, { data: 'abc' });
    expect(text(script.readAll().data)).toBe('abc');
    expect(say(script, before, { seq: 4, data: 'x' })).toMatchObject([{ flags: 'A', ack: 4 }]);
    expect(script.read()).toBe('nothing');
  });

  test('no timestamp on a later segment -> taken', () => {
    const script = established(1000);
    script.guest({ data: 'bare' });
    expect(text(script.readAll().data)).toBe('bare');
  });
});

describe('what is echoed (RFC 7323 section 4.3)', () => {
  test('of segments that wait for one acknowledgment the first', () => {
    const script = established(1000);
    say(script, 1010, { data: 'a' });
    say(script, 1020, { seq: 2, data: 'b' });
    const [ack] = script.pass(4);
    expect(ack).toMatchObject({ ack: 3 });
    expect(stamped(ack!)?.[1]).toBe(1010);
  });

  test('of a segment behind a hole not; of the one that fills it, yes', () => {
    const script = established(1000);
    const [dup] = say(script, 1010, { seq: 4, data: 'def' });
    expect(stamped(dup!)?.[1]).toBe(1000);
    const [fill] = say(script, 1020, { data: 'abc' });
    expect(fill).toMatchObject({ ack: 7 });
    expect(stamped(fill!)?.[1]).toBe(1020);
  });

  test('of a segment beyond the window or long before it not: it cannot make the next ones look old', () => {
    const script = established(1000);
    say(script, 500_000, { seq: 10_000_000, data: 'x' });
    expect(echoed(script)).toBe(1000);
    say(script, 500_000, { seq: -1_000_000, data: 'x' });
    expect(echoed(script)).toBe(1000);
    say(script, 1001, { data: 'next' });
    expect(text(script.readAll().data)).toBe('next');
  });
});

test('the guest’s SYN-ACK has none -> none is sent, old ones mean nothing', () => {
  const script = new TcpScript().establish(SYN_OPTIONS);
  scripts.push(script);
  say(script, 1000, { data: 'a' });
  say(script, 1, { seq: 2, data: 'b' });
  expect(text(script.readAll().data)).toBe('ab');
  expect(script.pass(5).map(stamped)).toEqual([undefined]);
});
