/**
 * Connections of forwards that one worker has accepted and another is to serve.
 *
 * Theory of operation. Only a VM's home worker looks at its listening sockets. Where it has more flows of that VM than
 * another worker, it puts the connection into that worker's ring, one ring in shared memory for each pair of workers
 * and direction, and wakes it. A full ring is no failure: the connection stays where it is. What is in a ring survives
 * its worker, and is taken by its replacement.
 */

import type { FlowShare } from '../flow-share.ts';
import { USE_FLOWS, type VmUse } from '../vm-use.ts';
import type { TcpForward } from './opening.ts';

/** Connections a ring holds */
const RING_ENTRIES = 256;
const ENTRY_WORDS = 5;
const HEAD = 0;
const TAIL = 1;
const FIRST_ENTRY = 2;
const RING_WORDS = FIRST_ENTRY + RING_ENTRIES * ENTRY_WORDS;
/** How many flows more than another a worker has before it hands one over: one at a time is never worth a wake-up */
const LEAD = 2;

export function allocateHandover(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * workers * RING_WORDS * Int32Array.BYTES_PER_ELEMENT);
}

export class Handover {
  readonly #words: Int32Array;
  readonly #share: FlowShare;
  readonly #use: VmUse;
  readonly #wake: (worker: number) => void;

  /** @param wake lets a worker call {@link take} soon */
  constructor(memory: SharedArrayBuffer, share: FlowShare, use: VmUse, wake: (worker: number) => void) {
    this.#words = new Int32Array(memory);
    this.#share = share;
    this.#use = use;
    this.#wake = wake;
  }

  #ring(from: number, to: number): number {
    return (from * this.#share.workers + to) * RING_WORDS;
  }

  /** Gives the connection to a worker with fewer flows of the VM. False where this one keeps it. */
  pass(forward: TcpForward, fd: number): boolean {
    const { port } = forward;
    if (!this.#share.isSpread(port)) return false;
    const { worker, workers } = this.#share;
    let least = worker;
    for (let other = 0; other < workers; other++) {
      if (this.#use.of(other, USE_FLOWS, port) < this.#use.of(least, USE_FLOWS, port)) least = other;
    }
    const lead = this.#use.of(worker, USE_FLOWS, port) - this.#use.of(least, USE_FLOWS, port);
    if (lead < LEAD || !this.#put(this.#ring(worker, least), forward, fd)) return false;
    this.#wake(least);
    return true;
  }

  #put(ring: number, { number, port, guestPort, waitMs }: TcpForward, fd: number): boolean {
    const words = this.#words;
    const tail = Atomics.load(words, ring + TAIL);
    if (((tail - Atomics.load(words, ring + HEAD)) | 0) >= RING_ENTRIES) return false;
    const entry = ring + FIRST_ENTRY + (tail & (RING_ENTRIES - 1)) * ENTRY_WORDS;
    words[entry] = fd;
    words[entry + 1] = number;
    words[entry + 2] = port;
    words[entry + 3] = guestPort;
    words[entry + 4] = waitMs;
    Atomics.store(words, ring + TAIL, (tail + 1) | 0);
    return true;
  }

  /** Calls `accept` with each connection given to this worker. */
  take(accept: (forward: TcpForward, fd: number) => void): void {
    for (let from = 0; from < this.#share.workers; from++)
      this.#drain(this.#ring(from, this.#share.worker), accept);
  }

  #drain(ring: number, accept: (forward: TcpForward, fd: number) => void): void {
    const words = this.#words;
    for (let head = Atomics.load(words, ring + HEAD); head !== Atomics.load(words, ring + TAIL); ) {
      const entry = ring + FIRST_ENTRY + (head & (RING_ENTRIES - 1)) * ENTRY_WORDS;
      const [fd, number, port, guestPort, waitMs] = words.subarray(
        entry,
        entry + ENTRY_WORDS,
      ) as unknown as number[];
      head = (head + 1) | 0;
      Atomics.store(words, ring + HEAD, head);
      accept({ number, port, guestPort, waitMs } as TcpForward, fd as number);
    }
  }
}
