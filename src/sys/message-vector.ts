/**
 * The header tables `recvmmsg` and `sendmmsg` work on (struct mmsghdr, msghdr and iovec; the same layout on x64
 * and arm64, glibc and musl). Written once where possible: per frame only what the kernel or the frame changes.
 */
import { type Memory, mapMemory, unmapMemory } from './memory.ts';

const MMSGHDR_BYTES = 64;
const IOV_POINTER = 16;
const IOV_COUNT = 24;
const CONTROL_POINTER = 32;
const CONTROL_LENGTH = 40;
const FLAGS = 48;
const RESULT_LENGTH = 56;
const IOVEC_BYTES = 16;
const IOVEC_LENGTH = 8;

/** The frame was longer than its slot (bits/socket.h). */
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
/** An error, and no signal, where the peer is gone (bits/socket.h). */
export const MSG_NOSIGNAL = 0x4000;

/** Lower half of an address as int32: halves are split once, since an address itself is no small integer. */
export function addressLow(address: number): number {
  return (address % 0x1_0000_0000) | 0;
}

/** Upper half of an address as int32. */
export function addressHigh(address: number): number {
  return (address / 0x1_0000_0000) | 0;
}

export class MessageVector {
  /** Address of the first header, for `recvmmsg` and `sendmmsg` */
  readonly address: number;
  readonly #memory: Memory;
  readonly #view: DataView;
  readonly #iovecs: number;
  readonly #controls: number;
  readonly #controlBytes: number;
  readonly #pieces: number;

  /**
   * @param controlBytes room for control messages of each header, 0 for none
   * @param pieces buffers each message is made of
   */
  constructor(count: number, controlBytes: number, pieces = 1) {
    this.#pieces = pieces;
    this.#iovecs = count * MMSGHDR_BYTES;
    this.#controls = this.#iovecs + count * pieces * IOVEC_BYTES;
    this.#controlBytes = controlBytes;
    this.#memory = mapMemory(this.#controls + count * controlBytes);
    this.#view = this.#memory.view;
    this.address = this.#memory.address;
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR_BYTES;
      this.#setPointer(header + IOV_POINTER, this.iovecAddress(i));
      this.#view.setUint32(header + IOV_COUNT, pieces, true);
      if (controlBytes > 0) {
        this.#setPointer(header + CONTROL_POINTER, this.address + this.#controls + i * controlBytes);
      }
    }
  }

  #setPointer(offset: number, address: number): void {
    this.#view.setInt32(offset, addressLow(address), true);
    this.#view.setInt32(offset + 4, addressHigh(address), true);
  }

  /** Address of header `index`. */
  headerAddress(index: number): number {
    return this.address + index * MMSGHDR_BYTES;
  }

  /** Address of the buffers of header `index`, for `writev`. */
  iovecAddress(index: number): number {
    return this.address + this.#iovecs + index * this.#pieces * IOVEC_BYTES;
  }

  /**
   * Lets a piece of header `index`, the first unless said otherwise, be the `bytes` bytes at an address that is split
   * into 32-bit halves, as {@link addressLow} does.
   */
  setBuffer(index: number, low: number, high: number, bytes: number, piece = 0): void {
    const iovec = this.#iovecs + (index * this.#pieces + piece) * IOVEC_BYTES;
    this.#view.setInt32(iovec, low, true);
    this.#view.setInt32(iovec + 4, high, true);
    this.#view.setInt32(iovec + IOVEC_LENGTH, bytes, true);
  }

  /** Makes the control areas of the first `count` headers ready to receive; the kernel shortens them at each use. */
  resetControl(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#view.setUint32(i * MMSGHDR_BYTES + CONTROL_LENGTH, this.#controlBytes, true);
    }
  }

  /** Bytes received into header `index`. */
  receivedBytes(index: number): number {
    return this.#view.getInt32(index * MMSGHDR_BYTES + RESULT_LENGTH, true);
  }

  /** `msg_flags` of header `index`. */
  flags(index: number): number {
    return this.#view.getInt32(index * MMSGHDR_BYTES + FLAGS, true);
  }

  /** 32 bits of header `index`'s control area, 0 when the kernel wrote none. */
  controlWord(index: number, offset: number): number {
    if (this.#view.getInt32(index * MMSGHDR_BYTES + CONTROL_LENGTH, true) === 0) return 0;
    return this.#view.getInt32(this.#controls + index * this.#controlBytes + offset, true);
  }

  release(): void {
    unmapMemory(this.#memory);
  }
}
