/** Blocks of packets as they are written from a ring. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockBuffer } from '../../src/capture/block-buffer.ts';
import { interfaceDescription } from '../../src/capture/pcapng.ts';
import { PacketReader } from '../../src/capture/pcapng-reader.ts';
import { allocateRing, RECEIVED, RingReader, RingWriter, SENT } from '../../src/capture/ring.ts';
import { DROP_REASONS } from '../../src/telemetry/drops.ts';
import { type Kept, packetBlock, putInto } from './ring-records.ts';

const INTERFACE = interfaceDescription({ name: 'a', description: '', snaplen: 0, filter: '' });

const anyFrame = fc.record({
  kind: fc.constantFrom(RECEIVED, SENT),
  reason: fc.integer({ min: -1, max: DROP_REASONS.length - 1 }),
  seconds: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
  length: fc.integer({ min: 0, max: 65_549 }),
  lost: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  frame: fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
});

function readBack(blocks: Uint8Array) {
  const reader = new PacketReader();
  reader.take(INTERFACE);
  return reader.take(blocks);
}

const expected = ({
  kind,
  reason,
  seconds,
  nanoseconds,
  length,
  lost,
  frame,
}: Omit<Kept, 'port' | 'id'>) => ({
  interfaceId: 0,
  interfaceName: 'a',
  time: BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds),
  bytes: frame,
  originalLength: length,
  direction: kind === RECEIVED ? 'in' : 'out',
  comment: reason < 0 ? '' : `dropped: ${DROP_REASONS[reason]}`,
  lost,
});

test('any frames -> as they were, each block whole words, zeros behind the frame', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 20 }), (frames) => {
      const memory = allocateRing(2 ** 16);
      const writer = new RingWriter(memory);
      for (const frame of frames) putInto(writer, frame);
      const reader = new RingReader(memory);
      const blocks = new BlockBuffer();
      for (reader.open(); reader.isAt; reader.next()) blocks.addPacket(0, reader);
      expect(readBack(blocks.bytes)).toEqual(frames.map(expected));
    }),
  );
});

test('more than it has room for -> it grows, nothing is lost', () => {
  const blocks = new BlockBuffer();
  const block = packetBlock(0, { frame: Buffer.alloc(5000, 7) });
  for (let i = 0; i < 100; i++) blocks.add(block);
  const packets = readBack(blocks.bytes);
  expect(packets).toHaveLength(100);
  expect(packets.every(({ bytes }) => bytes.every((byte) => byte === 7))).toBe(true);
});

test('bytes behind a frame of odd length -> zero, whatever the ring had there before', () => {
  const memory = allocateRing(128);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const pass = (frame: Buffer) => {
    putInto(writer, { frame });
    reader.open();
    const blocks = new BlockBuffer();
    blocks.addPacket(0, reader);
    reader.next();
    reader.close();
    return Buffer.from(blocks.bytes);
  };
  pass(Buffer.alloc(24, 0xff));
  pass(Buffer.alloc(24, 0xff));
  const block = pass(Buffer.of(1));
  expect([...block.subarray(28, 32)]).toEqual([1, 0, 0, 0]);
});
