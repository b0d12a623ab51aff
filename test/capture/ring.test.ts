/** The ring between a datapath worker and the control thread. */
import { expect, test } from 'vitest';
import {
  allocateRing,
  RECEIVED,
  RECORD_HEADER_BYTES,
  RingReader,
  RingWriter,
} from '../../src/capture/ring.ts';
import { numbers } from './frame-corpus.ts';
import { takeFrom } from './ring-records.ts';

const SIZE = 1024;

function pair() {
  const memory = allocateRing(SIZE);
  return { memory, writer: new RingWriter(memory), reader: new RingReader(memory) };
}

function put(writer: RingWriter, id: number, bytes: number): boolean {
  const at = writer.reserve(bytes);
  if (at < 0) return false;
  writer.fill(at, RECEIVED, 5, -1, bytes + 100, id, 0);
  writer.setTime(at, 17, 999_999_999);
  writer.copy(at, 0, new Uint8Array(bytes).fill(id));
  return true;
}

test('what is not published -> not there', () => {
  const { writer, reader } = pair();
  put(writer, 1, 60);
  expect(takeFrom(reader)).toEqual([]);
  writer.publish();
  const [record] = takeFrom(reader);
  expect(record).toMatchObject({
    kind: RECEIVED,
    port: 5,
    reason: -1,
    seconds: 17,
    nanoseconds: 999_999_999,
    id: 1,
  });
  expect([record?.length, record?.frame.length]).toEqual([160, 60]);
  expect(takeFrom(reader)).toEqual([]);
});

test('full -> refused until the reader has gone on', () => {
  const { writer, reader } = pair();
  const each = SIZE / 8 - RECORD_HEADER_BYTES;
  for (let i = 0; i < 8; i++) expect(put(writer, i, each)).toBe(true);
  expect(put(writer, 8, 0)).toBe(false);
  writer.publish();
  expect(takeFrom(reader, 1)).toHaveLength(1);
  expect(put(writer, 8, each)).toBe(true);
  expect(put(writer, 9, 0)).toBe(false);
});

test('a frame longer than the ring -> refused', () => {
  expect(put(pair().writer, 1, SIZE)).toBe(false);
});

test('withdrawn -> passed over', () => {
  const { writer, reader } = pair();
  const at = writer.reserve(10);
  writer.fill(at, RECEIVED, 1, -1, 10, 1, 0);
  put(writer, 2, 10);
  writer.withdraw(at);
  writer.publish();
  expect(takeFrom(reader).map(({ id }) => id)).toEqual([2]);
});

test('a hundred thousand frames of any length -> all that were taken, whole and in order', () => {
  const { writer, reader } = pair();
  const random = numbers(3);
  const expected: [id: number, bytes: number][] = [];
  const seen: [number, number][] = [];
  const see = (most: number) => {
    for (const { id, frame } of takeFrom(reader, most)) {
      if (!frame.every((byte) => byte === id)) throw new Error('a torn frame');
      seen.push([id, frame.length]);
    }
  };
  for (let i = 0; i < 100_000; i++) {
    const bytes = random(300);
    if (put(writer, i & 0xff, bytes)) expected.push([i & 0xff, bytes]);
    if (random(3) === 0) writer.publish();
    if (random(4) !== 0) continue;
    see(1 + random(5));
  }
  writer.publish();
  see(1000);
  expect(expected.length).toBeGreaterThan(20_000);
  expect(seen).toEqual(expected);
});

test('another writer -> goes on where the first had published to', () => {
  const { memory, writer, reader } = pair();
  put(writer, 1, 10);
  writer.publish();
  put(writer, 2, 10);
  const next = new RingWriter(memory);
  put(next, 3, 10);
  next.publish();
  expect(takeFrom(reader).map(({ id }) => id)).toEqual([1, 3]);
});
