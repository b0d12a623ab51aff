/** The captures that run in one worker. There is no such object while none does. */
import type { FrameBatch } from '../port/batch.ts';
import type { PieceQueue } from '../port/piece-queue.ts';
import type { Port } from '../port/port.ts';
import { clockGettime } from '../sys/libc.ts';
import { type Memory, mapMemory, unmapMemory } from '../sys/memory.ts';
import type { PacketRing } from '../sys/packet-ring.ts';
import { CapturedPort } from './captured-port.ts';
import { NOT_DROPPED } from './filter/frame.ts';
import { type CaptureBinding, CaptureTap, type SnifferBinding } from './tap.ts';

/** linux/time.h */
const CLOCK_REALTIME = 0;
/** Frames of a packet ring in one go: other sockets are not to wait for all it has */
const MOST_SNIFFED_AT_ONCE = 512;

export class CaptureTaps {
  readonly #worker: number;
  readonly #batch: FrameBatch;
  readonly #time: Memory = mapMemory(16);
  #taps: CaptureTap[] = [];
  /** Port by which the frame in each slot came, and its id */
  readonly #origins: Int32Array;
  readonly #ids: Int32Array;
  #nextId = 0;

  constructor(worker: number, batch: FrameBatch) {
    this.#worker = worker;
    this.#batch = batch;
    this.#origins = new Int32Array(batch.capacity);
    this.#ids = new Int32Array(batch.capacity);
  }

  /** Begins a capture, or goes on with it as it is now. */
  set(binding: CaptureBinding): void {
    this.remove(binding.number);
    this.#taps.push(new CaptureTap(binding, this.#worker, this.#batch.capacity, this.#batch.view));
  }

  /** Ends a capture; true where that was the last. */
  remove(number: number): boolean {
    this.settle();
    this.#taps = this.#taps.filter((tap) => tap.number !== number);
    return this.#taps.length === 0;
  }

  /** `port` with all that passes it shown to the captures. */
  around(port: Port, number: number): Port {
    return new CapturedPort(port, number, this);
  }

  received(batch: FrameBatch, count: number, port: number): void {
    this.#stamp();
    for (const tap of this.#taps) tap.settle();
    for (let slot = 0; slot < count; slot++) {
      const id = this.#newId();
      this.#origins[slot] = port;
      this.#ids[slot] = id;
      for (let i = 0; i < this.#taps.length; i++) this.#taps[i]?.received(batch, slot, port, id);
    }
  }

  dropped(batch: FrameBatch, slot: number, port: number, reason: number): void {
    const id = this.#ids[slot] as number;
    for (let i = 0; i < this.#taps.length; i++) this.#taps[i]?.dropped(batch, slot, port, reason, id);
  }

  /** @param count of the frames in `slots` from `first` on, which the port has been given */
  sent(batch: FrameBatch, slots: Int32Array, first: number, count: number, port: number): void {
    this.#stamp();
    for (let i = first; i < first + count; i++) {
      const slot = slots[i] as number;
      // What goes back where it came from is an answer, written over the question; another batch knows no origins.
      const isCopy = batch === this.#batch && this.#origins[slot] !== port;
      const id = isCopy ? (this.#ids[slot] as number) : this.#newId();
      const reason = reasonOf(batch.refused[slot] as number);
      for (let tap = 0; tap < this.#taps.length; tap++) this.#taps[tap]?.sent(batch, slot, port, reason, id);
    }
  }

  sentPieces(queue: PieceQueue, first: number, count: number, port: number): void {
    this.#stamp();
    for (let index = first; index < first + count; index++) {
      const reason = reasonOf(queue.refused[index] as number);
      const id = this.#newId();
      for (const tap of this.#taps) tap.sentPieces(queue, index, port, reason, id);
    }
  }

  /** The packet rings of this worker that its captures have to look at, each as often as captures have it. */
  get sniffers(): SnifferBinding[] {
    return this.#taps.flatMap(({ sniffers }) => sniffers).filter(({ worker }) => worker === this.#worker);
  }

  /** Takes what waits in such a ring, up to a bound; what is left makes it be called again. */
  sniff(ring: PacketRing, port: number): void {
    for (let i = 0; i < MOST_SNIFFED_AT_ONCE && ring.next(); i++) {
      const id = this.#newId();
      for (let tap = 0; tap < this.#taps.length; tap++) this.#taps[tap]?.sniffed(ring, port, id);
    }
  }

  /** Between two batches: what was captured may be read. */
  settle(): void {
    for (let i = 0; i < this.#taps.length; i++) {
      const tap = this.#taps[i] as CaptureTap;
      tap.settle();
      tap.publish();
    }
  }

  release(): void {
    unmapMemory(this.#time);
  }

  #newId(): number {
    this.#nextId = (this.#nextId + 1) | 0;
    return this.#nextId;
  }

  #stamp(): void {
    clockGettime(CLOCK_REALTIME, this.#time.address);
    const seconds = this.#time.view.getInt32(0, true);
    const nanoseconds = this.#time.view.getInt32(8, true);
    for (let i = 0; i < this.#taps.length; i++) this.#taps[i]?.setTime(seconds, nanoseconds);
  }
}

/** Ports note a refusal as one more than its drop reason. */
function reasonOf(refused: number): number {
  return refused === 0 ? NOT_DROPPED : refused - 1;
}
