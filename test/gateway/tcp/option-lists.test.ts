/** Option lists of every shape in the guest's SYN-ACK, and later: what the connection is made of them. */
import { afterEach, describe, expect, test } from 'vitest';
import { ACK, SYN } from '../../lib/frames.ts';
import { MSS_OPTION, pattern, SACK_PERMITTED, SYN_OPTIONS, TcpScript, text } from '../../lib/tcp-script.ts';

const MSS_IF_NONE = 536;
const SMALLEST = 88;
const scripts: TcpScript[] = [];

afterEach(() => {
  for (const script of scripts.splice(0)) script.dispose();
});

function established(options: readonly number[], window = 0xffff): TcpScript {
  const script = new TcpScript();
  scripts.push(script);
  script.establish(options, window);
  script.pass(10);
  return script;
}

/** Payload bytes of a segment the gateway sends. */
function segmentBytes(script: TcpScript): number {
  const { cut, data } = script.write(pattern(4000)).seen[0]!;
  return cut > 0 ? cut : data.length;
}

function hasSack(script: TcpScript): boolean {
  const [answer] = script.guest({ seq: 100, data: 'x' });
  return script.sacked(answer!).length > 0;
}

const TRAILING = [4, 2, 1, 1];

type Row<T> = [about: string, options: number[], result: T];

/** Rows for `test.each`, the result where its name tells it. */
function rows<T>(...all: Row<T>[]): [string, T, number[]][] {
  return all.map(([about, options, result]) => [about, result, options]);
}

describe('segments are as large as the SYN-ACK says', () => {
  test.each(
    rows<number>(
      ['no options', [], MSS_IF_NONE],
      ['MSS 1000', MSS_OPTION, 1000],
      ['MSS 0', [2, 4, 0, 0], MSS_IF_NONE],
      ['MSS 1', [2, 4, 0, 1], SMALLEST],
      ['MSS 65535: all there is goes as one', [2, 4, 255, 255], 4000],
      ['MSS twice, 500 and 1000: the last', [2, 4, 1, 0xf4, ...MSS_OPTION], 1000],
      ['MSS behind unknown kinds', [253, 4, 1, 2, 30, 4, 9, 9, ...MSS_OPTION], 1000],
      ['MSS behind no-operations', [1, 1, 1, 1, ...MSS_OPTION], 1000],
      ['MSS behind the end of the list', [0, 1, 1, 1, ...MSS_OPTION], MSS_IF_NONE],
      ['MSS behind an option of length 0', [30, 0, 1, 1, ...MSS_OPTION], MSS_IF_NONE],
      ['MSS behind an option of length 1', [30, 1, 1, 1, ...MSS_OPTION], MSS_IF_NONE],
      ['MSS behind an option that ends behind the list', [30, 9, 1, 1, ...MSS_OPTION], MSS_IF_NONE],
      ['MSS before an option without its length', [...MSS_OPTION, 1, 1, 1, 30], 1000],
      ['MSS of 3 bytes', [2, 3, 5, 1], MSS_IF_NONE],
      ['MSS of 6 bytes', [2, 6, 3, 232, 0, 0, 1, 1], MSS_IF_NONE],
      ['MSS cut', [1, 1, 2, 4], MSS_IF_NONE],
      ['timestamps beside it', [...MSS_OPTION, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0], 988],
      ['forty bytes of no-operations', new Array(40).fill(1), MSS_IF_NONE],
    ),
  )('%s -> %i bytes', (_, bytes, options) => {
    expect(segmentBytes(established(options))).toBe(bytes);
  });
});

describe('windows are scaled as the SYN-ACK says', () => {
  test.each(
    rows<number>(
      ['none', [], 0],
      ['0', [1, 3, 3, 0], 0],
      ['7', [1, 3, 3, 7], 7],
      ['14', [1, 3, 3, 14], 14],
      ['15: as 14 (RFC 7323 section 2.3)', [1, 3, 3, 15], 14],
      ['255: as 14', [1, 3, 3, 255], 14],
      ['of 4 bytes', [3, 4, 7, 0], 0],
      ['of 2 bytes', [3, 2, 1, 1], 0],
    ),
  )('%s -> %i', (_, scale, options) => {
    const script = established([...MSS_OPTION, ...options]);
    script.guest({ window: 2 });
    expect(script.flow?.sndWnd).toBe(2 << scale);
  });

  test('the window of the SYN-ACK itself -> not scaled', () => {
    const script = new TcpScript();
    scripts.push(script);
    script.guest({ flags: SYN | ACK, seq: 0, ack: 1, options: [...MSS_OPTION, 1, 3, 3, 14], window: 1500 });
    const { seen } = script.write(pattern(4000));
    expect(seen.reduce((sum, { data }) => sum + data.length, 0)).toBe(1000);
  });

  test('no scale from the guest -> ours is not scaled either', () => {
    const script = established(MSS_OPTION);
    expect(script.write('a').seen[0]!.window).toBe(0xffff);
    expect(established(SYN_OPTIONS).write('a').seen[0]!.window).toBe((512 * 1024) >> 7);
  });
});

describe('selective acknowledgments are used if the SYN-ACK allows them', () => {
  test.each(
    rows<boolean>(
      ['it does', SACK_PERMITTED, true],
      ['it does not', MSS_OPTION, false],
      ['the option has 3 bytes', [4, 3, 0, 1], false],
      ['behind the end of the list', [0, 1, 1, 1, ...TRAILING], false],
      ['behind a cut option it is not read', [30, 40, 1, 1, ...TRAILING], false],
    ),
  )('%s -> %s', (_, used, options) => {
    expect(hasSack(established(options))).toBe(used);
  });

  test('permitted in a later segment -> means nothing', () => {
    const script = established(MSS_OPTION);
    script.guest({ options: SACK_PERMITTED });
    expect(hasSack(script)).toBe(false);
  });

  test('blocks without permission -> mean nothing: three duplicates are needed', () => {
    const script = established(MSS_OPTION);
    script.write(pattern(6000));
    expect(script.guest({ options: script.sack([1001, 6001]) })).toEqual([]);
    expect(script.flow?.inFlight).toBe(6000);
  });

  test.each<[string, [number, number]]>([
    ['what was never sent', [7001, 9001]],
    ['the wrong way round', [5001, 2001]],
    ['nothing', [3001, 3001]],
    ['what is acknowledged', [-5000, 1]],
    ['half the numbers there are', [1001, 1001 + 0x7fffffff]],
  ])('blocks of %s -> no harm, the stream goes on', (_, block) => {
    const script = established(SYN_OPTIONS);
    script.write(pattern(6000));
    script.guest({ options: script.sack(block) });
    const got = new Uint8Array(6000);
    for (const { seq, data } of script.pass(1000)) got.set(data, seq - 1);
    script.guest({ ack: 6001 });
    expect(script.flow?.inFlight).toBe(0);
    expect(text(script.write('on').seen[0]!.data)).toBe('on');
  });

  test('more blocks than there is memory for -> no harm', () => {
    const script = established(SYN_OPTIONS);
    script.write(pattern(10_000));
    for (let at = 9999; at > 10; at -= 4) script.guest({ options: script.sack([at, at + 1]) });
    script.guest({ ack: 10_001 });
    expect(script.flow?.inFlight).toBe(0);
    expect(script.net.gateway.tcp.bufferedBytes(script.port)).toBe(0);
  });
});

test('MSS and scale in a later segment -> mean nothing', () => {
  const script = established(SYN_OPTIONS);
  script.guest({ options: [2, 4, 0, 200, 1, 3, 3, 7], window: 5000 });
  expect(script.flow?.sndWnd).toBe(5000);
  expect(segmentBytes(script)).toBe(1000);
});
