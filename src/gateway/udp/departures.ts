/**
 * Datagrams of guests that are about to leave by a flow's own socket.
 *
 * Theory of operation. A batch of frames holds many datagrams of one flow in a row where a guest sends fast. They are
 * gathered, and leave by one `sendmmsg` from the slots they came in: when another flow's turn comes, before anything
 * else is done with the socket, and at the latest when the batch is over. What cannot be sent is settled then, late: the
 * frame is still in its slot.
 */
import { BATCH_FRAMES, type FrameBatch } from '../../port/batch.ts';
import { drop } from '../../switch/verdict.ts';
import { DatagramVector } from '../../sys/datagram-vector.ts';
import { EAGAIN, ENOBUFS } from '../../sys/errno.ts';
import { errno, sendmmsg } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import { DROP } from '../../telemetry/drops.ts';
import type { HostErrors } from './errors.ts';
import type { DatagramFlow } from './flow.ts';
import type { Refusals } from './refusals.ts';

/** Carries out the verdict about a frame that was kept at first. */
export type Settle = (slot: number, ingress: number, verdict: number) => void;

export class Departures {
  readonly #errors: HostErrors;
  readonly #refusals: Refusals;
  readonly #settle: Settle;
  readonly #vector = new DatagramVector(BATCH_FRAMES, 0, 0);
  readonly #slots = new Int32Array(BATCH_FRAMES);
  readonly #packets = new Int32Array(BATCH_FRAMES);
  #batch: FrameBatch | undefined;
  #flow: DatagramFlow | undefined;
  #count = 0;

  constructor(errors: HostErrors, refusals: Refusals, settle: Settle) {
    this.#errors = errors;
    this.#refusals = refusals;
    this.#settle = settle;
  }

  /** Takes the `bytes` bytes at the address `payload`, which are in the packet at `packet` of the slot. */
  add(
    flow: DatagramFlow,
    batch: FrameBatch,
    slot: number,
    packet: number,
    payload: number,
    bytes: number,
  ): void {
    if (flow !== this.#flow || this.#count === BATCH_FRAMES) this.flush();
    this.#batch = batch;
    this.#flow = flow;
    this.#slots[this.#count] = slot;
    this.#packets[this.#count] = packet;
    this.#vector.aim(this.#count, payload, bytes);
    this.#count++;
  }

  /** Sends what was gathered. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    const flow = this.#flow as DatagramFlow;
    const { fd } = flow;
    let isRepeated = false;
    for (let at = 0; at < count; ) {
      const sent = sendmmsg(fd, this.#vector.headerAddress(at), count - at, MSG_DONTWAIT);
      if (sent > 0) {
        at += sent;
        isRepeated = false;
        continue;
      }
      const error = errno();
      const isFull = error === EAGAIN || error === ENOBUFS;
      if (!isFull && !isRepeated) {
        // It may be about an earlier datagram, and is told once.
        this.#errors.drain(flow, fd);
        isRepeated = true;
        continue;
      }
      this.#failed(at++, isFull ? 0 : error);
      isRepeated = false;
    }
    this.#count = 0;
    this.#flow = undefined;
  }

  /** @param error 0 where the socket has no room */
  #failed(index: number, error: number): void {
    const { port, isIpv4 } = this.#flow as DatagramFlow;
    const slot = this.#slots[index] as number;
    const packet = this.#packets[index] as number;
    const verdict =
      error === 0
        ? drop(DROP['queue-full'])
        : this.#refusals.failed(this.#batch as FrameBatch, slot, packet, port, isIpv4, error);
    this.#settle(slot, port, verdict);
  }

  release(): void {
    this.#vector.release();
  }
}
