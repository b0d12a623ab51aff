/**
 * UDP of the guests towards the host's side.
 *
 * Theory of operation. Every (VM, guest's end, remote end) is a flow with a connected socket of the host's, so that
 * the kernel matches answers and errors to it. A guest's datagram goes out straight from the slot it came in; answers
 * are received into memory of our own and leave from there. Where a flow may go is decided when it begins.
 *
 *     guest -> slot -> send(fd)                 recvmmsg(fd) -> receiver -> outbox -> guest
 *                                               error queue  -> ICMP error         -> guest
 *
 * Failure. What cannot be sent is dropped and counted, and the guest told where a router would tell it.
 */
import type { FrameBatch } from '../../port/batch.ts';
import { isGatewayLinkLocal } from '../../switch/gateway-mac.ts';
import { drop, KEPT } from '../../switch/verdict.ts';
import { DatagramVector, SEGMENT_SPACE } from '../../sys/datagram-vector.ts';
import { EAGAIN, EINVAL, EMSGSIZE, ENOBUFS } from '../../sys/errno.ts';
import { isMapped, MAPPED, SOCK_DGRAM } from '../../sys/inet-socket.ts';
import { errno, sendAt, sendmmsg } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import { DROP } from '../../telemetry/drops.ts';
import { pseudoHeader4 } from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import * as vnet from '../../wire/vnet.ts';
import type { GatewayContext } from '../context.ts';
import { EGRESS_ALLOW } from '../egress-policy.ts';
import type { HostErrors } from './errors.ts';
import type { DatagramFlow, FlowEvents } from './flow.ts';
import { FlowKey } from './flow-table.ts';
import { Flows } from './flows.ts';
import { giveSocket, limitHops, openConnected } from './host-socket.ts';
import type { DatagramOutput } from './output.ts';
import type { ReadyList } from './ready-list.ts';
import type { DatagramReceiver } from './receiver.ts';
import type { Refusals } from './refusals.ts';

/** Flows a VM may have, those of its forwards included */
export const VM_UDP_FLOWS = 1024;
/** Silence after which a flow ends that nobody answered; one that was answered (RFC 4787 section 4.3); one for a name */
export const UNANSWERED_SECONDS = 30;
export const ANSWERED_SECONDS = 180;
export const DNS_SECONDS = 15;

const DNS_PORT = 53;
const LOOPBACK = 0x7f000001;
const UDP_CHECKSUM = 6;
const BATCHES_PER_TURN = 4;
/** The device does not segment (udp(7)) */
const EIO = 5;
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

  constructor(parts: DatagramParts) {
    this.#parts = parts;
    this.readyList = parts.readyList;
    this.flows = new Flows(parts.context, this, VM_UDP_FLOWS, timeoutMs);
  }

  /**
   * Sends a guest's datagram on, whose IP header at `packet` and lengths were checked and which is no fragment.
   * Returns a verdict.
   */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { view } = batch;
    const datagram = isIpv4 ? packet + ipv4.headerLength(view, packet) : ipv6.transportOffset(view, packet);
    const end = isIpv4
      ? packet + ipv4.totalLength(view, packet)
      : packet + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet);
    if (!udp.check(view, datagram, end - datagram)) return drop(DROP.malformed);
    if (udp.destinationPort(view, datagram) === 0) return drop(DROP.malformed);
    if (!isChecksumRight(batch, slot, packet, datagram, isIpv4)) return drop(DROP.malformed);
    if (!this.#name(view, ingress, packet, datagram, isIpv4)) {
      return this.#parts.refusals.prohibited(batch, slot, packet, ingress, isIpv4, DROP.prohibited);
    }
    let flow = this.flows.find(this.#key);
    if (flow === undefined) {
      const verdict = this.#open(batch, slot, ingress, packet, isIpv4);
      if (verdict !== KEPT) return verdict;
      flow = this.#opened as DatagramFlow;
    }
    this.flows.touch(flow);
    if (flow.forward !== undefined) flow.isAnswered = true;
    else limitHops(flow, isIpv4 ? ipv4.ttl(view, packet) : ipv6.hopLimit(view, packet));
    const error = this.#send(flow, batch, slot, datagram);
    if (error === 0) return KEPT;
    if (error === EAGAIN || error === ENOBUFS) return drop(DROP['queue-full']);
    return this.#parts.refusals.failed(batch, slot, packet, ingress, isIpv4, error);
  }

  /** Fills the key with the datagram's ends; false where they are none. */
  #name(view: DataView, ingress: number, packet: number, datagram: number, isIpv4: boolean): boolean {
    const key = this.#key;
    key.port = ingress;
    key.guestPort = udp.sourcePort(view, datagram);
    key.remotePort = udp.destinationPort(view, datagram);
    return nameEnds(key, view, packet, isIpv4);
  }

  /** Begins the flow of the key. KEPT, or the verdict that refuses it. */
  #open(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { context, refusals } = this.#parts;
    const key = this.#key;
    const isGateway = this.#isGateway(ingress, isIpv4);
    let servicePort = 0;
    if (isGateway) {
      const network = context.tables.network(ingress);
      servicePort = context.services.find(network, ipv4.PROTOCOL_UDP, key.remotePort);
      if (servicePort === 0) return refusals.noService(batch, slot, packet, ingress, isIpv4);
    } else {
      const reason = decide(context, key);
      if (reason !== EGRESS_ALLOW) return refusals.prohibited(batch, slot, packet, ingress, isIpv4, reason);
    }
    if (!this.flows.makeRoom(ingress)) return this.#tooMany(batch, slot, ingress, packet, isIpv4);
    const fd = isGateway
      ? openConnected(SOCK_DGRAM, 0, 0, 0, MAPPED, LOOPBACK, servicePort)
      : openConnected(SOCK_DGRAM, 0, key.remote0, key.remote1, key.remote2, key.remote3, key.remotePort);
    if (fd < 0) {
      const verdict = refusals.failed(batch, slot, packet, ingress, isIpv4, -fd);
      return verdict === drop(DROP['send-refused']) ? drop(DROP['flow-limit']) : verdict;
    }
    const flow = this.flows.add(key);
    flow.isService = isGateway;
    this.#opened = flow;
    if (giveSocket(context.sockets, flow, fd) === 0) return KEPT;
    this.flows.end(flow);
    return this.#tooMany(batch, slot, ingress, packet, isIpv4);
  }

  #tooMany(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    return this.#parts.refusals.prohibited(batch, slot, packet, ingress, isIpv4, DROP['flow-limit']);
  }

  #isGateway(ingress: number, isIpv4: boolean): boolean {
    const { tables } = this.#parts.context;
    const { remote0, remote1, remote2, remote3 } = this.#key;
    const network = tables.network(ingress);
    if (isIpv4) return remote3 === tables.gatewayAddress(network);
    return (
      isGatewayLinkLocal(remote0, remote1, remote2, remote3) ||
      tables.isGateway6(network, remote0, remote1, remote2, remote3)
    );
  }

  // --- to the host ----------------------------------------------------------------------------------------
  /** Sends the datagram in the slot. 0, or the error's number. */
  #send(flow: DatagramFlow, batch: FrameBatch, slot: number, datagram: number): number {
    const { view } = batch;
    const start = batch.start[slot] as number;
    const payload = batch.address(slot) + (datagram + udp.UDP_HEADER_BYTES - start);
    const bytes = udp.length(view, datagram) - udp.UDP_HEADER_BYTES;
    const segment = vnet.gsoType(view, start) === vnet.GSO_UDP_L4 ? vnet.gsoSize(view, start) : 0;
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
    // The kernel does not segment it: too many segments, or a device that leaves checksums to the host.
    for (let at = 0; at < bytes; at += segment) {
      const one = this.#sendPiece(flow, payload + at, Math.min(segment, bytes - at), 0);
      if (one !== 0) return one;
    }
    return 0;
  }

  #sendPiece(flow: DatagramFlow, payload: number, bytes: number, segment: number): number {
    const { forward } = flow;
    if (forward === undefined && segment === 0) {
      return sendAt(flow.fd, payload, bytes, MSG_DONTWAIT) < 0 ? errno() : 0;
    }
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

/**
 * Fills a key with the addresses of a guest's packet. False for an IPv6 packet to or from an IPv4 address in disguise,
 * which has no business on a link (RFC 4291 section 2.5.5.2).
 */
export function nameEnds(key: FlowKey, view: DataView, packet: number, isIpv4: boolean): boolean {
  key.guest0 = isIpv4 ? 0 : ipv6.sourceWord(view, packet, 0);
  key.guest1 = isIpv4 ? 0 : ipv6.sourceWord(view, packet, 1);
  key.guest2 = isIpv4 ? MAPPED : ipv6.sourceWord(view, packet, 2);
  key.guest3 = isIpv4 ? ipv4.source(view, packet) : ipv6.sourceWord(view, packet, 3);
  key.remote0 = isIpv4 ? 0 : ipv6.destinationWord(view, packet, 0);
  key.remote1 = isIpv4 ? 0 : ipv6.destinationWord(view, packet, 1);
  key.remote2 = isIpv4 ? MAPPED : ipv6.destinationWord(view, packet, 2);
  key.remote3 = isIpv4 ? ipv4.destination(view, packet) : ipv6.destinationWord(view, packet, 3);
  if (isIpv4) return true;
  const { guest0, guest1, guest2, remote0, remote1, remote2 } = key;
  return !isMapped(guest0, guest1, guest2) && !isMapped(remote0, remote1, remote2);
}

function decide({ policies }: GatewayContext, key: FlowKey): number {
  const { port, remote0, remote1, remote2, remote3, remotePort } = key;
  return policies.decide(port, ipv4.PROTOCOL_UDP, remote0, remote1, remote2, remote3, remotePort);
}

/** True when the checksum is right, was found right already, or is left to us; of IPv6 one must be there. */
function isChecksumRight(
  batch: FrameBatch,
  slot: number,
  packet: number,
  datagram: number,
  isIpv4: boolean,
): boolean {
  const { view } = batch;
  if (vnet.flags(view, batch.start[slot] as number) !== 0) return true;
  const bytes = udp.length(view, datagram);
  if (isIpv4) {
    const to = ipv4.destination(view, packet);
    const pseudo = pseudoHeader4(ipv4.source(view, packet), to, ipv4.PROTOCOL_UDP, bytes);
    return udp.isChecksumRight(view, datagram, pseudo);
  }
  // RFC 8200 section 8.1
  if (view.getUint16(datagram + UDP_CHECKSUM) === 0) return false;
  return udp.isChecksumRight(view, datagram, ipv6.pseudoHeader(view, packet, ipv4.PROTOCOL_UDP, bytes));
}
