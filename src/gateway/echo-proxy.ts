/**
 * Echo requests of the guests to elsewhere.
 *
 * Theory of operation. A guest's identifier and destination are a flow with a connected socket of the host's: a ping
 * socket (icmp(7)), whose identifier the kernel chooses and matches, or where its group may not have one, a raw socket,
 * to whose identifier, chosen here, replies and errors are matched here. What comes back gets the guest's identifier
 * again; sequence numbers and data go through as they are.
 *
 * Failure. What cannot be sent is dropped and counted, and the guest told where a router would tell it.
 */
import { randomInt } from 'node:crypto';
import type { FrameBatch } from '../port/batch.ts';
import { drop, KEPT } from '../switch/verdict.ts';
import { EACCES, EAGAIN, ENOBUFS, EPERM } from '../sys/errno.ts';
import { SOCK_DGRAM, SOCK_RAW, setOption } from '../sys/inet-socket.ts';
import { errno, sendAt } from '../sys/libc.ts';
import { MSG_DONTWAIT } from '../sys/message-vector.ts';
import { DROP } from '../telemetry/drops.ts';
import { checksum } from '../wire/checksum.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { destinationOf, isRefusal, refusalReason } from './destination.ts';
import { FlowKey } from './flow-key.ts';
import { isTrusted, packetEnd, transportOffset } from './transport.ts';
import type { DatagramFlow, FlowEvents } from './udp/flow.ts';
import { Flows } from './udp/flows.ts';
import { giveSocket, limitHops, openConnected } from './udp/host-socket.ts';
import type { ReadyList } from './udp/ready-list.ts';
import type { DatagramParts } from './udp/udp.ts';

/** Identifiers and destinations a VM may have at once */
export const VM_ECHO_FLOWS = 256;
/** Silence after which one is forgotten */
export const ECHO_SECONDS = 10;

const IDENTIFIERS = 65_536;
const BATCHES_PER_TURN = 4;

// Of the messages' headers, the same in both families (RFC 792, RFC 4443 section 4.1)
const HEADER_BYTES = icmp.ICMP_HEADER_BYTES;
const IDENTIFIER = 4;

// linux/icmp.h: the types set are not received
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ALL_BUT_REPLIES = ~(1 << icmp.ECHO_REPLY);

export class EchoProxy implements FlowEvents {
  readonly readyList: ReadyList;
  readonly flows: Flows;
  readonly #parts: DatagramParts;
  readonly #key = new FlowKey();
  /** Identifiers of raw sockets */
  readonly #taken = new Uint8Array(IDENTIFIERS);
  #nextIdentifier = randomInt(IDENTIFIERS);
  /** The flow that {@link #open} made */
  #opened: DatagramFlow | undefined;

  constructor(parts: DatagramParts) {
    this.#parts = parts;
    this.readyList = parts.readyList;
    this.flows = new Flows(
      parts.context,
      this,
      () => VM_ECHO_FLOWS,
      () => ECHO_SECONDS * 1000,
    );
  }

  /**
   * Sends a guest's ICMP or ICMPv6 packet on, whose IP header at `packet` and lengths were checked and which is no
   * fragment. Anything but an echo request is nothing to anybody. Returns a verdict.
   */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { view } = batch;
    const message = transportOffset(view, packet, isIpv4);
    const bytes = packetEnd(view, packet, isIpv4) - message;
    if (!icmp.check(view, message, bytes)) return drop(DROP.malformed);
    const request = isIpv4 ? icmp.ECHO_REQUEST : icmpv6.ECHO_REQUEST;
    if (icmp.type(view, message) !== request || icmp.code(view, message) !== 0) {
      return drop(DROP['no-service']);
    }
    if (!isChecksumRight(batch, slot, packet, message, bytes, isIpv4)) return drop(DROP.malformed);
    const key = this.#key;
    key.port = ingress;
    key.guestPort = icmp.identifier(view, message);
    key.takeAddresses(view, packet, isIpv4);
    let flow = this.flows.find(key);
    if (flow === undefined) {
      const verdict = this.#open(batch, slot, ingress, packet, isIpv4);
      if (verdict !== KEPT) return verdict;
      flow = this.#opened as DatagramFlow;
    }
    this.flows.touch(flow);
    limitHops(flow, isIpv4 ? ipv4.ttl(view, packet) : ipv6.hopLimit(view, packet));
    const error = this.#send(flow, batch, slot, message, bytes);
    if (error === 0) return KEPT;
    if (error === EAGAIN || error === ENOBUFS) return drop(DROP['queue-full']);
    return this.#parts.refusals.failed(batch, slot, packet, ingress, isIpv4, error);
  }

  /** Begins the flow of the key. KEPT, or the verdict that refuses it. */
  #open(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { context, refusals } = this.#parts;
    const destination = destinationOf(context, ipv4.PROTOCOL_ICMP, this.#key);
    if (isRefusal(destination)) {
      return refusals.refuse(batch, slot, packet, ingress, isIpv4, refusalReason(destination));
    }
    if (!this.flows.makeRoom(ingress)) {
      return refusals.prohibited(batch, slot, packet, ingress, isIpv4, DROP['flow-limit']);
    }
    let isRaw = false;
    let fd = this.#openSocket(SOCK_DGRAM, isIpv4);
    if (fd === -EACCES || fd === -EPERM) {
      isRaw = true;
      fd = this.#openSocket(SOCK_RAW, isIpv4);
    }
    if (fd < 0) return refusals.failed(batch, slot, packet, ingress, isIpv4, -fd);
    const flow = this.flows.add(this.#key);
    if (isRaw) this.#identify(flow);
    if (isRaw && isIpv4) setOption(fd, SOL_RAW, ICMP_FILTER, ALL_BUT_REPLIES);
    this.#opened = flow;
    if (giveSocket(context.sockets, flow, fd) === 0) return KEPT;
    this.flows.end(flow);
    return refusals.prohibited(batch, slot, packet, ingress, isIpv4, DROP['flow-limit']);
  }

  #openSocket(type: number, isIpv4: boolean): number {
    const { remote0, remote1, remote2, remote3 } = this.#key;
    const protocol = isIpv4 ? ipv4.PROTOCOL_ICMP : ipv6.PROTOCOL_ICMPV6;
    return openConnected(type, protocol, remote0, remote1, remote2, remote3, 0);
  }

  /** Chooses an identifier no raw socket of ours has: there are more than flows can be. */
  #identify(flow: DatagramFlow): void {
    let identifier = this.#nextIdentifier;
    for (let tries = 0; tries < IDENTIFIERS && this.#taken[identifier] !== 0; tries++) {
      identifier = (identifier + 1) % IDENTIFIERS;
    }
    this.#nextIdentifier = (identifier + 1) % IDENTIFIERS;
    this.#taken[identifier] = 1;
    flow.isRaw = true;
    flow.hostIdentifier = identifier;
  }

  /** Sends the message in the slot, which is afterwards what it was. 0, or the error's number. */
  #send(flow: DatagramFlow, batch: FrameBatch, slot: number, message: number, bytes: number): number {
    const { view } = batch;
    const rest = view.getInt32(message + IDENTIFIER);
    const sum = view.getUint16(message + icmp.CHECKSUM_OFFSET);
    if (flow.isRaw) {
      view.setUint16(message + IDENTIFIER, flow.hostIdentifier);
      // The kernel fills in ICMPv6's, and that of ping sockets (RFC 3542 section 3.1).
      view.setUint16(message + icmp.CHECKSUM_OFFSET, 0);
      if (flow.isIpv4) view.setUint16(message + icmp.CHECKSUM_OFFSET, checksum(view, message, bytes));
    }
    const address = batch.address(slot) + (message - (batch.start[slot] as number));
    let error = sendAt(flow.fd, address, bytes, MSG_DONTWAIT) < 0 ? errno() : 0;
    if (error !== 0 && error !== EAGAIN && error !== ENOBUFS) {
      // It may be about an earlier request, and is told once.
      this.#parts.errors.drain(flow, flow.fd);
      error = sendAt(flow.fd, address, bytes, MSG_DONTWAIT) < 0 ? errno() : 0;
    }
    view.setInt32(message + IDENTIFIER, rest);
    view.setUint16(message + icmp.CHECKSUM_OFFSET, sum);
    return error;
  }

  // --- from the host --------------------------------------------------------------------------------------
  hostFailed(flow: DatagramFlow): void {
    this.#parts.errors.drain(flow, flow.fd);
  }

  receive(flow: DatagramFlow): boolean {
    const { receiver } = this.#parts;
    let count = 0;
    for (let batch = 0; batch < BATCHES_PER_TURN; batch++) {
      count = receiver.receive(flow.fd);
      if (count === -EAGAIN) return false;
      if (count < 0) this.hostFailed(flow);
      for (let i = 0; i < count; i++) this.#deliver(flow, receiver.first + i);
      if (count >= 0 && count < receiver.asked) return false;
    }
    return count > 0;
  }

  #deliver(flow: DatagramFlow, index: number): void {
    const { output, receiver } = this.#parts;
    const { view } = receiver.vector;
    const slot = receiver.vector.slot(index);
    // A raw socket of IPv4 delivers the IP header too (raw(7)).
    const message = flow.isRaw && flow.isIpv4 ? ipv4.headerLength(view, slot) : 0;
    if (receiver.vector.bytes(index) < message + HEADER_BYTES) return;
    if (icmp.type(view, slot + message) !== (flow.isIpv4 ? icmp.ECHO_REPLY : icmpv6.ECHO_REPLY)) return;
    if (flow.isRaw && icmp.identifier(view, slot + message) !== flow.hostIdentifier) return;
    this.flows.touch(flow);
    output.echoReply(flow, icmp.sequence(view, slot + message), index, message + HEADER_BYTES);
  }

  timerExpired(flow: DatagramFlow): void {
    this.flows.timerExpired(flow);
  }

  ended(flow: DatagramFlow): void {
    if (flow.isRaw) this.#taken[flow.hostIdentifier] = 0;
  }
}

/** True when the checksum is right, was found right already, or is left to us. */
function isChecksumRight(
  batch: FrameBatch,
  slot: number,
  packet: number,
  message: number,
  bytes: number,
  isIpv4: boolean,
): boolean {
  if (isTrusted(batch, slot)) return true;
  if (isIpv4) return checksum(batch.view, message, bytes) === 0;
  return icmpv6.isChecksumRight(batch.view, message, bytes, packet);
}
