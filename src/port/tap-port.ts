/**
 * A port on the descriptor end of a TAP that the switch holds itself: the host port. The TAP driver takes and gives
 * one frame per system call, whole GSO frames included.
 */
import { errno, read, write, writev } from '../sys/libc.ts';
import type { CounterBlock } from '../telemetry/counters.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import { type FrameBatch, MAX_FRAME_BYTES, RECEIVED_CUT, RECEIVED_WHOLE } from './batch.ts';
import type { PieceQueue } from './piece-queue.ts';
import { type Port, sendFailure } from './port.ts';

export class TapPort implements Port {
  readonly fd: number;
  readonly #number: number;
  readonly #counters: CounterBlock;

  /** @param fd from sys/tun `openPersistentTap`  @param number the port's number, under which it counts */
  constructor(fd: number, number: number, counters: CounterBlock) {
    this.fd = fd;
    this.#number = number;
    this.#counters = counters;
  }

  receive(batch: FrameBatch): number {
    let count = 0;
    let bytes = 0;
    while (count < batch.capacity) {
      // One byte more than the longest frame: read() cuts without a word.
      const length = read(this.fd, batch.address(count), MAX_FRAME_BYTES + 1);
      if (length <= 0) break;
      batch.length[count] = length;
      batch.condition[count] = length > MAX_FRAME_BYTES ? RECEIVED_CUT : RECEIVED_WHOLE;
      bytes += length - VNET_HEADER_BYTES;
      count++;
    }
    if (count > 0) this.#counters.received(this.#number, count, bytes);
    return count;
  }

  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void {
    let sent = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[first + i] as number;
      const length = batch.length[slot] as number;
      if (write(this.fd, batch.address(slot), length) < 0) {
        const reason = sendFailure(errno());
        this.#counters.dropped(this.#number, reason, 1);
        batch.refused[slot] = reason + 1;
        continue;
      }
      sent++;
      bytes += length - VNET_HEADER_BYTES;
    }
    this.#counters.sent(this.#number, sent, bytes);
  }

  transmitPieces(queue: PieceQueue, first: number, count: number): void {
    let sent = 0;
    for (let i = first; i < first + count; i++) {
      if (writev(this.fd, queue.vector.iovecAddress(i), 2) < 0) {
        const reason = sendFailure(errno());
        this.#counters.dropped(this.#number, reason, 1);
        queue.refused[i] = reason + 1;
        continue;
      }
      sent++;
    }
    this.#counters.sent(this.#number, sent, queue.sentBytes(first, count));
  }
}
