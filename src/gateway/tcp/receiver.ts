/**
 * Data on its way to the host: from the guest's frame straight into the host's socket.
 *
 * Theory of operation. What comes in order while the socket takes it is handed over from the slot it was received in.
 * Everything else is copied into a ring that the flow has for as long as it needs one: what came in order and the
 * socket would not take (`waiting` bytes), and behind it, each at its place, what came out of order. The window
 * advertised is what the ring could still hold, so that nothing acknowledged or promised is ever thrown away.
 *
 *     receiveHead ........... rcvNxt ....... [range] .... [range] ......... rcvEdge
 *     waiting for the host    next expected  came out of order              promised
 */
import type { Clock } from '../../sys/clock.ts';
import { EAGAIN, ENOBUFS } from '../../sys/errno.ts';
import { endWriting } from '../../sys/inet-socket.ts';
import { errno, memmove, sendAt } from '../../sys/libc.ts';
import { MSG_DONTWAIT, MSG_NOSIGNAL } from '../../sys/message-vector.ts';
import { before } from '../../wire/tcp.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { type BufferPool, type FlowBuffer, LARGE_BUFFER_BYTES } from './buffer-pool.ts';
import type { TcpFlow } from './flow.ts';
import type { TcpOutput } from './output.ts';

/** Bytes a flow takes in without its host's taking any */
export const RECEIVE_BYTES = LARGE_BUFFER_BYTES;
/** Bytes after which an acknowledgment waits for nothing (RFC 9293 section 3.8.6.3: two segments), in our MSS */
const ACK_SEGMENTS = 2;
/** Longest an acknowledgment waits for data to go with, `ms`; RFC 9293 allows 500 */
const ACK_DELAY_MS = 4;
const SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

export class TcpReceiver {
  readonly #clock: Clock;
  readonly #timers: TimerWheel;
  readonly #pool: BufferPool;
  readonly #output: TcpOutput;

  constructor(clock: Clock, timers: TimerWheel, pool: BufferPool, output: TcpOutput) {
    this.#clock = clock;
    this.#timers = timers;
    this.#pool = pool;
    this.#output = output;
  }

  /**
   * Takes `count` bytes at `address`, whose first has number `sequence`. False when the host's side failed.
   *
   * @param end whether a FIN follows them
   */
  take(flow: TcpFlow, sequence: number, address: number, count: number, end: boolean): boolean {
    if (end && !flow.hasFin) {
      flow.hasFin = true;
      flow.finSequence = (sequence + count) | 0;
    }
    const old = (flow.rcvNxt - sequence) | 0;
    const skipped = Math.max(0, old);
    const from = (sequence + skipped) | 0;
    const bytes = Math.min(count - skipped, (flow.rcvEdge - from) | 0);
    // Seen already, or not asked for: the guest has to hear where we are.
    if (count > 0 && bytes < count) flow.owesAck = true;
    if (bytes > 0) {
      if (from !== flow.rcvNxt) this.#keepOutOfOrder(flow, from, address + skipped, bytes);
      else if (!this.#takeInOrder(flow, address + skipped, bytes)) return false;
    }
    if (flow.hasFin && !flow.guestEnded && flow.rcvNxt === flow.finSequence) {
      flow.rcvNxt = (flow.rcvNxt + 1) | 0;
      flow.guestEnded = true;
      flow.owesAck = true;
    }
    this.#tellEnd(flow);
    return true;
  }

  #takeInOrder(flow: TcpFlow, address: number, bytes: number): boolean {
    let taken = 0;
    if (flow.waiting === 0 && flow.hostWritable) {
      taken = this.#hand(flow, address, bytes);
      if (taken < 0) return false;
      if (flow.receiveBuffer !== undefined) flow.receiveHead = (flow.receiveHead + taken) % RECEIVE_BYTES;
      flow.rcvNxt = (flow.rcvNxt + taken) | 0;
    }
    if (taken < bytes) {
      if (!this.#store(flow, flow.rcvNxt, address + taken, bytes - taken)) return true;
      flow.waiting += bytes - taken;
      flow.rcvNxt = (flow.rcvNxt + bytes - taken) | 0;
    }
    const buffer = flow.receiveBuffer;
    if (buffer !== undefined) {
      const { ranges } = buffer;
      ranges.dropBefore(flow.rcvNxt);
      if (ranges.count > 0 && ranges.start(0) === flow.rcvNxt) {
        // The hole is filled: what lies behind it came in order now.
        flow.waiting += (ranges.end(0) - flow.rcvNxt) | 0;
        flow.rcvNxt = ranges.end(0);
        ranges.dropBefore(flow.rcvNxt);
        flow.owesAck = true;
      }
      return this.drain(flow);
    }
    this.#acknowledgeSoon(flow);
    return true;
  }

  #acknowledgeSoon(flow: TcpFlow): void {
    if (((flow.rcvNxt - flow.acked) | 0) >= ACK_SEGMENTS * flow.mss) flow.owesAck = true;
    else if (!flow.ackTimer.isSet) this.#timers.set(flow.ackTimer, this.#clock.ms, ACK_DELAY_MS);
  }

  /** Gives bytes to the host's socket: how many it took, -1 when it failed. */
  #hand(flow: TcpFlow, address: number, bytes: number): number {
    const sent = sendAt(flow.fd, address, bytes, SEND_FLAGS);
    if (sent === bytes) return sent;
    flow.hostWritable = false;
    if (sent >= 0) return sent;
    const error = errno();
    return error === EAGAIN || error === ENOBUFS ? 0 : -1;
  }

  #keepOutOfOrder(flow: TcpFlow, sequence: number, address: number, bytes: number): void {
    flow.owesAck = true;
    if (!this.#store(flow, sequence, address, bytes)) return;
    const { ranges } = flow.receiveBuffer as FlowBuffer;
    if (ranges.add(sequence, (sequence + bytes) | 0)) flow.lastRangeStart = sequence;
  }

  /** Copies bytes to their place in the ring; false when there is no memory for one. */
  #store(flow: TcpFlow, sequence: number, address: number, bytes: number): boolean {
    let buffer = flow.receiveBuffer;
    if (buffer === undefined) {
      buffer = this.#pool.take(flow.port, RECEIVE_BYTES);
      if (buffer === undefined) return false;
      flow.receiveBuffer = buffer;
      flow.receiveHead = 0;
    }
    const offset = flow.waiting + ((sequence - flow.rcvNxt) | 0);
    if (offset + bytes > RECEIVE_BYTES) return false;
    const at = (flow.receiveHead + offset) % RECEIVE_BYTES;
    const first = Math.min(bytes, RECEIVE_BYTES - at);
    memmove(buffer.address + at, address, first);
    if (first < bytes) memmove(buffer.address, address + first, bytes - first);
    return true;
  }

  /** Hands on what waits, as far as the host takes it. False when the host's side failed. */
  drain(flow: TcpFlow): boolean {
    const buffer = flow.receiveBuffer;
    if (buffer === undefined) return true;
    while (flow.waiting > 0 && flow.hostWritable) {
      const bytes = Math.min(flow.waiting, RECEIVE_BYTES - flow.receiveHead);
      const taken = this.#hand(flow, buffer.address + flow.receiveHead, bytes);
      if (taken < 0) return false;
      flow.receiveHead = (flow.receiveHead + taken) % RECEIVE_BYTES;
      flow.waiting -= taken;
    }
    if (flow.waiting === 0 && buffer.ranges.count === 0) this.release(flow);
    if (this.#output.owesWindow(flow)) flow.owesAck = true;
    else if (flow.rcvNxt !== flow.acked) this.#acknowledgeSoon(flow);
    this.#tellEnd(flow);
    return true;
  }

  /** Tells the host that nothing more comes, once it has everything. */
  #tellEnd(flow: TcpFlow): void {
    if (!flow.guestEnded || flow.hostToldEnd || flow.waiting > 0 || !flow.hasHost) return;
    flow.hostToldEnd = true;
    // Where both have ended the socket is closed in a moment, which says the same.
    if (!flow.finSent || flow.inFlight > 0) endWriting(flow.fd);
  }

  /** True when a segment with these numbers has something in the window (RFC 9293 section 3.10.7.4). */
  isAcceptable(flow: TcpFlow, sequence: number, length: number): boolean {
    const { rcvNxt, rcvEdge } = flow;
    if (length === 0) return sequence === rcvNxt || (!before(sequence, rcvNxt) && before(sequence, rcvEdge));
    const end = (sequence + length) | 0;
    return before(rcvNxt, end) && (before(sequence, rcvEdge) || sequence === rcvNxt);
  }

  /** Gives the flow's buffer back. */
  release(flow: TcpFlow): void {
    if (flow.receiveBuffer === undefined) return;
    this.#pool.give(flow.port, flow.receiveBuffer);
    flow.receiveBuffer = undefined;
  }
}
