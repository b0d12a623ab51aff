/**
 * UDP of the guests towards the host's side.
 *
 * Theory of operation. Every (VM, guest's end, remote end) is a flow with a connected socket of the host's, so that
 * the kernel matches answers and errors to it. A guest's datagrams go out straight from the slots they came in, those of
 * one flow in a row together (departures.ts); answers
 * are received into memory of our own and leave from there. Where a flow may go is decided when it begins.
 *
 *     guest -> slots -> sendmmsg(fd)            recvmmsg(fd) -> receiver -> outbox -> guest
 *                                               error queue  -> ICMP error         -> guest
 *
 * Failure. What cannot be sent is dropped and counted, and the guest told where a router would tell it.
 */

import { VM_UDP_FLOWS } from '../../config/limits.ts';
import type { FrameBatch } from '../../port/batch.ts';
import { drop, KEPT } from '../../switch/verdict.ts';
import { DatagramVector, SEGMENT_SPACE } from '../../sys/datagram-vector.ts';
import { EAGAIN, EINVAL, EIO, EMSGSIZE, ENOBUFS } from '../../sys/errno.ts';
import { LOOPBACK, MAPPED, SOCK_DGRAM } from '../../sys/inet-socket.ts';
import { errno, sendmmsg } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import { DROP } from '../../telemetry/drops.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import * as vnet from '../../wire/vnet.ts';
import type { GatewayContext } from '../context.ts';
import { destinationOf, isRefusal, refusalReason, TO_OUTSIDE } from '../destination.ts';
import { FlowKey } from '../flow-key.ts';
import { isUdpChecksumRight, packetEnd, transportOffset } from '../transport.ts';
import { LIMIT_DATAGRAM_FLOWS } from '../vm-use.ts';
import type { Departures } from './departures.ts';
import type { HostErrors } from './errors.ts';
import type { DatagramFlow, FlowEvents } from './flow.ts';
import { Flows } from './flows.ts';
import { differsInHops, giveSocket, limitHops, openConnected } from './host-socket.ts';
import type { DatagramOutput } from './output.ts';
import type { ReadyList } from './ready-list.ts';
import type { DatagramReceiver } from './receiver.ts';
import type { Refusals } from './refusals.ts';

/** Silence after which a flow ends that nobody answered; one that was answered (RFC 4787 section 4.3); one for a name */
export const UNANSWERED_SECONDS = 30;
export const ANSWERED_SECONDS = 180;
export const DNS_SECONDS = 15;

const DNS_PORT = 53;
const BATCHES_PER_TURN = 4;
/** Headers of {@link UdpGateway}'s vector: to a socket's own peer, and addressed */
const TO_PEER = 0;
const ADDRESSED = 1;

/** What UDP and echo share. */
export interface DatagramParts {
  readonly context: GatewayContext;
  readonly receiver: DatagramReceiver;
  readonly output: DatagramOutput;
  readonly errors: HostErrors;
  readonly readyList: ReadyList;
  readonly refusals: Refusals;
}

export class UdpGateway implements FlowEvents {
  readonly readyList: ReadyList;
  readonly flows: Flows;
  readonly #parts: DatagramParts;
  readonly #key = new FlowKey();
  readonly #vector = new DatagramVector(2, 0, SEGMENT_SPACE);
  /** The flow that {@link #open} made */
  #opened: DatagramFlow | undefined;

  readonly #departures: Departures;

  constructor(parts: DatagramParts, departures: Departures) {
    this.#parts = parts;
    this.#departures = departures;
    this.readyList = parts.readyList;
    const { use } = parts.context;
    const limit = (port: number) => use.limit(LIMIT_DATAGRAM_FLOWS, port, VM_UDP_FLOWS);
    this.flows = new Flows(parts.context, this, limit, timeoutMs);
  }

  /**
   * Sends a guest's datagram on, whose IP header at `packet` and lengths were checked and which is no fragment.
   * Returns a verdict.
   */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { view } = batch;
    const datagram = transportOffset(view, packet, isIpv4);
    const end = packetEnd(view, packet, isIpv4);
    if (!udp.check(view, datagram, end - datagram)) return drop(DROP.malformed);
    if (udp.destinationPort(view, datagram) === 0) return drop(DROP.malformed);
    if (!isUdpChecksumRight(batch, slot, packet, datagram, isIpv4)) return drop(DROP.malformed);
    const key = this.#key;
    key.port = ingress;
    key.takeAddresses(view, packet, isIpv4);
    key.guestPort = udp.sourcePort(view, datagram);
    key.remotePort = udp.destinationPort(view, datagram);
    let flow = this.flows.find(key);
    if (flow === undefined) {
      // It may end the flow whose datagrams are waiting.
      this.#departures.flush();
      const verdict = this.#open(batch, slot, ingress, packet, isIpv4);
      if (verdict !== KEPT) return verdict;
      flow = this.#opened as DatagramFlow;
    }
    this.flows.touch(flow);
    if (flow.forward !== undefined) flow.isAnswered = true;
    else this.#limitHops(flow, isIpv4 ? ipv4.ttl(view, packet) : ipv6.hopLimit(view, packet));
    const error = this.#send(flow, batch, slot, packet, datagram);
    if (error === 0) return KEPT;
    if (error === EAGAIN || error === ENOBUFS) return drop(DROP['queue-full']);
    return this.#parts.refusals.failed(batch, slot, packet, ingress, isIpv4, error);
  }

  /** Begins the flow of the key. KEPT, or the verdict that refuses it. */
  #open(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { context, refusals } = this.#parts;
    const key = this.#key;
    const { remote0, remote1, remote2, remote3, remotePort } = key;
    const destination = destinationOf(context, ipv4.PROTOCOL_UDP, key);
    if (isRefusal(destination)) {
      return refusals.refuse(batch, slot, packet, ingress, isIpv4, refusalReason(destination));
    }
    const isService = destination !== TO_OUTSIDE;
    if (!this.flows.makeRoom(ingress)) return this.#tooMany(batch, slot, ingress, packet, isIpv4);
    const fd = isService
      ? openConnected(SOCK_DGRAM, 0, 0, 0, MAPPED, LOOPBACK, destination)
      : openConnected(SOCK_DGRAM, 0, remote0, remote1, remote2, remote3, remotePort);
    if (fd < 0) {
      const verdict = refusals.failed(batch, slot, packet, ingress, isIpv4, -fd);
      return verdict === drop(DROP['send-refused']) ? drop(DROP['flow-limit']) : verdict;
    }
    const flow = this.flows.add(key);
    flow.isService = isService;
    this.#opened = flow;
    if (giveSocket(context.sockets, flow, fd) === 0) return KEPT;
    this.flows.end(flow);
    return this.#tooMany(batch, slot, ingress, packet, isIpv4);
  }

  #tooMany(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    return this.#parts.refusals.prohibited(batch, slot, packet, ingress, isIpv4, DROP['flow-limit']);
  }

  // --- to the host ----------------------------------------------------------------------------------------
  #limitHops(flow: DatagramFlow, guestHops: number): void {
    if (!differsInHops(flow, guestHops)) return;
    this.#departures.flush();
    limitHops(flow, guestHops);
  }

  /** Sends the datagram in the slot, or lets it depart with others. 0, or the error's number. */
  #send(flow: DatagramFlow, batch: FrameBatch, slot: number, packet: number, datagram: number): number {
    const { view } = batch;
    const start = batch.start[slot] as number;
    const payload = batch.address(slot) + (datagram + udp.UDP_HEADER_BYTES - start);
    const bytes = udp.length(view, datagram) - udp.UDP_HEADER_BYTES;
    const segment = vnet.gsoType(view, start) === vnet.GSO_UDP_L4 ? vnet.gsoSize(view, start) : 0;
    if (segment === 0 && flow.forward === undefined) {
      this.#departures.add(flow, batch, slot, packet, payload, bytes);
      return 0;
    }
    this.#departures.flush();
    const error = this.#sendOnce(flow, payload, bytes, segment);
    if (error === 0 || error === EAGAIN || error === ENOBUFS || flow.fd < 0) return error;
    // It may be about an earlier datagram, and is told once.
    this.#parts.errors.drain(flow, flow.fd);
    return this.#sendOnce(flow, payload, bytes, segment);
  }

  #sendOnce(flow: DatagramFlow, payload: number, bytes: number, segment: number): number {
    if (segment === 0 || segment >= bytes) return this.#sendPiece(flow, payload, bytes, 0);
    const error = this.#sendPiece(flow, payload, bytes, segment);
    if (error !== EINVAL && error !== EIO && error !== EMSGSIZE) return error;
    // The kernel does not segment it: too many segments, or a device that leaves checksums to the host (udp(7)).
    for (let at = 0; at < bytes; at += segment) {
      const one = this.#sendPiece(flow, payload + at, Math.min(segment, bytes - at), 0);
      if (one !== 0) return one;
    }
    return 0;
  }

  #sendPiece(flow: DatagramFlow, payload: number, bytes: number, segment: number): number {
    const { forward } = flow;
    const vector = this.#vector;
    const index = forward === undefined ? TO_PEER : ADDRESSED;
    if (forward !== undefined) {
      vector.address(index, flow.client0, flow.client1, flow.client2, flow.client3, flow.clientPort);
    }
    vector.aim(index, payload, bytes);
    vector.segment(index, segment);
    const fd = forward === undefined ? flow.fd : forward.fd;
    return sendmmsg(fd, vector.headerAddress(index), 1, MSG_DONTWAIT) < 0 ? errno() : 0;
  }

  // --- from the host --------------------------------------------------------------------------------------
  hostFailed(flow: DatagramFlow): void {
    this.#parts.errors.drain(flow, flow.fd);
  }

  receive(flow: DatagramFlow): boolean {
    const { receiver, output } = this.#parts;
    let count = 0;
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      count = receiver.receive(flow.fd);
      if (count === -EAGAIN) return false;
      if (count < 0) {
        this.hostFailed(flow);
        continue;
      }
      flow.isAnswered = true;
      this.flows.touch(flow);
      for (let i = 0; i < count; i++) output.datagram(flow, receiver.first + i);
      if (count < receiver.asked) return false;
    }
    // What fails time and again would have its turn for ever.
    return count > 0;
  }

  timerExpired(flow: DatagramFlow): void {
    this.flows.timerExpired(flow);
  }

  ended(flow: DatagramFlow): void {
    flow.forward?.remove(flow);
    flow.forward = undefined;
  }

  release(): void {
    this.#vector.release();
  }
}

function timeoutMs(flow: DatagramFlow): number {
  if (flow.remotePort === DNS_PORT) return DNS_SECONDS * 1000;
  return (flow.isAnswered ? ANSWERED_SECONDS : UNANSWERED_SECONDS) * 1000;
}
