/**
 * The descriptors a thread has opened itself, or was given for good, in shared memory: when the thread dies they stay
 * open, and whoever started it closes them. Giver and thread may note at the same time.
 */
import { close } from './libc.ts';

/** Descriptors above are refused: far above the limit of any process that was not given more on purpose. */
export const MAX_DESCRIPTOR = 1 << 20;

export function allocateDescriptorSet(): SharedArrayBuffer {
  return new SharedArrayBuffer(MAX_DESCRIPTOR / 8);
}

export class DescriptorSet {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** Notes an open descriptor. False, and nothing is noted, when it is too high a number. */
  add(fd: number): boolean {
    if (fd >= MAX_DESCRIPTOR) return false;
    Atomics.or(this.#words, fd >>> 5, 1 << (fd & 31));
    return true;
  }

  delete(fd: number): void {
    Atomics.and(this.#words, fd >>> 5, ~(1 << (fd & 31)));
  }

  /** Closes all that are noted; the thread that noted them must be gone. */
  closeAll(): void {
    for (const [index, word] of this.#words.entries()) {
      if (word === 0) continue;
      for (let bit = 0; bit < 32; bit++) if (((word >>> bit) & 1) === 1) close(index * 32 + bit);
      this.#words[index] = 0;
    }
  }
}
