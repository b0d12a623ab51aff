/**
 * A port on the interface end of a TAP or veth, through an AF_PACKET socket.
 *
 * A VMM holds a TAP's descriptor end exclusively, so the switch reads the other end. Frames come and go in batches,
 * by one `recvmmsg` and one `sendmmsg`; GSO frames stay whole.
 */
import { nowSeconds } from '../sys/clock.ts';
import { lacksSegmentation } from '../sys/device-features.ts';
import { EINVAL, ENOBUFS } from '../sys/errno.ts';
import { errno, recvmmsg, sendmmsg } from '../sys/libc.ts';
import { MessageVector, MSG_DONTWAIT, MSG_TRUNC } from '../sys/message-vector.ts';
import {
  AUXDATA_CONTROL_BYTES,
  AUXDATA_STATUS_OFFSET,
  bypassQueue,
  STATUS_VLAN_VALID,
} from '../sys/packet-socket.ts';
import type { CounterBlock } from '../telemetry/counters.ts';
import { DROP } from '../telemetry/drops.ts';
import * as vnet from '../wire/vnet.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import { type FrameBatch, MAX_FRAME_BYTES, RECEIVED_CUT, RECEIVED_TAGGED, RECEIVED_WHOLE } from './batch.ts';
import type { PieceQueue } from './piece-queue.ts';
import { type Port, sendFailure } from './port.ts';

/** How long a device's answer about the segmentation it does is taken to hold, s: asking takes the kernel's RTNL lock. */
const FEATURE_HOLD_SECONDS = 1;

/** Message headers of one worker: one table to receive into its batch, one to send from it. Shared by its packet ports. */
export class PacketVectors {
  readonly receive: MessageVector;
  readonly send: MessageVector;

  constructor(batch: FrameBatch) {
    this.receive = new MessageVector(batch.capacity, AUXDATA_CONTROL_BYTES);
    this.send = new MessageVector(batch.capacity, 0);
    for (let i = 0; i < batch.capacity; i++) {
      this.receive.setBuffer(
        i,
        batch.addressLow[i] as number,
        batch.addressHigh[i] as number,
        MAX_FRAME_BYTES,
      );
    }
  }

  release(): void {
    this.receive.release();
    this.send.release();
  }
}

export class PacketPort implements Port {
  readonly fd: number;
  readonly #number: number;
  readonly #vectors: PacketVectors;
  readonly #counters: CounterBlock;
  /** When the device was asked for what follows, a bit for each virtio-net GSO type: asked about, and found lacking */
  #askedAtSeconds = 0;
  #asked = 0;
  #lacking = 0;
  /** Whether the last call ended at a frame without a word why (sendmmsg(2)): the device may have counted that refusal */
  #stopped = false;

  /**
   * @param fd an AF_PACKET socket, see sys/packet-socket
   * @param number the port's number, under which it counts
   * @param vectors of the batch that is handed to {@link receive}
   */
  constructor(fd: number, number: number, vectors: PacketVectors, counters: CounterBlock) {
    this.fd = fd;
    this.#number = number;
    this.#vectors = vectors;
    this.#counters = counters;
  }

  receive(batch: FrameBatch): number {
    const vector = this.#vectors.receive;
    vector.resetControl(batch.capacity);
    const count = recvmmsg(this.fd, vector.address, batch.capacity, MSG_DONTWAIT, 0);
    if (count <= 0) {
      // The kernel has taken a frame off the queue that no virtio-net header describes (virtio_net_hdr_from_skb: UFO).
      if (count < 0 && errno() === EINVAL) this.#counters.dropped(this.#number, DROP['bad-offload'], 1);
      // Else nothing waits, or the interface went down or away: link events tell the control thread which.
      return 0;
    }
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const length = vector.receivedBytes(i);
      batch.length[i] = length;
      bytes += length;
      const tagged = (vector.controlWord(i, AUXDATA_STATUS_OFFSET) & STATUS_VLAN_VALID) !== 0;
      const cut = (vector.flags(i) & MSG_TRUNC) !== 0;
      batch.condition[i] = cut ? RECEIVED_CUT : tagged ? RECEIVED_TAGGED : RECEIVED_WHOLE;
    }
    this.#counters.received(this.#number, count, bytes - count * VNET_HEADER_BYTES);
    return count;
  }

  transmit(batch: FrameBatch, slots: Int32Array, first: number, count: number): void {
    const vector = this.#vectors.send;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[first + i] as number;
      const length = batch.length[slot] as number;
      vector.setBuffer(i, batch.addressLow[slot] as number, batch.addressHigh[slot] as number, length);
      bytes += length - VNET_HEADER_BYTES;
    }
    let sent = 0;
    let refused = 0;
    while (sent + refused < count) {
      const at = sent + refused;
      const result = this.#send(vector.headerAddress(at), count - at);
      if (result > 0) {
        sent += result;
        continue;
      }
      const reason = this.#failure();
      const slot = slots[first + at] as number;
      const type = vnet.gsoType(batch.view, batch.start[slot] as number);
      if (reason === DROP['queue-full'] && this.#sendSegmented(type, vector.headerAddress(at))) {
        sent++;
        continue;
      }
      // It stops at the first frame that fails: that one is lost, those behind it have their own chance.
      this.#counters.dropped(this.#number, reason, 1);
      batch.refused[slot] = reason + 1;
      bytes -= (batch.length[slot] as number) - VNET_HEADER_BYTES;
      refused++;
    }
    this.#counters.sent(this.#number, sent, bytes);
  }

  transmitPieces(queue: PieceQueue, first: number, count: number): void {
    const { vector } = queue;
    const end = first + count;
    let refused = 0;
    let at = first;
    while (at < end) {
      const result = this.#send(vector.headerAddress(at), end - at);
      if (result > 0) {
        at += result;
        continue;
      }
      const reason = this.#failure();
      const type = vnet.gsoType(queue.view, queue.headers(at));
      if (reason !== DROP['queue-full'] || !this.#sendSegmented(type, vector.headerAddress(at))) {
        this.#counters.dropped(this.#number, reason, 1);
        queue.refused[at] = reason + 1;
        refused++;
      }
      at++;
    }
    this.#counters.sent(this.#number, count - refused, queue.sentBytes(first, count));
  }

  /** Drop reason for the send that has just failed. */
  #failure(): number {
    const error = errno();
    if (error === ENOBUFS) this.#counters.refused(this.#number, this.#stopped ? 2 : 1);
    this.#stopped = false;
    return sendFailure(error);
  }

  /**
   * `sendmmsg` of `count` headers. A frame that {@link receive} counts bad-offload, met behind others in the same call, leaves
   * its EINVAL for whichever call on the socket comes next (recvmmsg(2), BUGS): what is refused twice is refused for its
   * own sake.
   */
  #send(headers: number, count: number): number {
    const sent = this.#sendOnce(headers, count);
    if (sent > 0 || errno() !== EINVAL) return sent;
    const again = this.#sendOnce(headers, count);
    if (again > 0 || errno() !== EINVAL) this.#counters.dropped(this.#number, DROP['bad-offload'], 1);
    return again;
  }

  #sendOnce(headers: number, count: number): number {
    const sent = sendmmsg(this.fd, headers, count, MSG_DONTWAIT);
    if (sent > 0) {
      // Taken at the second attempt: it was for want of room that the first was refused.
      if (this.#stopped) this.#counters.refused(this.#number, 1);
      this.#stopped = sent < count;
    }
    return sent;
  }

  /**
   * Has the kernel segment a frame for a device that cannot: only what goes through the device's queue is. Returns
   * whether that was what it lacked.
   */
  #sendSegmented(gsoType: number, header: number): boolean {
    const type = gsoType & ~vnet.GSO_ECN;
    if (type === vnet.GSO_NONE || !this.#lacks(type)) return false;
    bypassQueue(this.fd, false);
    const sent = this.#send(header, 1) > 0;
    bypassQueue(this.fd, true);
    return sent;
  }

  /** {@link lacksSegmentation}, remembered for a while: a full TAP asks about each GSO frame. */
  #lacks(type: number): boolean {
    const now = nowSeconds();
    if (now - this.#askedAtSeconds >= FEATURE_HOLD_SECONDS) {
      this.#askedAtSeconds = now;
      this.#asked = 0;
      this.#lacking = 0;
    }
    const bit = 1 << type;
    if ((this.#asked & bit) === 0) {
      this.#asked |= bit;
      if (lacksSegmentation(this.fd, type)) this.#lacking |= bit;
    }
    return (this.#lacking & bit) !== 0;
  }
}
