/**
 * A port on the interface end of a TAP or veth, through an AF_PACKET socket.
 *
 * A VMM holds a TAP's descriptor end exclusively, so the switch reads the other end. Frames come and go in batches,
 * by one `recvmmsg` and one `sendmmsg`; GSO frames stay whole.
 */
import { lacksSegmentation } from '../sys/device-features.ts';
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
import { type Port, sendFailure } from './port.ts';

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
    // Nothing waiting, or the interface went down or away: link events tell the control thread which.
    if (count <= 0) return 0;
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
      const result = sendmmsg(this.fd, vector.headerAddress(at), count - at, MSG_DONTWAIT);
      if (result > 0) {
        sent += result;
        continue;
      }
      const reason = sendFailure(errno());
      if (reason === DROP['queue-full'] && this.#sendSegmented(batch, slots[first + at] as number, at)) {
        sent++;
        continue;
      }
      // It stops at the first frame that fails: that one is lost, those behind it have their own chance.
      this.#counters.dropped(this.#number, reason, 1);
      bytes -= (batch.length[slots[first + at] as number] as number) - VNET_HEADER_BYTES;
      refused++;
    }
    this.#counters.sent(this.#number, sent, bytes);
  }

  /**
   * Has the kernel segment a frame for a device that cannot: only what goes through the device's queue is. Returns
   * whether that was what it lacked.
   */
  #sendSegmented(batch: FrameBatch, slot: number, header: number): boolean {
    const type = vnet.gsoType(batch.view, batch.start[slot] as number) & ~vnet.GSO_ECN;
    if (type === vnet.GSO_NONE || !lacksSegmentation(this.fd, type)) return false;
    bypassQueue(this.fd, false);
    const sent = sendmmsg(this.fd, this.#vectors.send.headerAddress(header), 1, MSG_DONTWAIT) > 0;
    bypassQueue(this.fd, true);
    return sent;
  }
}
