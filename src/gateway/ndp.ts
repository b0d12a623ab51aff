/**
 * IPv6 neighbour and router discovery by the gateway (RFC 4861).
 *
 * Theory of operation. The gateway has two addresses in a network with IPv6: the configured one, and the link-local
 * one made of its MAC, which is the same everywhere and the one guests route by. Solicitations for either are answered
 * in the slot they came in; so are router solicitations, with an advertisement that tells prefix, MTU and DNS server,
 * from which guests make their addresses and their default route (RFC 4862, RFC 8106). Nothing is remembered.
 *
 * Solicitations for others go on to the VMs of a shared network, which answer for themselves, and nowhere in an
 * isolated one. There the prefix is not said to be on the link either: guests send everything to the gateway, which
 * refuses at once what they may not reach, instead of soliciting VMs that never hear it.
 *
 * Guests do not ask again once an advertisement's lifetime is over: whoever runs the gateway repeats
 * {@link NeighbourDiscovery.announceRouter} before.
 */
import type { FrameBatch } from '../port/batch.ts';
import type { Forwarder } from '../switch/forwarder.ts';
import {
  GATEWAY_LINK_LOCAL0,
  GATEWAY_LINK_LOCAL1,
  GATEWAY_LINK_LOCAL2,
  GATEWAY_LINK_LOCAL3,
  GATEWAY_MAC_HIGH,
  GATEWAY_MAC_LOW,
  isGatewayLinkLocal,
} from '../switch/gateway-mac.ts';
import type { Tables } from '../switch/tables.ts';
import { drop } from '../switch/verdict.ts';
import { DROP } from '../telemetry/drops.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as ndp from '../wire/ndp.ts';
import * as vnet from '../wire/vnet.ts';
import { leavesChecksum, seal } from './answer.ts';

/** How long guests keep the default route and the DNS server without hearing of them again, `s`. */
export const ROUTER_LIFETIME_SECONDS = 1800;
/** How long addresses made of the prefix are valid, and preferred, `s` (RFC 4861 section 6.2.1). */
const PREFIX_VALID_SECONDS = 2_592_000;
const PREFIX_PREFERRED_SECONDS = 604_800;
/** Hop limit that guests are told to begin with (RFC 1700: 64). */
const GUEST_HOP_LIMIT = 64;

// ff02::1 and the MAC it maps to (RFC 2464 section 7)
const ALL_NODES0 = 0xff020000 | 0;
const ALL_NODES3 = 1;
const ALL_NODES_MAC_HIGH = 0x3333;
const ALL_NODES_MAC_LOW = 1;

export class NeighbourDiscovery {
  readonly #tables: Tables;
  readonly #forwarder: Forwarder;

  constructor(tables: Tables, forwarder: Forwarder) {
    this.#tables = tables;
    this.#forwarder = forwarder;
  }

  /**
   * Handles the neighbour discovery message in `slot` from port `ingress`: turns it into its answer in place, or says
   * where it goes. Returns a verdict.
   */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const end = (batch.start[slot] as number) + (batch.length[slot] as number);
    if (!ipv6.check(view, packet, end - packet)) return drop(DROP.malformed);
    if (ipv6.transportProtocol(view, packet) !== ipv6.PROTOCOL_ICMPV6) return drop(DROP.malformed);
    const message = ipv6.transportOffset(view, packet);
    const bytes = packet + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet) - message;
    if (!this.#isValid(batch, slot, packet, message, bytes)) return drop(DROP.malformed);
    switch (icmpv6.type(view, message)) {
      case ndp.NEIGHBOUR_SOLICITATION:
        return this.#solicited(batch, slot, packet, message, ingress);
      case ndp.ROUTER_SOLICITATION:
        return this.#routerSolicited(batch, slot, packet, ingress);
      default:
        return drop(DROP['no-service']);
    }
  }

  /** The tests that every such message has to pass (RFC 4861 sections 6.1.1 and 7.1.1). */
  #isValid(batch: FrameBatch, slot: number, packet: number, message: number, bytes: number): boolean {
    const view = batch.view;
    if (!ndp.check(view, message, bytes)) return false;
    if (ipv6.hopLimit(view, packet) !== ndp.HOP_LIMIT || icmpv6.code(view, message) !== 0) return false;
    const unspecified = ipv6.isSourceUnspecified(view, packet);
    const linked = ndp.option(view, message, bytes, ndp.SOURCE_LINK_LAYER) !== ndp.NO_OPTION;
    if (unspecified && (linked || !ipv6.isDestinationMulticast(view, packet))) return false;
    if (icmpv6.type(view, message) === ndp.NEIGHBOUR_SOLICITATION && ndp.isTargetMulticast(view, message)) {
      return false;
    }
    return leavesChecksum(batch, slot) || icmpv6.isChecksumRight(view, message, bytes, packet);
  }

  #solicited(batch: FrameBatch, slot: number, packet: number, message: number, ingress: number): number {
    const view = batch.view;
    const tables = this.#tables;
    const network = tables.network(ingress);
    const word0 = ndp.targetWord(view, message, 0);
    const word1 = ndp.targetWord(view, message, 1);
    const word2 = ndp.targetWord(view, message, 2);
    const word3 = ndp.targetWord(view, message, 3);
    const own =
      isGatewayLinkLocal(word0, word1, word2, word3) ||
      tables.isGateway6(network, word0, word1, word2, word3);
    if (own && tables.hasGateway6(network)) {
      this.#advertise(batch, slot, packet, word0, word1, word2, word3);
      return ingress;
    }
    return this.#passOn(batch, slot, ingress);
  }

  #routerSolicited(batch: FrameBatch, slot: number, packet: number, ingress: number): number {
    const view = batch.view;
    const network = this.#tables.network(ingress);
    if (!this.#tables.hasGateway6(network)) return this.#passOn(batch, slot, ingress);
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    if (ipv6.isSourceUnspecified(view, packet)) {
      this.#advertiseToAll(batch, slot, network);
      return ingress;
    }
    this.#advertiseRouter(
      batch,
      slot,
      network,
      ethernet.sourceHigh(view, frame),
      ethernet.sourceLow(view, frame),
      ipv6.sourceWord(view, packet, 0),
      ipv6.sourceWord(view, packet, 1),
      ipv6.sourceWord(view, packet, 2),
      ipv6.sourceWord(view, packet, 3),
    );
    return ingress;
  }

  /** What is not for the gateway: for others to hear, where there are others. */
  #passOn(batch: FrameBatch, slot: number, ingress: number): number {
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    if (!ethernet.isMulticast(batch.view, frame)) return drop(DROP['no-service']);
    const isolated = this.#tables.isolated(this.#tables.network(ingress));
    return isolated ? drop(DROP.isolated) : this.#forwarder.flood(ingress);
  }

  /** Turns a solicitation for one of the gateway's addresses into the advertisement of it. */
  #advertise(
    batch: FrameBatch,
    slot: number,
    packet: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
  ): void {
    const view = batch.view;
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    // Somebody about to take the address has none yet: all nodes hear that it is taken (RFC 4861 section 7.2.4).
    const toAll = ipv6.isSourceUnspecified(view, packet);
    const high = toAll ? ALL_NODES_MAC_HIGH : ethernet.sourceHigh(view, frame);
    const low = toAll ? ALL_NODES_MAC_LOW : ethernet.sourceLow(view, frame);
    const to0 = toAll ? ALL_NODES0 : ipv6.sourceWord(view, packet, 0);
    const to1 = toAll ? 0 : ipv6.sourceWord(view, packet, 1);
    const to2 = toAll ? 0 : ipv6.sourceWord(view, packet, 2);
    const to3 = toAll ? ALL_NODES3 : ipv6.sourceWord(view, packet, 3);
    const flags = ndp.ROUTER | ndp.OVERRIDE | (toAll ? 0 : ndp.SOLICITED);
    const message = packet + ipv6.IPV6_HEADER_BYTES;
    let bytes = ndp.emitAdvertisement(view, message, flags, word0, word1, word2, word3);
    bytes += ndp.emitLinkLayer(
      view,
      message + bytes,
      ndp.TARGET_LINK_LAYER,
      GATEWAY_MAC_HIGH,
      GATEWAY_MAC_LOW,
    );
    ipv6.emitHeader(
      view,
      packet,
      bytes,
      ipv6.PROTOCOL_ICMPV6,
      ndp.HOP_LIMIT,
      word0,
      word1,
      word2,
      word3,
      to0,
      to1,
      to2,
      to3,
    );
    icmpv6.fillChecksum(view, message, bytes, packet);
    seal(batch, slot, ethernet.ETHERTYPE_IPV6, ipv6.IPV6_HEADER_BYTES + bytes, high, low);
  }

  /**
   * Writes into `slot` an advertisement of the router for all guests of a network (RFC 4861 section 6.2.4). False, and
   * nothing written, where the network has no IPv6.
   */
  announceRouter(batch: FrameBatch, slot: number, network: number): boolean {
    if (!this.#tables.hasGateway6(network)) return false;
    this.#advertiseToAll(batch, slot, network);
    return true;
  }

  #advertiseToAll(batch: FrameBatch, slot: number, network: number): void {
    this.#advertiseRouter(
      batch,
      slot,
      network,
      ALL_NODES_MAC_HIGH,
      ALL_NODES_MAC_LOW,
      ALL_NODES0,
      0,
      0,
      ALL_NODES3,
    );
  }

  #advertiseRouter(
    batch: FrameBatch,
    slot: number,
    network: number,
    high: number,
    low: number,
    to0: number,
    to1: number,
    to2: number,
    to3: number,
  ): void {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const message = packet + ipv6.IPV6_HEADER_BYTES;
    const bytes = this.#writeRouter(view, message, network);
    ipv6.emitHeader(
      view,
      packet,
      bytes,
      ipv6.PROTOCOL_ICMPV6,
      ndp.HOP_LIMIT,
      GATEWAY_LINK_LOCAL0,
      GATEWAY_LINK_LOCAL1,
      GATEWAY_LINK_LOCAL2,
      GATEWAY_LINK_LOCAL3,
      to0,
      to1,
      to2,
      to3,
    );
    icmpv6.fillChecksum(view, message, bytes, packet);
    seal(batch, slot, ethernet.ETHERTYPE_IPV6, ipv6.IPV6_HEADER_BYTES + bytes, high, low);
  }

  /** Writes the advertisement itself; returns its bytes. */
  #writeRouter(view: DataView, message: number, network: number): number {
    const tables = this.#tables;
    const lifetime = ROUTER_LIFETIME_SECONDS;
    const word0 = tables.gateway6(network, 0);
    const word1 = tables.gateway6(network, 1);
    const word2 = tables.gateway6(network, 2);
    const word3 = tables.gateway6(network, 3);
    let at = message + ndp.emitRouterAdvertisement(view, message, GUEST_HOP_LIMIT, lifetime);
    at += ndp.emitLinkLayer(view, at, ndp.SOURCE_LINK_LAYER, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW);
    at += ndp.emitMtu(view, at, tables.mtu(network));
    at += ndp.emitPrefix(
      view,
      at,
      tables.prefix6(network),
      tables.isolated(network) ? ndp.AUTONOMOUS : ndp.AUTONOMOUS | ndp.ON_LINK,
      PREFIX_VALID_SECONDS,
      PREFIX_PREFERRED_SECONDS,
      word0,
      word1,
      word2,
      word3,
    );
    at += ndp.emitDnsServer(view, at, lifetime, word0, word1, word2, word3);
    return at - message;
  }
}
