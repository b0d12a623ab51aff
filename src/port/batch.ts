/**
 * A batch of frames on their way through the switch, in the arena.
 *
 * Each slot holds one frame behind its 10-byte virtio-net header, as the kernel delivers and takes it. A frame is
 * received into a slot and sent from the same slot: nothing is copied in TypeScript.
 *
 *     slot  |<pad>| virtio-net 10 | Ethernet 14 | IP ... |
 *                 ^ start         ^ start + 10
 */

import { mapMemory, unmapMemory } from '../sys/memory.ts';
import { addressHigh, addressLow } from '../sys/message-vector.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';

/** Frames taken from one port at a time. */
export const BATCH_FRAMES = 64;
/**
 * Bytes of the longest frame a port may deliver: virtio-net header, Ethernet header, one VLAN tag and the largest
 * IP packet. A guest can make the kernel offer a little more than that; such a frame is cut and dropped as `too-long`.
 */
export const MAX_FRAME_BYTES = VNET_HEADER_BYTES + 14 + 4 + 65_535;
// Slots a whole number of cache lines apart, and the IP header of an untagged frame on a 4-byte boundary.
const SLOT_PAD = 8;
const SLOT_BYTES = 65_600;

/** What receiving found wrong with a frame, beside its bytes. */
export const RECEIVED_WHOLE = 0;
export const RECEIVED_CUT = 1;
export const RECEIVED_TAGGED = 2;

export class FrameBatch {
  readonly view: DataView;
  readonly u8: Uint8Array;
  /** Arena offset of each frame's virtio-net header */
  readonly start: Int32Array;
  /** Bytes of each frame with its virtio-net header */
  readonly length: Int32Array;
  /** `RECEIVED_*` of each frame */
  readonly condition: Int32Array;
  /** Whether a port refused to send the frame: 0, or one more than the drop reason; whoever asks clears it before */
  readonly refused: Uint8Array;
  /** Halves of each slot's address, for message headers */
  readonly addressLow: Int32Array;
  readonly addressHigh: Int32Array;
  readonly capacity: number;
  readonly #memory: ReturnType<typeof mapMemory>;

  constructor(capacity: number = BATCH_FRAMES) {
    this.capacity = capacity;
    this.#memory = mapMemory(capacity * SLOT_BYTES);
    this.view = this.#memory.view;
    this.u8 = this.#memory.u8;
    this.start = Int32Array.from({ length: capacity }, (_, i) => i * SLOT_BYTES + SLOT_PAD);
    this.length = new Int32Array(capacity);
    this.condition = new Int32Array(capacity);
    this.refused = new Uint8Array(capacity);
    this.addressLow = this.start.map((offset) => addressLow(this.#memory.address + offset));
    this.addressHigh = this.start.map((offset) => addressHigh(this.#memory.address + offset));
  }

  /** Address of slot `index`, for a call that takes one frame. */
  address(index: number): number {
    return this.#memory.address + (this.start[index] as number);
  }

  /** Puts a frame that is bytes already into slot `index`, with an empty virtio-net header. */
  place(index: number, frame: Uint8Array): void {
    const start = this.start[index] as number;
    this.u8.fill(0, start, start + VNET_HEADER_BYTES);
    this.u8.set(frame, start + VNET_HEADER_BYTES);
    this.length[index] = VNET_HEADER_BYTES + frame.length;
    this.condition[index] = RECEIVED_WHOLE;
  }

  release(): void {
    unmapMemory(this.#memory);
  }
}
