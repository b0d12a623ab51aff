/**
 * Frames of the gateway's own making on their way to guests' ports.
 *
 * A service claims a slot, writes the headers there, and commits it with the payload's address; frames leave in that
 * order, consecutive ones for one port by one call, when the slots are used up or the datapath is done with what it
 * had to do. Until then the payload has to stay where it is.
 */
import { PieceQueue, QUEUE_FRAMES } from '../port/piece-queue.ts';
import type { Port } from '../port/port.ts';

/** Whoever wants to know that a frame could not leave. */
export interface Sender {
  /** @param mark what the frame was committed with */
  refused(mark: number): void;
}

export class Outbox {
  readonly view: DataView;
  readonly #queue = new PieceQueue();
  readonly #portOf: (port: number) => Port | undefined;
  readonly #ports = new Int32Array(QUEUE_FRAMES);
  readonly #senders: (Sender | undefined)[] = new Array(QUEUE_FRAMES).fill(undefined);
  readonly #marks = new Int32Array(QUEUE_FRAMES);
  #count = 0;

  constructor(portOf: (port: number) => Port | undefined) {
    this.#portOf = portOf;
    this.view = this.#queue.view;
  }

  /** Offset in {@link view} where the next frame's headers go, virtio-net header first; HEADER_BYTES of room. */
  claim(): number {
    if (this.#count === QUEUE_FRAMES) this.flush();
    return this.#queue.headers(this.#count);
  }

  /**
   * Sends the claimed frame: its first `headerBytes` bytes, then `payloadBytes` bytes at the address `payload`.
   *
   * @param sender told with `mark` should the port refuse the frame
   */
  commit(
    port: number,
    headerBytes: number,
    payload: number,
    payloadBytes: number,
    sender?: Sender,
    mark = 0,
  ): void {
    const index = this.#count++;
    this.#queue.set(index, headerBytes, payload, payloadBytes);
    this.#ports[index] = port;
    this.#senders[index] = sender;
    this.#marks[index] = mark;
  }

  /** Hands everything committed to the ports. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    let first = 0;
    while (first < count) {
      const number = this.#ports[first] as number;
      let end = first + 1;
      while (end < count && this.#ports[end] === number) end++;
      this.#portOf(number)?.transmitPieces(this.#queue, first, end - first);
      first = end;
    }
    // Only now may senders claim slots again, which they may do when they hear of a refusal.
    this.#count = 0;
    for (let i = 0; i < count; i++) {
      const sender = this.#senders[i];
      this.#senders[i] = undefined;
      if (this.#queue.refused[i] !== 0) sender?.refused(this.#marks[i] as number);
    }
  }

  release(): void {
    this.#queue.release();
  }
}
