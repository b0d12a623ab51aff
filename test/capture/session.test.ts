import { expect, test, vi } from 'vitest';
import { PacketReader } from '../../src/capture/pcapng-reader.ts';
import { allocateRing, RECEIVED, RingWriter } from '../../src/capture/ring.ts';
import { CaptureSession } from '../../src/capture/session.ts';

function session(rings: readonly SharedArrayBuffer[] = []) {
  const end = vi.fn(async () => {});
  const made = new CaptureSession({
    rings,
    lost: new SharedArrayBuffer(4),
    label: () => undefined,
    ports: [],
    names: () => [],
    filter: '',
    snaplen: 65_535,
    count: 10,
    durationMs: 60_000,
    end,
  });
  return { made, end };
}

async function read(made: CaptureSession): Promise<number> {
  let pieces = 0;
  for await (const _ of made) pieces++;
  return pieces;
}

test('stopped before anybody reads -> it ends in the workers at once, and once', () => {
  const { made, end } = session();
  made.stop();
  made.stop();
  expect(end).toHaveBeenCalledTimes(1);
});

test('stopped, then read -> a whole file, and it is not ended again', async () => {
  const { made, end } = session();
  made.stop();
  expect(await read(made)).toBeGreaterThan(0);
  expect(end).toHaveBeenCalledTimes(1);
});

test('a reader that leaves the loop -> it ends; stopped while it is read -> it ends when the reader comes to it', async () => {
  const left = session();
  for await (const _ of left.made) break;
  expect(left.end).toHaveBeenCalledTimes(1);
  const { made, end } = session();
  const reading = read(made);
  await vi.waitFor(() => expect(end).not.toHaveBeenCalled());
  made.stop();
  await reading;
  expect(end).toHaveBeenCalledTimes(1);
});

test('count, and frames of two workers -> the earliest of all, so many and no more', async () => {
  const rings = [allocateRing(4096), allocateRing(4096)];
  const writers = rings.map((ring) => new RingWriter(ring));
  for (let n = 0; n < 30; n++) {
    // The first worker has two of three.
    const writer = writers[n % 3 === 2 ? 1 : 0] as RingWriter;
    const at = writer.reserve(4);
    writer.fill(at, RECEIVED, 0, -1, 60, n, 0);
    writer.setTime(at, 1, n);
    writer.copy(at, 0, Uint8Array.of(n, 0, 0, 0));
  }
  for (const writer of writers) writer.publish();
  const { made } = session(rings);
  const reader = new PacketReader();
  const found = [];
  for await (const piece of made) found.push(...reader.take(piece).map(({ bytes }) => bytes[0]));
  expect(found).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(made.written).toBe(10);
});
