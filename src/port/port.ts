/** What the switch needs of a port: batches of frames in and out. Everything that can carry frames implements it. */
import { EAGAIN, EMSGSIZE, ENETDOWN, ENOBUFS } from '../sys/errno.ts';
import { DROP } from '../telemetry/drops.ts';
import type { FrameBatch } from './batch.ts';
import type { PieceQueue } from './piece-queue.ts';

export interface Port {
  /** Descriptor that is readable while frames wait, -1 when there is none */
  readonly fd: number;
  /** Takes waiting frames into the batch's slots from 0 on; returns how many. Never blocks. */
  receive(batch: FrameBatch): number;
  /**
   * Sends the frames in the slots `slots[first]` to `slots[first + count - 1]`, in that order. Never blocks: a frame that cannot
   * leave is counted and skipped, the rest go on. The slots' bytes are the caller's again on return.
   */
  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void;
  /**
   * {@link transmit} for frames in two pieces, `count` of the queue from its frame `first` on. What cannot leave is
   * counted, and marked in the queue.
   */
  transmitPieces(queue: PieceQueue, first: number, count: number): void;
  /** Milliseconds until {@link receive} has something although `fd` is not readable; negative for never. */
  dueInMs?(): number;
}

/** Drop reason for a send that failed with `errno`. */
export function sendFailure(errno: number): number {
  switch (errno) {
    case ENOBUFS:
    case EAGAIN:
      return DROP['queue-full'];
    case EMSGSIZE:
      return DROP['too-big'];
    case ENETDOWN:
      return DROP['port-down'];
    default:
      return DROP['send-refused'];
  }
}
