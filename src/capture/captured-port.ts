/** A port whose frames are shown to captures. It stands in for the port only while one runs. */
import type { FrameBatch } from '../port/batch.ts';
import type { PieceQueue } from '../port/piece-queue.ts';
import type { Port } from '../port/port.ts';
import type { CaptureTaps } from './taps.ts';

export class CapturedPort implements Port {
  readonly inner: Port;
  readonly #number: number;
  readonly #taps: CaptureTaps;

  constructor(inner: Port, number: number, taps: CaptureTaps) {
    this.inner = inner;
    this.#number = number;
    this.#taps = taps;
  }

  get fd(): number {
    return this.inner.fd;
  }

  receive(batch: FrameBatch): number {
    const count = this.inner.receive(batch);
    this.#taps.received(batch, count, this.#number);
    return count;
  }

  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void {
    for (let i = first; i < first + count; i++) batch.refused[slots[i] as number] = 0;
    this.inner.transmit(batch, slots, first, count);
    this.#taps.sent(batch, slots, first, count, this.#number);
  }

  transmitPieces(queue: PieceQueue, first: number, count: number): void {
    this.inner.transmitPieces(queue, first, count);
    this.#taps.sentPieces(queue, first, count, this.#number);
  }

  dueInMs(): number {
    return this.inner.dueInMs?.() ?? -1;
  }
}
