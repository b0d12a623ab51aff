/** Frames in a ring, and blocks of packets, by themselves. */
import { BlockBuffer } from '../../src/capture/block-buffer.ts';
import { NOT_DROPPED } from '../../src/capture/filter/frame.ts';
import { allocateRing, RECEIVED, RingReader, RingWriter } from '../../src/capture/ring.ts';

const RING_BYTES = 2 ** 17;

/** What a ring says of a frame, and a copy of what was kept of it. */
export interface Kept {
  kind: number;
  port: number;
  reason: number;
  seconds: number;
  nanoseconds: number;
  length: number;
  id: number;
  lost: number;
  frame: Buffer;
}

/** Takes the frames that are published, at most `most`. */
export function takeFrom(reader: RingReader, most = Number.POSITIVE_INFINITY): Kept[] {
  const kept: Kept[] = [];
  reader.open();
  for (; reader.isAt && kept.length < most; reader.next()) {
    const { kind, port, reason, seconds, nanoseconds, length, id, lost } = reader;
    kept.push({
      kind,
      port,
      reason,
      seconds,
      nanoseconds,
      length,
      id,
      lost,
      frame: Buffer.from(reader.frame),
    });
  }
  reader.close();
  return kept;
}

/** Puts a frame into a ring, which has room for it. */
export function putInto(writer: RingWriter, { frame, ...of }: Partial<Kept> & Pick<Kept, 'frame'>): void {
  const at = writer.reserve(frame.length);
  if (at < 0) throw new Error('the ring is full');
  const { kind = RECEIVED, port = 0, reason = NOT_DROPPED, length = frame.length, id = 0, lost = 0 } = of;
  writer.fill(at, kind, port, reason, length, id, lost);
  writer.setTime(at, of.seconds ?? 0, of.nanoseconds ?? 0);
  writer.copy(at, 0, frame);
  writer.publish();
}

/** The block of a packet. */
export function packetBlock(interfaceId: number, of: Partial<Kept> & Pick<Kept, 'frame'>): Uint8Array {
  const memory = allocateRing(RING_BYTES);
  putInto(new RingWriter(memory), of);
  const reader = new RingReader(memory);
  reader.open();
  const blocks = new BlockBuffer();
  blocks.addPacket(interfaceId, reader);
  return blocks.bytes;
}
