/** Two ports joined by a cable in memory, for tests without sockets: what one transmits the other receives. */
import type { CounterBlock } from '../telemetry/counters.ts';
import { DROP } from '../telemetry/drops.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import { type FrameBatch, MAX_FRAME_BYTES, RECEIVED_CUT, RECEIVED_WHOLE } from './batch.ts';
import type { PieceQueue } from './piece-queue.ts';
import type { Port } from './port.ts';

/** Frames one end may hold before it refuses more. */
const PAIR_QUEUE_FRAMES = 1024;

export class PairPort implements Port {
  readonly fd = -1;
  readonly #number: number;
  readonly #counters: CounterBlock;
  readonly #queue: Uint8Array[] = [];
  #peer: PairPort | undefined;

  constructor(number: number, counters: CounterBlock) {
    this.#number = number;
    this.#counters = counters;
  }

  connect(peer: PairPort): void {
    this.#peer = peer;
    peer.#peer = this;
  }

  /** Puts a frame, virtio-net header first, where the next {@link receive} finds it. */
  feed(frame: Uint8Array): boolean {
    if (this.#queue.length >= PAIR_QUEUE_FRAMES) return false;
    this.#queue.push(frame);
    return true;
  }

  /** Takes the oldest waiting frame out, virtio-net header first. */
  take(): Uint8Array | undefined {
    return this.#queue.shift();
  }

  receive(batch: FrameBatch): number {
    let count = 0;
    let bytes = 0;
    while (count < batch.capacity) {
      const frame = this.#queue.shift();
      if (frame === undefined) break;
      const length = Math.min(frame.length, MAX_FRAME_BYTES);
      batch.u8.set(frame.subarray(0, length), batch.start[count]);
      batch.length[count] = length;
      batch.condition[count] = length < frame.length ? RECEIVED_CUT : RECEIVED_WHOLE;
      bytes += length - VNET_HEADER_BYTES;
      count++;
    }
    this.#counters.received(this.#number, count, bytes);
    return count;
  }

  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const slot = slots[first + i] as number;
      const start = batch.start[slot] as number;
      const length = batch.length[slot] as number;
      if (this.#peer?.feed(batch.u8.slice(start, start + length))) {
        this.#counters.sent(this.#number, 1, length - VNET_HEADER_BYTES);
      } else {
        this.#counters.dropped(this.#number, DROP['queue-full'], 1);
      }
    }
  }

  transmitPieces(queue: PieceQueue, first: number, count: number): void {
    for (let i = first; i < first + count; i++) {
      const frame = queue.copy(i);
      if (this.#peer?.feed(frame)) {
        this.#counters.sent(this.#number, 1, frame.length - VNET_HEADER_BYTES);
        continue;
      }
      this.#counters.dropped(this.#number, DROP['queue-full'], 1);
      queue.refused[i] = 1;
    }
  }
}
