/**
 * One capture's end in one worker: which frames it wants, and the ring they go to.
 *
 * A frame that is received is noted before the switch decides about it, which may change its bytes; if it is dropped
 * then, its record is told why. A filter that asks for dropped frames is asked again with the reason: what it does not
 * want any more is withdrawn before the ring is published, and what it only wants now is noted now, since what is
 * dropped has not been changed. So a frame that is neither dropped nor wanted is not copied, whatever the filter.
 */
import type { FrameBatch } from '../port/batch.ts';
import { MAX_FRAME_BYTES } from '../port/batch.ts';
import type { PieceQueue } from '../port/piece-queue.ts';
import type { PacketRing } from '../sys/packet-ring.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import { compileFilter, type VmPorts } from './filter/compile.ts';
import { type Condition, FilteredFrame, NOT_DROPPED, WHOLE } from './filter/frame.ts';
import { RECEIVED, RingWriter, SENT } from './ring.ts';

/** A packet ring that sees the beginning of frames which the kernel hands from one port to another by itself. */
export interface SnifferBinding {
  readonly fd: number;
  readonly port: number;
  /** Datapath thread that reads it */
  readonly worker: number;
}

/** What a worker is told of a capture. */
export interface CaptureBinding {
  readonly number: number;
  readonly filter: string;
  /** Bytes of each frame that are kept */
  readonly snaplen: number;
  /** Port numbers; undefined for all, also those to come */
  readonly ports: readonly number[] | undefined;
  /** Those the filter may name */
  readonly vms: VmPorts;
  /** Each worker's */
  readonly rings: readonly SharedArrayBuffer[];
  /** Where frames are seen that do not pass the datapath */
  readonly sniffers: readonly SnifferBinding[];
  /** Frames without room in their ring, int32 for each port; all workers add to it */
  readonly lost: SharedArrayBuffer;
}

const NONE = -1;

export class CaptureTap {
  readonly number: number;
  readonly sniffers: readonly SnifferBinding[];
  readonly #snaplen: number;
  readonly #ports: Set<number> | undefined;
  readonly #condition: Condition;
  readonly #asksForDrops: boolean;
  readonly #ring: RingWriter;
  readonly #lost: Int32Array;
  /** Lost of each port since its last record */
  readonly #unreported: Int32Array;
  /** Record of each slot of the batch, NONE also where it found no room, and whether the filter wants it */
  readonly #records: Int32Array;
  readonly #wanted: Uint8Array;
  #seconds = 0;
  #nanoseconds = 0;

  constructor(binding: CaptureBinding, worker: number, slots: number, view: DataView) {
    this.number = binding.number;
    this.sniffers = binding.sniffers;
    this.#snaplen = binding.snaplen;
    this.#ports = binding.ports && new Set(binding.ports);
    this.#condition = compileFilter(binding.filter, binding.vms);
    this.#asksForDrops = /\bdrop\b/.test(binding.filter);
    this.#ring = new RingWriter(binding.rings[worker] as SharedArrayBuffer);
    this.#lost = new Int32Array(binding.lost);
    this.#unreported = new Int32Array(this.#lost.length);
    this.#records = new Int32Array(slots).fill(NONE);
    this.#wanted = new Uint8Array(slots);
    this.frame = new FilteredFrame(view);
  }

  /** What the filter looks at */
  readonly frame: FilteredFrame;

  setTime(seconds: number, nanoseconds: number): void {
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
  }

  /** Notes a frame that came in. */
  received(batch: FrameBatch, slot: number, port: number, id: number): void {
    this.#records[slot] = NONE;
    this.#wanted[slot] = 0;
    if (!this.#watches(port) || !this.#looksAt(batch, slot, port, NOT_DROPPED)) return;
    this.#records[slot] = this.#write(batch, slot, RECEIVED, port, NOT_DROPPED, id);
    this.#wanted[slot] = 1;
  }

  /** The frame in that slot was dropped. */
  dropped(batch: FrameBatch, slot: number, port: number, reason: number, id: number): void {
    if (this.#wanted[slot] === 1) this.#giveReason(batch, slot, port, reason);
    else if (this.#asksForDrops && this.#watches(port) && this.#looksAt(batch, slot, port, reason)) {
      this.#records[slot] = this.#write(batch, slot, RECEIVED, port, reason, id);
      this.#wanted[slot] = 1;
    }
  }

  #giveReason(batch: FrameBatch, slot: number, port: number, reason: number): void {
    const record = this.#records[slot] as number;
    if (record === NONE) return;
    if (this.#asksForDrops && !this.#looksAt(batch, slot, port, reason)) this.#wanted[slot] = 0;
    this.#ring.setReason(record, reason);
  }

  /** No more is to be heard of the frames received last. */
  settle(): void {
    for (let slot = 0; slot < this.#records.length; slot++) {
      const record = this.#records[slot] as number;
      if (record !== NONE && this.#wanted[slot] === 0) this.#ring.withdraw(record);
      this.#records[slot] = NONE;
    }
  }

  /** Notes a frame that went out, or for `reason` did not. */
  sent(batch: FrameBatch, slot: number, port: number, reason: number, id: number): void {
    if (!this.#watches(port) || !this.#looksAt(batch, slot, port, reason)) return;
    this.#write(batch, slot, SENT, port, reason, id);
  }

  /** Notes the frame a ring is at, of which only the beginning is there. */
  sniffed(ring: PacketRing, port: number, id: number): void {
    if (!this.#watches(port)) return;
    const { frame } = this;
    const { start, length, kept } = ring;
    const arena = frame.view;
    frame.view = ring.view;
    frame.present = kept;
    const isWanted = this.#asks(start, length, port, NOT_DROPPED);
    frame.present = WHOLE;
    frame.view = arena;
    if (!isWanted) return;
    this.setTime(ring.seconds, ring.nanoseconds);
    this.#put(ring.u8, start, length, kept, ring.isOutgoing ? SENT : RECEIVED, port, NOT_DROPPED, id);
  }

  /** Notes a frame that went out in two pieces, which is put together only if it is wanted, or the filter asks for payload. */
  sentPieces(queue: PieceQueue, index: number, port: number, reason: number, id: number): void {
    if (!this.#watches(port)) return;
    const { frame } = this;
    const bytes = (queue.bytes[index] as number) - VNET_HEADER_BYTES;
    const arena = frame.view;
    frame.view = queue.view;
    frame.present = queue.headerBytes(index) - VNET_HEADER_BYTES;
    frame.isCut = false;
    let wanted = this.#asks(queue.headers(index) + VNET_HEADER_BYTES, bytes, port, reason);
    const { isCut } = frame;
    frame.present = WHOLE;
    if (wanted || isCut) {
      const whole = queue.copy(index);
      frame.view = new DataView(whole.buffer);
      if (isCut) wanted = this.#asks(VNET_HEADER_BYTES, bytes, port, reason);
      if (wanted) this.#put(whole, VNET_HEADER_BYTES, bytes, bytes, SENT, port, reason, id);
    }
    frame.view = arena;
  }

  publish(): void {
    this.#ring.publish();
  }

  #watches(port: number): boolean {
    return this.#ports === undefined || this.#ports.has(port);
  }

  #looksAt(batch: FrameBatch, slot: number, port: number, reason: number): boolean {
    const offset = (batch.start[slot] as number) + VNET_HEADER_BYTES;
    return this.#asks(offset, frameBytes(batch, slot), port, reason);
  }

  #asks(offset: number, bytes: number, port: number, reason: number): boolean {
    const { frame } = this;
    frame.offset = offset;
    frame.length = bytes;
    frame.port = port;
    frame.reason = reason;
    return this.#condition(frame);
  }

  #write(batch: FrameBatch, slot: number, kind: number, port: number, reason: number, id: number): number {
    const offset = (batch.start[slot] as number) + VNET_HEADER_BYTES;
    const bytes = frameBytes(batch, slot);
    return this.#put(batch.u8, offset, bytes, bytes, kind, port, reason, id);
  }

  #put(
    from: Uint8Array,
    offset: number,
    bytes: number,
    present: number,
    kind: number,
    port: number,
    reason: number,
    id: number,
  ): number {
    const kept = Math.min(present, this.#snaplen);
    const record = this.#ring.reserve(kept);
    if (record === NONE) {
      Atomics.add(this.#lost, port, 1);
      this.#unreported[port]! += 1;
      return NONE;
    }
    this.#ring.fill(record, kind, port, reason, bytes, id, this.#unreported[port] as number);
    this.#unreported[port] = 0;
    this.#ring.setTime(record, this.#seconds, this.#nanoseconds);
    this.#ring.copy(record, 0, from.subarray(offset, offset + kept));
    return record;
  }
}

/** Bytes of a frame as far as they are in its slot. */
function frameBytes(batch: FrameBatch, slot: number): number {
  return Math.max(0, Math.min(batch.length[slot] as number, MAX_FRAME_BYTES) - VNET_HEADER_BYTES);
}
