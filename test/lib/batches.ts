/** Frames in and out of a batch, for tests of ports. */
import type { FrameBatch } from '../../src/port/batch.ts';
import type { Port } from '../../src/port/port.ts';
import { VNET_BYTES } from './frames.ts';

/** A frame of `bytes` bytes behind an empty virtio-net header, filled with `mark`. */
export function marked(mark: number, bytes = 60): Uint8Array {
  return new Uint8Array(VNET_BYTES + bytes).fill(mark, VNET_BYTES);
}

/** Copies of the frames in the first `count` slots. */
export function framesOf(batch: FrameBatch, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, slot) => {
    const start = batch.start[slot] as number;
    return batch.u8.slice(start, start + (batch.length[slot] as number));
  });
}

/** What one `receive` of the port gives. */
export function received(port: Port, batch: FrameBatch): Uint8Array[] {
  return framesOf(batch, port.receive(batch));
}
