/** What is lost where nothing follows that could tell of it: found by time, long before a time-out. */
import { afterEach, describe, expect, test } from 'vitest';
import { pattern, type Seen, TcpScript } from '../../lib/tcp-script.ts';

/** A probe is sent after this, the round trip being next to nothing; a time-out takes 200 */
const PROBE_MS = 10;
const scripts: TcpScript[] = [];

afterEach(() => {
  for (const script of scripts.splice(0)) script.dispose();
});

/** Established, the round trip known, the first 100 bytes acknowledged. */
function established(): TcpScript {
  const script = new TcpScript().establish();
  scripts.push(script);
  script.pass(10);
  script.write(pattern(100));
  script.pass(1);
  script.guest({ ack: 101 });
  return script;
}

function pieces(seen: readonly Seen[]): [number, number][] {
  return seen.map(({ seq, data }) => [seq, seq + data.length]);
}

describe('the tail', () => {
  test('the last two of three lost: probe answered -> the one before it at once, no time-out', () => {
    const script = established();
    script.write(pattern(3000, 100));
    script.guest({ ack: 1101 });
    expect(pieces(script.pass(PROBE_MS))).toEqual([[2101, 3101]]);
    const again = script.guest({ ack: 1101, options: script.sack([2101, 3101]) });
    expect(pieces(again)).toEqual([[1101, 2101]]);
    expect(again[0]!.data).toEqual(pattern(1000, 1100));
    script.guest({ ack: 3101 });
    expect(script.flow?.inFlight).toBe(0);
  });

  test('all but the first of ten lost -> all of it again at once, as far as half of what was on its way', () => {
    const script = established();
    script.write(pattern(10_000, 100));
    script.guest({ ack: 1101 });
    expect(pieces(script.pass(PROBE_MS))).toEqual([[9101, 10_101]]);
    const again = script.guest({ ack: 1101, options: script.sack([9101, 10_101]) });
    expect(pieces(again)).toEqual([[1101, 5101]]);
  });

  test('one has come behind a hole, then silence -> the hole is filled, the tail is not sent again', () => {
    const script = established();
    script.write(pattern(2000, 100));
    expect(script.guest({ ack: 101, options: script.sack([1101, 2101]) })).toEqual([]);
    expect(pieces(script.pass(PROBE_MS))).toEqual([[101, 1101]]);
    script.guest({ ack: 2101 });
    expect(script.flow?.inFlight).toBe(0);
  });

  test('a probe that tells of nothing missing -> nothing again', () => {
    const script = established();
    script.write(pattern(3000, 100));
    script.pass(PROBE_MS);
    expect(script.guest({ ack: 3101 })).toEqual([]);
    expect(script.pass(500)).toEqual([]);
  });
});

describe('recovery', () => {
  test('what was sent again is lost again -> sent once more after a probe’s time', () => {
    const script = established();
    script.write(pattern(6000, 100));
    const first = script.guest({ ack: 101, options: script.sack([1101, 6101]) });
    expect(pieces(first)).toEqual([[101, 1101]]);
    expect(pieces(script.pass(PROBE_MS - 1))).toEqual([]);
    expect(pieces(script.pass(1))).toEqual([[101, 1101]]);
    script.guest({ ack: 6101 });
    expect(script.flow?.inFlight).toBe(0);
    expect(script.flow?.backoff).toBe(0);
  });

  test('and again -> the time-out', () => {
    const script = established();
    script.write(pattern(6000, 100));
    script.guest({ ack: 101, options: script.sack([1101, 6101]) });
    script.pass(PROBE_MS);
    expect(script.pass(199)).toEqual([]);
    expect(pieces(script.pass(1))).toEqual([[101, 1101]]);
    expect(script.flow?.backoff).toBe(1);
  });

  test('2 GB later -> an old loss means nothing', () => {
    const script = established();
    const { flow } = script;
    expect(flow?.agedEdge).toBe(flow?.sndUna);
    script.write(pattern(2000, 100));
    script.guest({ ack: 101, options: script.sack([1101, 2101]) });
    script.pass(PROBE_MS);
    script.guest({ ack: 2101 });
    expect(flow?.agedEdge).toBe(flow?.sndUna);
  });
});
