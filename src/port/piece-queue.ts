/**
 * Frames that are not in one place: headers in slots of the queue's own, payload wherever it lies. So the gateway
 * sends what it holds for a guest without copying it.
 */
import { memcpyOut } from '../sys/libc.ts';
import { type Memory, mapMemory, unmapMemory } from '../sys/memory.ts';
import { addressHigh, addressLow, MessageVector } from '../sys/message-vector.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';

export const QUEUE_FRAMES = 128;
/** Bytes of a header slot: virtio-net, Ethernet, IPv6 and the longest TCP header, 128 bytes, and room to spare */
export const HEADER_BYTES = 192;

const HEADERS = 0;
const PAYLOAD = 1;

export class PieceQueue {
  /** The header slots */
  readonly view: DataView;
  readonly u8: Uint8Array;
  /** Whoever sends the frames looks here for what to send, and marks here what it could not */
  readonly vector = new MessageVector(QUEUE_FRAMES, 0, 2);
  /** 0, or one more than the drop reason */
  readonly refused = new Uint8Array(QUEUE_FRAMES);
  /** Bytes of each frame and its virtio-net header */
  readonly bytes = new Int32Array(QUEUE_FRAMES);
  readonly #headerBytes = new Int32Array(QUEUE_FRAMES);
  readonly #payloads = new Float64Array(QUEUE_FRAMES);
  readonly #memory: Memory;

  constructor() {
    this.#memory = mapMemory(QUEUE_FRAMES * HEADER_BYTES);
    this.view = this.#memory.view;
    this.u8 = this.#memory.u8;
  }

  /** Offset in {@link view} of the headers of frame `index`, virtio-net header first. */
  headers(index: number): number {
    return index * HEADER_BYTES;
  }

  /** Says what frame `index` is made of: the first bytes of its header slot, and bytes at an address. */
  set(index: number, headerBytes: number, payload: number, payloadBytes: number): void {
    const address = this.#memory.address + this.headers(index);
    this.vector.setBuffer(index, addressLow(address), addressHigh(address), headerBytes, HEADERS);
    this.vector.setBuffer(index, addressLow(payload), addressHigh(payload), payloadBytes, PAYLOAD);
    this.#headerBytes[index] = headerBytes;
    this.#payloads[index] = payload;
    this.bytes[index] = headerBytes + payloadBytes;
    this.refused[index] = 0;
  }

  /** Bytes of frame `index` that are in its header slot, virtio-net header included. */
  headerBytes(index: number): number {
    return this.#headerBytes[index] as number;
  }

  /** Bytes of `count` frames from `first` on that were not refused, without their virtio-net headers. */
  sentBytes(first: number, count: number): number {
    let bytes = 0;
    for (let i = first; i < first + count; i++) {
      if (this.refused[i] === 0) bytes += (this.bytes[i] as number) - VNET_HEADER_BYTES;
    }
    return bytes;
  }

  /** Frame `index` in one piece. */
  copy(index: number): Uint8Array {
    const frame = new Uint8Array(this.bytes[index] as number);
    const headers = this.#headerBytes[index] as number;
    const start = this.headers(index);
    frame.set(this.u8.subarray(start, start + headers));
    if (frame.length > headers)
      memcpyOut(frame.subarray(headers), this.#payloads[index] as number, frame.length - headers);
    return frame;
  }

  release(): void {
    this.vector.release();
    unmapMemory(this.#memory);
  }
}
