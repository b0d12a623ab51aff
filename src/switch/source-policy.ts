/**
 * Anti-spoofing: a VM may only speak as itself.
 *
 * Theory of operation. A port has one MAC and one IPv4 address, configured or, where none is configured, the first
 * it was seen to use; learned ones are forgotten when the port's carrier goes. IPv6 addresses are learned, up to
 * MAX_IPV6_ADDRESSES. An address that another port of the network has, or that is the gateway's or the host's, is
 * never learned, nor is the subnet's first or last. For setting addresses up a VM may always use 0.0.0.0, ::,
 * 169.254/16 and fe80::/10, but for the gateway's own link-local address.
 *
 * Checked are the Ethernet source, the ARP sender's two addresses, the IPv4 and IPv6 source, and what neighbour
 * discovery says (RFC 4861): the link-layer address a VM gives for itself, and the address it advertises as its own.
 * Router advertisements and redirects are the gateway's alone (RFC 6105). Receivers ignore neighbour discovery in
 * fragments (RFC 6980), so they are not looked into.
 */
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as ndp from '../wire/ndp.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, isGatewayLinkLocal } from './gateway-mac.ts';
import { ADDRESS_LEARNED, ADDRESS_UNKNOWN, type Tables } from './tables.ts';

/** The frame may pass. */
export const SOURCE_OK = -1;

// Of a MAC's upper 16 bits.
const GROUP_BIT = 0x0100;
const LINK_LOCAL4 = (169 << 24) | (254 << 16);
const LINK_LOCAL4_MASK = 0xffff0000 | 0;

export class SourcePolicy {
  readonly #tables: Tables;
  readonly #clock: Clock;

  constructor(tables: Tables, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
  }

  /**
   * Checks a frame from a VM's port. Returns {@link SOURCE_OK} or the reason to drop it.
   *
   * @param frame offset of the Ethernet header, of which at least 14 bytes are there
   * @param bytes length of the frame
   */
  check(port: number, view: DataView, frame: number, bytes: number): number {
    const high = ethernet.sourceHigh(view, frame);
    const low = ethernet.sourceLow(view, frame);
    if (!this.#checkMac(port, high, low)) return DROP['spoofed-mac'];
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const packetBytes = bytes - ethernet.ETHERNET_HEADER_BYTES;
    switch (ethernet.etherType(view, frame)) {
      case ethernet.ETHERTYPE_IPV4:
        if (!ipv4.check(view, packet, packetBytes)) return DROP.malformed;
        return this.#checkIp(port, ipv4.source(view, packet));
      case ethernet.ETHERTYPE_ARP:
        if (!arp.check(view, packet, packetBytes)) return DROP.malformed;
        if (arp.senderHigh(view, packet) !== high || arp.senderLow(view, packet) !== low) {
          return DROP['spoofed-mac'];
        }
        return this.#checkIp(port, arp.senderAddress(view, packet));
      case ethernet.ETHERTYPE_IPV6:
        if (!ipv6.check(view, packet, packetBytes)) return DROP.malformed;
        return this.#checkIpv6(port, view, packet);
      default:
        return SOURCE_OK;
    }
  }

  #checkMac(port: number, high: number, low: number): boolean {
    const tables = this.#tables;
    if (tables.macState(port) !== ADDRESS_UNKNOWN) {
      const own = tables.macLow(port) === low && tables.macHigh(port) === high;
      if (own) tables.refreshMac(port, this.#clock.seconds);
      return own;
    }
    const group = (high & GROUP_BIT) !== 0;
    if (group || (high === GATEWAY_MAC_HIGH && low === GATEWAY_MAC_LOW)) return false;
    return tables.bindMac(port, high, low, ADDRESS_LEARNED, this.#clock.seconds);
  }

  #checkIp(port: number, address: number): number {
    const tables = this.#tables;
    const known = tables.ipState(port) !== ADDRESS_UNKNOWN;
    if (known && address === tables.ip(port)) return SOURCE_OK;
    if (address === 0) return SOURCE_OK;
    // Link-local addresses are for setting up, unless the network is made of them.
    const linkLocal = (address & LINK_LOCAL4_MASK) === LINK_LOCAL4;
    if (linkLocal && !tables.inSubnet(tables.network(port), address)) return SOURCE_OK;
    if (known || !this.#mayLearn(tables.network(port), address)) return DROP['spoofed-ip'];
    return tables.bindIp(port, address, ADDRESS_LEARNED, this.#clock.seconds)
      ? SOURCE_OK
      : DROP['spoofed-ip'];
  }

  #mayLearn(network: number, address: number): boolean {
    const tables = this.#tables;
    if (!tables.inSubnet(network, address) || tables.isBroadcast(network, address)) return false;
    if (address === tables.gatewayAddress(network)) return false;
    return tables.hostPort(network) === 0 || address !== tables.hostAddress(network);
  }

  #checkIpv6(port: number, view: DataView, packet: number): number {
    if (!ipv6.isSourceUnspecified(view, packet)) {
      const word0 = ipv6.sourceWord(view, packet, 0);
      const word1 = ipv6.sourceWord(view, packet, 1);
      const word2 = ipv6.sourceWord(view, packet, 2);
      const word3 = ipv6.sourceWord(view, packet, 3);
      const linkLocal = ipv6.isSourceLinkLocal(view, packet);
      if (!this.#mayUse6(port, linkLocal, word0, word1, word2, word3)) return DROP['spoofed-ip'];
    }
    const protocol = ipv6.transportProtocol(view, packet);
    if (protocol === ipv6.NO_TRANSPORT) return DROP.malformed;
    return protocol === ipv6.PROTOCOL_ICMPV6 ? this.#checkIcmpv6(port, view, packet) : SOURCE_OK;
  }

  /** Whether a VM may speak as this address; a new one is learned. */
  #mayUse6(
    port: number,
    linkLocal: boolean,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
  ): boolean {
    const tables = this.#tables;
    if (linkLocal) return !isGatewayLinkLocal(word0, word1, word2, word3);
    if (tables.hasIpv6(port, word0, word1, word2, word3)) return true;
    const group = word0 >>> 24 === 0xff;
    if (group || tables.isGateway6(tables.network(port), word0, word1, word2, word3)) return false;
    return tables.bindIpv6(port, word0, word1, word2, word3);
  }

  #checkIcmpv6(port: number, view: DataView, packet: number): number {
    const message = ipv6.transportOffset(view, packet);
    const bytes = packet + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet) - message;
    if (!icmpv6.check(view, message, bytes)) return DROP.malformed;
    const type = icmpv6.type(view, message);
    if (!ndp.isType(type)) return SOURCE_OK;
    if (!ndp.check(view, message, bytes)) return DROP.malformed;
    if (type === ndp.ROUTER_ADVERTISEMENT || type === ndp.REDIRECT) return DROP['spoofed-ip'];
    if (type === ndp.NEIGHBOUR_ADVERTISEMENT) {
      const word0 = ndp.targetWord(view, message, 0);
      const word1 = ndp.targetWord(view, message, 1);
      const word2 = ndp.targetWord(view, message, 2);
      const word3 = ndp.targetWord(view, message, 3);
      const linkLocal = ndp.isTargetLinkLocal(view, message);
      if (!this.#mayUse6(port, linkLocal, word0, word1, word2, word3)) return DROP['spoofed-ip'];
    }
    const own = type === ndp.NEIGHBOUR_ADVERTISEMENT ? ndp.TARGET_LINK_LAYER : ndp.SOURCE_LINK_LAYER;
    const link = ndp.option(view, message, bytes, own);
    if (link === ndp.NO_OPTION) return SOURCE_OK;
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    const same =
      ndp.linkLow(view, link) === ethernet.sourceLow(view, frame) &&
      ndp.linkHigh(view, link) === ethernet.sourceHigh(view, frame);
    return same ? SOURCE_OK : DROP['spoofed-mac'];
  }
}
