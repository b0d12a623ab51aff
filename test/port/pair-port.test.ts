import { afterAll, expect, test } from 'vitest';
import { FrameBatch, MAX_FRAME_BYTES, RECEIVED_CUT, RECEIVED_WHOLE } from '../../src/port/batch.ts';
import { PairPort } from '../../src/port/pair-port.ts';
import { allocateCounters, CounterBlock, CounterReader } from '../../src/telemetry/counters.ts';
import { framesOf, marked, received } from '../lib/batches.ts';

const QUEUE = 1024;
const batch = new FrameBatch(4);

afterAll(() => batch.release());

function cable() {
  const memory = allocateCounters(1, 3);
  const block = new CounterBlock(memory, 0, 3);
  const [left, right] = [new PairPort(1, block), new PairPort(2, block)];
  left.connect(right);
  return { left, right, stats: (port: number) => new CounterReader(memory, 3).read(port) };
}

/** Lets `port` transmit the frames in the order of `slots`. */
function transmit(port: PairPort, frames: readonly Uint8Array[], slots = frames.map((_, i) => i)): void {
  for (const [slot, frame] of frames.entries()) batch.place(slot, frame.subarray(10));
  port.transmit(batch, Int32Array.from([99, ...slots]), 1, slots.length);
}

test('one end transmits -> the other receives the same bytes in the same order, both ways', () => {
  const { left, right } = cable();
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    transmit(from, [marked(1), marked(2, 14), marked(3, 1514)], [2, 0, 1]);
    expect(received(to, batch)).toEqual([marked(3, 1514), marked(1), marked(2, 14)]);
    expect(received(to, batch)).toEqual([]);
  }
});

test('transmitted -> a copy: the slot may be used again', () => {
  const { left, right } = cable();
  transmit(left, [marked(1)]);
  batch.u8.fill(0xff, 0, 200);
  expect(right.take()).toEqual(marked(1));
});

test('more frames than slots -> a batch at a time', () => {
  const { left } = cable();
  for (let i = 0; i < 6; i++) left.feed(marked(i));
  expect(received(left, batch)).toEqual([0, 1, 2, 3].map((mark) => marked(mark)));
  expect(received(left, batch)).toEqual([4, 5].map((mark) => marked(mark)));
});

test('a frame as long as a slot -> whole; one byte longer -> cut there and marked, its neighbours whole', () => {
  const { left } = cable();
  for (const extra of [0, 1]) left.feed(new Uint8Array(MAX_FRAME_BYTES + extra).fill(7));
  left.feed(marked(8));
  expect(left.receive(batch)).toBe(3);
  expect([...batch.condition.subarray(0, 3)]).toEqual([RECEIVED_WHOLE, RECEIVED_CUT, RECEIVED_WHOLE]);
  expect([...batch.length.subarray(0, 3)]).toEqual([MAX_FRAME_BYTES, MAX_FRAME_BYTES, 70]);
  expect(framesOf(batch, 3)[2]).toEqual(marked(8));
});

test('a cut frame, then a whole one in its slot -> the whole one is not marked', () => {
  const { left } = cable();
  left.feed(new Uint8Array(MAX_FRAME_BYTES + 1));
  left.receive(batch);
  left.feed(marked(1));
  left.receive(batch);
  expect(batch.condition[0]).toBe(RECEIVED_WHOLE);
});

test(`${QUEUE} frames wait -> one more is refused and counted as queue-full; taken one -> room again`, () => {
  const { left, right, stats } = cable();
  for (let i = 0; i < QUEUE; i++) expect(right.feed(marked(i & 0xff))).toBe(true);
  expect(right.feed(marked(1))).toBe(false);
  transmit(left, [marked(1), marked(2)]);
  expect(stats(1)).toMatchObject({ txFrames: 0, drops: { 'queue-full': 2 } });
  right.take();
  transmit(left, [marked(1), marked(2)]);
  expect(stats(1)).toMatchObject({ txFrames: 1, drops: { 'queue-full': 3 } });
});

test('no cable -> what is transmitted is dropped as queue-full', () => {
  const memory = allocateCounters(1, 2);
  const alone = new PairPort(1, new CounterBlock(memory, 0, 2));
  transmit(alone, [marked(1)]);
  expect(new CounterReader(memory, 2).read(1).drops).toEqual({ 'queue-full': 1 });
});

test('counters -> frames, and bytes without the virtio-net header', () => {
  const { left, right, stats } = cable();
  transmit(left, [marked(1, 60), marked(2, 1514)]);
  right.receive(batch);
  expect(stats(1)).toEqual({ rxFrames: 0, rxBytes: 0, txFrames: 2, txBytes: 1574, drops: {} });
  expect(stats(2)).toEqual({ rxFrames: 2, rxBytes: 1574, txFrames: 0, txBytes: 0, drops: {} });
});

test('no descriptor -> fd -1', () => {
  expect(cable().left.fd).toBe(-1);
});
