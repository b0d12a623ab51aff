/**
 * The memory that datagrams of the host's side are received into, and sent to guests from, one for all sockets.
 *
 * A frame that the outbox holds points into it, so the slots are used one after the other, and only when too few are
 * left does the outbox have to be flushed before the first is used again.
 */

import { DatagramVector } from '../../sys/datagram-vector.ts';
import { errno, recvmmsg } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import type { Outbox } from '../outbox.ts';

/** Datagrams taken at once */
export const BATCH_DATAGRAMS = 32;
/** The longest there is, UDP header and all, and to spare */
const SLOT_BYTES = 65_536;
/** Fewer are not worth a call */
const FEWEST = 8;

export class DatagramReceiver {
  readonly vector = new DatagramVector(BATCH_DATAGRAMS, SLOT_BYTES, 0);
  /** Index in {@link vector} of the first datagram received last */
  first = 0;
  /** Datagrams that were asked for last */
  asked = 0;
  readonly #outbox: Outbox;
  #next = 0;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** Takes what waits at a socket; how many, or the error's number negated. */
  receive(fd: number): number {
    if (BATCH_DATAGRAMS - this.#next < FEWEST) {
      this.#outbox.flush();
      this.#next = 0;
    }
    const first = this.#next;
    const asked = BATCH_DATAGRAMS - first;
    this.first = first;
    this.asked = asked;
    this.vector.prepare(first, asked);
    const count = recvmmsg(fd, this.vector.headerAddress(first), asked, MSG_DONTWAIT, 0);
    if (count < 0) return -errno();
    this.#next += count;
    return count;
  }

  release(): void {
    this.vector.release();
  }
}
