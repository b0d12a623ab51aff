/** What the program of offloaded connections makes of segments, compared with what TypeScript makes of them. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  FLOW,
  FLOW_KEY,
  type FlowTranslation,
  flowKey,
  HOLDING,
  NOTING,
  readNotes,
  relayingEntry,
  waitingEntry,
} from '../../src/fastpath/flow-entry.ts';
import { relayProgram } from '../../src/fastpath/flow-program.ts';
import { BpfMap, loadProgram, PROGRAM } from '../../src/sys/bpf.ts';
import { close } from '../../src/sys/libc.ts';
import { checksum, pseudoHeader4 } from '../../src/wire/checksum.ts';
import { emitHeader, PROTOCOL_TCP } from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { writeSack, writeTimestamps } from '../../src/wire/tcp-options.ts';
import { runProgram } from '../lib/bpf-run.ts';
import { bpfAllowed } from '../lib/offload-stage.ts';

const NEXT = -1;
const DROP = 2;
const REDIRECT = 7;
/** Where BPF_PROG_TEST_RUN lets frames come in */
const LOOPBACK_INDEX = 1;
const IP = 14;
const TCP = IP + 20;
const OPTIONS = TCP + 20;
const ENDS = { source: 0x0a010002, sourcePort: 40_000, destination: 0x0a010001, destinationPort: 5300 };
const GOES = { source: 0x7f000001, sourcePort: 15_300, destination: 0x7f000001, destinationPort: 50_000 };
const MACS = Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);

interface Segment {
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  readonly payload: Uint8Array;
  readonly timestamps: readonly [number, number] | undefined;
  /** Edges of the ranges, two for each */
  readonly ranges: readonly number[];
}

function frameOf(ends: typeof ENDS, segment: Segment): Uint8Array {
  const { sequence, acknowledgment, flags, window, payload, timestamps, ranges } = segment;
  const frame = new Uint8Array(OPTIONS + 40 + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  let at = OPTIONS;
  if (timestamps !== undefined) at += writeTimestamps(view, at, ...timestamps);
  if (ranges.length > 0) at += writeSack(view, at, Int32Array.from(ranges), ranges.length / 2);
  frame.set(payload, at);
  const bytes = at - TCP + payload.length;
  emitHeader(view, IP, 20 + bytes, 64, PROTOCOL_TCP, ends.source, ends.destination);
  const { sourcePort, destinationPort } = ends;
  const write = (sum: number) =>
    tcp.emit(view, TCP, sourcePort, destinationPort, sequence, acknowledgment, at - TCP, flags, window, sum);
  write(0);
  write(checksum(view, TCP, bytes, pseudoHeader4(ends.source, ends.destination, PROTOCOL_TCP, bytes)));
  return frame.slice(0, at + payload.length);
}

/** What the program is to make of a segment. */
function translated(segment: Segment, by: FlowTranslation): Segment {
  const { sequence, acknowledgment, flags, window, timestamps, ranges } = segment;
  const acknowledges = (flags & tcp.ACK) !== 0;
  return {
    ...segment,
    sequence: (sequence + by.sequence) | 0,
    acknowledgment: acknowledges ? (acknowledgment + by.acknowledgment) | 0 : acknowledgment,
    window: Math.min(Math.floor((window * 2 ** by.leftShift) / 2 ** by.rightShift), 0xffff),
    timestamps: timestamps && [(timestamps[0] + by.timestamp) | 0, (timestamps[1] + by.echo) | 0],
    ranges: ranges.map((edge) => (edge + by.acknowledgment) | 0),
  };
}

const int32 = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -1, 2 ** 31 - 1),
);
const scale = fc.integer({ min: 0, max: 14 });

const segments = fc
  .record({
    sequence: int32,
    acknowledgment: int32,
    flags: fc.constantFrom(tcp.ACK, tcp.ACK | tcp.PSH, tcp.ACK | tcp.FIN, tcp.ACK | tcp.RST, tcp.RST),
    window: fc.integer({ min: 0, max: 0xffff }),
    payload: fc.uint8Array({ maxLength: 1448 }),
    timestamps: fc.option(fc.tuple(int32, int32), { nil: undefined }),
    ranges: fc.array(fc.tuple(int32, int32), { maxLength: 3 }).map((pairs) => pairs.flat()),
  })
  // Ranges without timestamps have no shape that is known.
  .map(
    (segment): Segment => ({ ...segment, ranges: segment.timestamps === undefined ? [] : segment.ranges }),
  );

const translations = fc.record({
  sequence: int32,
  acknowledgment: int32,
  timestamp: int32,
  echo: int32,
  leftShift: scale,
  rightShift: scale,
  egress: fc.constant(LOOPBACK_INDEX),
  worker: fc.constant(3),
  ends: fc.constant(GOES),
  macs: fc.constantFrom(undefined, MACS),
});

const PLAIN: FlowTranslation = {
  ...{ sequence: 1000, acknowledgment: -1000, timestamp: 5, echo: -5, leftShift: 0, rightShift: 0 },
  ...{ egress: LOOPBACK_INDEX, worker: 3, ends: GOES, macs: undefined },
};
const SEGMENT: Segment = {
  ...{ sequence: 7, acknowledgment: 9, flags: tcp.ACK, window: 100, payload: Uint8Array.of(1, 2, 3) },
  ...{ timestamps: [11, 12], ranges: [] },
};

describe.skipIf(!bpfAllowed())('segments:', () => {
  let flows: BpfMap;
  let program: number;
  const key = flowKey(LOOPBACK_INDEX, ENDS);

  beforeAll(() => {
    flows = BpfMap.make(FLOW_KEY.bytes, FLOW.bytes, 16);
    program = loadProgram(PROGRAM.interfaceIngress, relayProgram(flows.fd));
  });

  beforeEach(() => flows.delete(key));

  afterAll(() => {
    close(program);
    close(flows.fd);
  });

  const notes = () => readNotes(flows.get(key) as Uint8Array);

  test('of a relayed connection -> the other half`s, with right checksums, and noted', () => {
    fc.assert(
      fc.property(segments, translations, (segment, by) => {
        flows.set(key, relayingEntry(by));
        const came = frameOf(ENDS, segment);
        const { verdict, frame } = runProgram(program, came);
        expect(verdict).toBe(REDIRECT);
        const wanted = translated(segment, by);
        const goes = frameOf(GOES, wanted);
        goes.set(by.macs ?? new Uint8Array(12));
        expect(Buffer.from(frame).toString('hex')).toBe(Buffer.from(goes).toString('hex'));
        const ended = (segment.flags & tcp.FIN) === 0 ? 0 : 1;
        expect(notes()).toEqual({
          frames: 1,
          bytes: came.length,
          next: (wanted.sequence + segment.payload.length + ended) | 0,
          acknowledged: wanted.acknowledgment,
          timestamp: segment.timestamps?.[0],
          finished: ended === 1,
          resets: (segment.flags & tcp.RST) === 0 ? 0 : 1,
          odd: false,
        });
      }),
      { numRuns: 2000 },
    );
  });

  test('that begin a connection, of another, or no TCP -> go their way, untouched', () => {
    flows.set(key, relayingEntry(PLAIN));
    const others = [
      frameOf(ENDS, { ...SEGMENT, flags: tcp.SYN }),
      frameOf(ENDS, { ...SEGMENT, flags: tcp.SYN | tcp.ACK }),
      frameOf({ ...ENDS, sourcePort: 1 }, SEGMENT),
      frameOf({ ...ENDS, destination: 1 }, SEGMENT),
      changed(12, 0x86),
      changed(IP, 0x46),
      changed(IP + 6, 0x20),
      changed(IP + 7, 1),
      changed(IP + 9, 17),
      frameOf(ENDS, SEGMENT).slice(0, OPTIONS - 1),
    ];
    for (const frame of others) {
      const run = runProgram(program, frame);
      expect(run.verdict).toBe(NEXT);
      expect(run.frame).toEqual(frame);
    }
    expect(notes().frames).toBe(0);
  });

  /** The frame with one byte as it is not. */
  function changed(offset: number, value: number): Uint8Array {
    const frame = frameOf(ENDS, SEGMENT);
    frame[offset] = value;
    return frame;
  }

  test('with options of no known shape, or cut short -> dropped and noted', () => {
    const nops = changed(OPTIONS, 2);
    const header6 = changed(TCP + 12, 0x60);
    const header4 = changed(TCP + 12, 0x40);
    const cut = frameOf(ENDS, { ...SEGMENT, payload: new Uint8Array(0), ranges: [1, 2] }).slice(
      0,
      OPTIONS + 20,
    );
    const ranges = frameOf(ENDS, { ...SEGMENT, ranges: [1, 2] });
    ranges[OPTIONS + 14] = 9;
    for (const frame of [nops, header6, header4, cut, ranges]) {
      flows.set(key, relayingEntry(PLAIN));
      expect(runProgram(program, frame).verdict).toBe(DROP);
      expect(notes()).toMatchObject({ odd: true, frames: 0 });
    }
  });

  test('while it comes to rest -> go their way and their time is noted; held, only those without data', () => {
    const withData = frameOf(ENDS, SEGMENT);
    const bare = frameOf(ENDS, { ...SEGMENT, payload: new Uint8Array(0) });
    const end = frameOf(ENDS, { ...SEGMENT, payload: new Uint8Array(0), flags: tcp.ACK | tcp.FIN });
    flows.set(key, waitingEntry(NOTING, 3));
    for (const frame of [withData, bare, end]) expect(runProgram(program, frame).verdict).toBe(NEXT);
    expect(notes().timestamp).toBe(11);
    flows.set(key, waitingEntry(HOLDING, 3));
    expect(runProgram(program, bare).verdict).toBe(NEXT);
    for (const frame of [withData, end]) expect(runProgram(program, frame).verdict).toBe(DROP);
    expect(notes()).toMatchObject({ timestamp: 11, odd: false });
  });
});
