/**
 * Memory for flows that have data in flight, and for no others.
 *
 * Theory of operation. A buffer is a ring of bytes with a set of ranges beside it: as a send buffer it holds what the
 * guest has not acknowledged yet (the ranges are what it has, selectively), as a receive buffer what has arrived but
 * cannot go on to the host's socket yet (the ranges are what came out of order). Buffers come in two sizes, cut from
 * mappings that are made when needed and kept; the most recently returned is given out first, since the processor's
 * caches still know it. A VM may have so much and no more: see {@link VM_BUFFER_BYTES}.
 */

import { VM_BUFFER_BYTES } from '../../config/limits.ts';
import { memmove } from '../../sys/libc.ts';
import { mapAddressSpace } from '../../sys/memory.ts';
import { LIMIT_BUFFER_BYTES, USE_BUFFER_BYTES, VmUse } from '../vm-use.ts';
import { RangeSet } from './range-set.ts';

export const SMALL_BUFFER_BYTES = 64 * 1024;
export const LARGE_BUFFER_BYTES = 512 * 1024;
/** Share that they may hold and still get large ones for sending: the rest is for flows that have nothing yet */
const GENEROUS_SHARE = 1 / 2;
const MAPPING_BYTES = 4 * 1024 * 1024;

export class FlowBuffer {
  /** Address of the first byte */
  readonly address: number;
  readonly bytes: number;
  readonly ranges = new RangeSet();

  constructor(address: number, bytes: number) {
    this.address = address;
    this.bytes = bytes;
  }
}

export class BufferPool {
  readonly #small: FlowBuffer[] = [];
  readonly #large: FlowBuffer[] = [];
  readonly #use: VmUse;

  /** @param use where it is counted what the flows of a VM hold, over all workers */
  constructor(use = new VmUse()) {
    this.#use = use;
  }

  /** A buffer of one of the two sizes for a flow of `port`; undefined when the VM has its share already. */
  take(port: number, bytes: number): FlowBuffer | undefined {
    if (this.held(port) + bytes > this.#limit(port)) return undefined;
    const free = bytes === SMALL_BUFFER_BYTES ? this.#small : this.#large;
    if (free.length === 0) this.#map(bytes, free);
    this.#use.add(USE_BUFFER_BYTES, port, bytes);
    const buffer = free.pop() as FlowBuffer;
    buffer.ranges.clear();
    return buffer;
  }

  /** A large buffer to send from; undefined when small ones have to do, since the VM's flows hold much already. */
  takeLarge(port: number): FlowBuffer | undefined {
    return this.held(port) < this.#limit(port) * GENEROUS_SHARE
      ? this.take(port, LARGE_BUFFER_BYTES)
      : undefined;
  }

  give(port: number, buffer: FlowBuffer): void {
    this.#use.add(USE_BUFFER_BYTES, port, -buffer.bytes);
    (buffer.bytes === SMALL_BUFFER_BYTES ? this.#small : this.#large).push(buffer);
  }

  #limit(port: number): number {
    return this.#use.limit(LIMIT_BUFFER_BYTES, port, VM_BUFFER_BYTES);
  }

  /** Bytes of buffers the flows of `port` hold, at all workers. */
  held(port: number): number {
    return this.#use.total(USE_BUFFER_BYTES, port);
  }

  /** Small buffers the flows of `port` may still take. */
  room(port: number): number {
    return Math.floor((this.#limit(port) - this.held(port)) / SMALL_BUFFER_BYTES);
  }

  #map(bytes: number, free: FlowBuffer[]): void {
    const start = mapAddressSpace(MAPPING_BYTES);
    for (let at = MAPPING_BYTES - bytes; at >= 0; at -= bytes) free.push(new FlowBuffer(start + at, bytes));
  }
}

/** Copies `bytes` bytes at ring offset `from` of one buffer to the start of another. */
export function copyRing(
  from: FlowBuffer,
  ringBytes: number,
  at: number,
  to: FlowBuffer,
  bytes: number,
): void {
  const first = Math.min(bytes, ringBytes - at);
  memmove(to.address, from.address + at, first);
  if (bytes > first) memmove(to.address + first, from.address, bytes - first);
}
