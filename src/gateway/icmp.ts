/**
 * ICMP of the gateway: echo to its own address (RFC 792), and errors for what it cannot deliver (RFC 1812 section
 * 5.2.7.1), never about an ICMP error, a later fragment, or a packet to or from a group (section 4.3.2.7), and within
 * a rate per port (section 4.3.2.8).
 */
import type { FrameBatch } from '../port/batch.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import { RateLimit } from '../switch/rate-limit.ts';
import type { Tables } from '../switch/tables.ts';
import { drop } from '../switch/verdict.ts';
import type { Clock } from '../sys/clock.ts';
import { checksum } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as vnet from '../wire/vnet.ts';
import type { Dropped } from './context.ts';

/** Bytes of payload quoted behind the IP header: what RFC 792 asks for, enough for both ports. */
const QUOTED_PAYLOAD_BYTES = 8;

/** Errors a port may cause per second, and at once. */
export const ERRORS_PER_SECOND = 100;
export const ERROR_BURST = 50;

export class GatewayIcmp {
  readonly #tables: Tables;
  readonly #limit: RateLimit;
  readonly #dropped: Dropped;

  constructor(tables: Tables, clock: Clock, dropped: Dropped) {
    this.#tables = tables;
    this.#dropped = dropped;
    this.#limit = new RateLimit(clock, ERRORS_PER_SECOND, ERROR_BURST);
  }

  /** Turns an echo request in place into its reply and swaps the addresses; the caller sends it back. */
  answerEcho(batch: FrameBatch, slot: number, packet: number): void {
    const view = batch.view;
    const start = batch.start[slot] as number;
    const frame = start + vnet.VNET_HEADER_BYTES;
    const message = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    icmp.toEchoReply(view, message);
    if ((vnet.flags(view, start) & vnet.FLAG_NEEDS_CSUM) !== 0) {
      // The sender left the checksum to us: what stands there is only a part of it.
      view.setUint16(message + icmp.CHECKSUM_OFFSET, 0);
      view.setUint16(message + icmp.CHECKSUM_OFFSET, checksum(view, message, bytes));
    }
    vnet.clear(view, start);
    ipv4.swapAddresses(view, packet);
    addressToSender(view, frame);
    // Padding of a short request is not sent back.
    batch.length[slot] =
      vnet.VNET_HEADER_BYTES + ethernet.ETHERNET_HEADER_BYTES + ipv4.totalLength(view, packet);
  }

  /**
   * Drops a packet for `reason` and turns it in place into the error that says so. Returns the verdict: back to
   * `ingress`, or just dropped where no error may be sent.
   *
   * @param code of destination unreachable, see wire/icmp
   */
  refuse(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    code: number,
    reason: number,
  ): number {
    const view = batch.view;
    if (!this.#deservesError(view, packet, ingress) || !this.#limit.take(ingress)) return drop(reason);
    this.#dropped(slot, ingress, reason);
    const start = batch.start[slot] as number;
    const frame = start + vnet.VNET_HEADER_BYTES;
    const sender = ipv4.source(view, packet);
    const header = ipv4.headerLength(view, packet);
    const quoted = Math.min(ipv4.totalLength(view, packet), header + QUOTED_PAYLOAD_BYTES);
    const message = packet + ipv4.IPV4_HEADER_BYTES;
    const bytes = icmp.emitUnreachable(view, message, code, packet, quoted);
    const gateway = this.#tables.gatewayAddress(this.#tables.network(ingress));
    ipv4.emitHeader(
      view,
      packet,
      ipv4.IPV4_HEADER_BYTES + bytes,
      ipv4.USUAL_TTL,
      ipv4.PROTOCOL_ICMP,
      gateway,
      sender,
    );
    addressToSender(view, frame);
    vnet.clear(view, start);
    batch.length[slot] =
      vnet.VNET_HEADER_BYTES + ethernet.ETHERNET_HEADER_BYTES + ipv4.IPV4_HEADER_BYTES + bytes;
    return ingress;
  }

  #deservesError(view: DataView, packet: number, ingress: number): boolean {
    if (ipv4.isLaterFragment(view, packet)) return false;
    const source = ipv4.source(view, packet);
    const destination = ipv4.destination(view, packet);
    if (source === 0 || isGroup(source) || isGroup(destination)) return false;
    if (this.#tables.isBroadcast(this.#tables.network(ingress), destination)) return false;
    if (ipv4.protocol(view, packet) !== ipv4.PROTOCOL_ICMP) return true;
    const message = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    return icmp.check(view, message, bytes) && icmp.type(view, message) === icmp.ECHO_REQUEST;
  }
}

/** Turns the Ethernet header of an IPv4 frame into the one of the gateway's answer to it. */
function addressToSender(view: DataView, frame: number): void {
  ethernet.writeHeader(
    view,
    frame,
    ethernet.sourceHigh(view, frame),
    ethernet.sourceLow(view, frame),
    GATEWAY_MAC_HIGH,
    GATEWAY_MAC_LOW,
    ethernet.ETHERTYPE_IPV4,
  );
}

/** Multicast, reserved, or the limited broadcast address. */
function isGroup(address: number): boolean {
  return address >>> 28 >= 14;
}
