/** The ring between a datapath worker and the control thread. */
import { expect, test } from 'vitest';
import {
  allocateRing,
  RECEIVED,
  RECORD_HEADER_BYTES,
  RingReader,
  type RingRecord,
  RingWriter,
} from '../../src/capture/ring.ts';
import { numbers } from './frame-corpus.ts';

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

function take(reader: RingReader, most = 1000): (RingRecord & { copy: Uint8Array })[] {
  const records: (RingRecord & { copy: Uint8Array })[] = [];
  reader.read(most, (record) => records.push({ ...record, copy: record.frame.slice() }));
  return records;
}

test('what is not published -> not there', () => {
  const { writer, reader } = pair();
  put(writer, 1, 60);
  expect(take(reader)).toEqual([]);
  writer.publish();
  const [record] = take(reader);
  expect(record).toMatchObject({
    kind: RECEIVED,
    port: 5,
    reason: -1,
    seconds: 17,
    nanoseconds: 999_999_999,
    id: 1,
  });
  expect([record?.length, record?.copy.length]).toEqual([160, 60]);
  expect(take(reader)).toEqual([]);
});

test('full -> refused until the reader has gone on', () => {
  const { writer, reader } = pair();
  const each = SIZE / 8 - RECORD_HEADER_BYTES;
  for (let i = 0; i < 8; i++) expect(put(writer, i, each)).toBe(true);
  expect(put(writer, 8, 0)).toBe(false);
  writer.publish();
  expect(take(reader, 1)).toHaveLength(1);
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
  expect(take(reader).map(({ id }) => id)).toEqual([2]);
});

test('a hundred thousand frames of any length -> all that were taken, whole and in order', () => {
  const { writer, reader } = pair();
  const random = numbers(3);
  const expected: [id: number, bytes: number][] = [];
  const seen: [number, number][] = [];
  for (let i = 0; i < 100_000; i++) {
    const bytes = random(300);
    if (put(writer, i & 0xff, bytes)) expected.push([i & 0xff, bytes]);
    if (random(3) === 0) writer.publish();
    if (random(4) !== 0) continue;
    reader.read(1 + random(5), ({ id, frame }) => {
      if (!frame.every((byte) => byte === id)) throw new Error('a torn frame');
      seen.push([id, frame.length]);
    });
  }
  writer.publish();
  reader.read(1000, ({ id, frame }) => seen.push([id, frame.length]));
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
  expect(take(reader).map(({ id }) => id)).toEqual([1, 3]);
});
