/**
 * ICMPv6 of the gateway: echo to its own addresses, reports of multicast listeners, which need nothing, and errors for
 * what it cannot deliver (RFC 4443), never about an ICMPv6 error, a later fragment, or a packet to or from a group
 * (section 2.4 (e)), and within a rate per port (section 2.4 (f)). Neighbour discovery is ndp.ts.
 */
import type { FrameBatch } from '../port/batch.ts';
import {
  GATEWAY_LINK_LOCAL0,
  GATEWAY_LINK_LOCAL1,
  GATEWAY_LINK_LOCAL2,
  GATEWAY_LINK_LOCAL3,
} from '../switch/gateway-mac.ts';
import { RateLimit } from '../switch/rate-limit.ts';
import type { Tables } from '../switch/tables.ts';
import { drop, KEPT } from '../switch/verdict.ts';
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import { USUAL_TTL } from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as ndp from '../wire/ndp.ts';
import * as vnet from '../wire/vnet.ts';
import { leavesChecksum, seal } from './answer.ts';
import type { Dropped } from './context.ts';
import { ERROR_BURST, ERRORS_PER_SECOND } from './icmp.ts';
import type { NeighbourDiscovery } from './ndp.ts';
import { isGatewayAddress } from './own-addresses.ts';

export class GatewayIcmpv6 {
  readonly #tables: Tables;
  readonly #neighbours: NeighbourDiscovery;
  readonly #limit: RateLimit;
  readonly #dropped: Dropped;

  constructor(tables: Tables, clock: Clock, dropped: Dropped, neighbours: NeighbourDiscovery) {
    this.#tables = tables;
    this.#neighbours = neighbours;
    this.#dropped = dropped;
    this.#limit = new RateLimit(clock, ERRORS_PER_SECOND, ERROR_BURST);
  }

  /** True when the packet, which passed `ipv6.check`, is for the gateway: its address, its link-local one, or a group. */
  isForGateway(view: DataView, packet: number, ingress: number): boolean {
    if (ipv6.isDestinationMulticast(view, packet)) return true;
    const network = this.#tables.network(ingress);
    const word0 = ipv6.destinationWord(view, packet, 0);
    const word1 = ipv6.destinationWord(view, packet, 1);
    const word2 = ipv6.destinationWord(view, packet, 2);
    const word3 = ipv6.destinationWord(view, packet, 3);
    return isGatewayAddress(this.#tables, network, word0, word1, word2, word3);
  }

  /** Handles the ICMPv6 packet in `slot`, which {@link isForGateway}. Returns a verdict; an answer is in the same slot. */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const end = (batch.start[slot] as number) + (batch.length[slot] as number);
    if (!ipv6.check(view, packet, end - packet)) return drop(DROP.malformed);
    if (ipv6.transportProtocol(view, packet) !== ipv6.PROTOCOL_ICMPV6) return drop(DROP.malformed);
    const message = ipv6.transportOffset(view, packet);
    const bytes = packet + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet) - message;
    if (!icmpv6.check(view, message, bytes)) return drop(DROP.malformed);
    const type = icmpv6.type(view, message);
    if (ndp.isType(type)) return this.#neighbours.handle(batch, slot, ingress);
    if (icmpv6.isListenerReport(view, message)) return KEPT;
    if (type !== icmpv6.ECHO_REQUEST || !this.#mayAnswer(view, packet)) return drop(DROP['no-service']);
    this.#answerEcho(batch, slot, packet, message, bytes);
    return ingress;
  }

  #mayAnswer(view: DataView, packet: number): boolean {
    return !ipv6.isDestinationMulticast(view, packet) && isOneNode(view, packet);
  }

  /** Turns an echo request in place into its reply, without the extension headers it may have had. */
  #answerEcho(batch: FrameBatch, slot: number, packet: number, message: number, bytes: number): void {
    const view = batch.view;
    const reply = packet + ipv6.IPV6_HEADER_BYTES;
    if (message !== reply) {
      batch.u8.copyWithin(reply, message, message + bytes);
      ipv6.writePayload(view, packet, ipv6.PROTOCOL_ICMPV6, bytes);
    }
    icmpv6.toEchoReply(view, reply);
    ipv6.swapAddresses(view, packet);
    if (leavesChecksum(batch, slot)) icmpv6.fillChecksum(view, reply, bytes, packet);
    this.#sendBack(batch, slot, packet, bytes);
  }

  /**
   * Drops a packet for `reason` and turns it in place into the error that says so. Returns the verdict: back to
   * `ingress`, or just dropped where no error may be sent.
   *
   * @param code of destination unreachable, see wire/icmpv6
   */
  refuse6(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    code: number,
    reason: number,
  ): number {
    const view = batch.view;
    const network = this.#tables.network(ingress);
    const deserved = this.#tables.hasGateway6(network) && deservesError(view, packet);
    if (!deserved || !this.#limit.take(ingress)) return drop(reason);
    this.#dropped(slot, ingress, reason);
    const whole = ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet);
    const message = packet + ipv6.IPV6_HEADER_BYTES;
    // To a link-local address only a link-local one can speak, and it is the one such a guest asked.
    const linkLocal = ipv6.isSourceLinkLocal(view, packet);
    const quoted = Math.min(whole, icmpv6.MAX_QUOTE_BYTES);
    const to0 = ipv6.sourceWord(view, packet, 0);
    const to1 = ipv6.sourceWord(view, packet, 1);
    const to2 = ipv6.sourceWord(view, packet, 2);
    const to3 = ipv6.sourceWord(view, packet, 3);
    const bytes = icmpv6.emitError(view, message, icmpv6.UNREACHABLE, code, 0, packet, quoted);
    ipv6.emitHeader(
      view,
      packet,
      bytes,
      ipv6.PROTOCOL_ICMPV6,
      USUAL_TTL,
      linkLocal ? GATEWAY_LINK_LOCAL0 : this.#tables.gateway6(network, 0),
      linkLocal ? GATEWAY_LINK_LOCAL1 : this.#tables.gateway6(network, 1),
      linkLocal ? GATEWAY_LINK_LOCAL2 : this.#tables.gateway6(network, 2),
      linkLocal ? GATEWAY_LINK_LOCAL3 : this.#tables.gateway6(network, 3),
      to0,
      to1,
      to2,
      to3,
    );
    icmpv6.fillChecksum(view, message, bytes, packet);
    this.#sendBack(batch, slot, packet, bytes);
    return ingress;
  }

  /** Makes the packet with `bytes` of payload a frame for whoever sent the one that was in the slot. */
  #sendBack(batch: FrameBatch, slot: number, packet: number, bytes: number): void {
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    const high = ethernet.sourceHigh(batch.view, frame);
    const low = ethernet.sourceLow(batch.view, frame);
    seal(batch, slot, ethernet.ETHERTYPE_IPV6, ipv6.IPV6_HEADER_BYTES + bytes, high, low);
  }
}

function deservesError(view: DataView, packet: number): boolean {
  if (ethernet.isMulticast(view, packet - ethernet.ETHERNET_HEADER_BYTES)) return false;
  if (!isOneNode(view, packet) || ipv6.isDestinationMulticast(view, packet)) return false;
  const protocol = ipv6.transportProtocol(view, packet);
  if (protocol === ipv6.PROTOCOL_FRAGMENT) {
    const inside = ipv6.firstFragmentProtocol(view, packet);
    return inside !== ipv6.NO_TRANSPORT && inside !== ipv6.PROTOCOL_ICMPV6;
  }
  if (protocol !== ipv6.PROTOCOL_ICMPV6) return protocol !== ipv6.NO_TRANSPORT;
  const message = ipv6.transportOffset(view, packet);
  const bytes = packet + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet) - message;
  return icmpv6.check(view, message, bytes) && icmpv6.type(view, message) === icmpv6.ECHO_REQUEST;
}

/** True when the source is an address that one node can have. */
function isOneNode(view: DataView, packet: number): boolean {
  return !ipv6.isSourceUnspecified(view, packet) && !ipv6.isSourceMulticast(view, packet);
}
