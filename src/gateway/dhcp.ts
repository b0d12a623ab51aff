/**
 * DHCP for IPv4 guests (RFC 2131), without leases to keep.
 *
 * Theory of operation. A port has one address, and the answer to whoever asks there is always that one: the address
 * the port is configured with or was seen to use, else the one set aside for it (`Tables.setLease`). So nothing is
 * handed out, remembered or run out of; a lease never moves, and a restart changes nothing.
 *
 *     DISCOVER            -> OFFER of the port's address; nothing where it has none
 *     REQUEST             -> ACK for that address, NAK for any other; nothing if meant for another server
 *     INFORM              -> ACK with the network's settings, without a lease
 *     RELEASE, DECLINE    counted as dropped: the address stays the port's
 *     from a relay        counted as dropped: guests are on the link
 *
 * Answers go to the client's MAC and address, or to everyone if it says that it cannot take that (section 4.1); by
 * either way they reach the port the question came from and no other. Questions are answered within a rate per port.
 */
import type { FrameBatch } from '../port/batch.ts';
import { RateLimit } from '../switch/rate-limit.ts';
import { ADDRESS_UNKNOWN, KIND_VM, MAX_PORTS, type Tables } from '../switch/tables.ts';
import { drop } from '../switch/verdict.ts';
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import { pseudoHeader4 } from '../wire/checksum.ts';
import * as dhcp from '../wire/dhcp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import * as vnet from '../wire/vnet.ts';
import { leavesChecksum, seal } from './answer.ts';

/** Time a guest may use its address before it has to ask again, `s`. */
export const LEASE_SECONDS = 86_400;
// When it does: first its server, then any (RFC 2131 section 4.4.5)
const RENEWAL_SECONDS = LEASE_SECONDS / 2;
const REBINDING_SECONDS = (LEASE_SECONDS / 8) * 7;

/** DHCP messages a port is answered per second, and at once. */
const MESSAGES_PER_SECOND = 10;
const MESSAGE_BURST = 20;

const DOMAIN = new TextEncoder().encode('tapswitch.internal');
/** 255.255.255.255 */
const BROADCAST = -1;

export class Dhcp {
  readonly #tables: Tables;
  readonly #limit: RateLimit;
  readonly #hostnames: (Uint8Array | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  /** Client identifier of the message in work, which its answer overwrites; -1 bytes for none */
  readonly #identifier = new Uint8Array(dhcp.MAX_OPTION_BYTES);
  #identifierBytes = -1;

  constructor(tables: Tables, clock: Clock) {
    this.#tables = tables;
    this.#limit = new RateLimit(clock, MESSAGES_PER_SECOND, MESSAGE_BURST);
  }

  /** True when the packet, which passed `ipv4.check`, is for the gateway's DHCP server: at its address, or everyone's. */
  isForGateway(view: DataView, packet: number, ingress: number): boolean {
    if (ipv4.protocol(view, packet) !== ipv4.PROTOCOL_UDP || ipv4.isFragment(view, packet)) return false;
    const destination = ipv4.destination(view, packet);
    const gateway = this.#tables.gatewayAddress(this.#tables.network(ingress));
    if (destination !== BROADCAST && destination !== gateway) return false;
    const datagram = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    return udp.check(view, datagram, bytes) && udp.destinationPort(view, datagram) === dhcp.SERVER_PORT;
  }

  /** Name that the guest on `port` is told, of at most 255 bytes; none for ''. */
  setHostname(port: number, name: string): void {
    const bytes = new TextEncoder().encode(name).slice(0, dhcp.MAX_OPTION_BYTES);
    this.#hostnames[port] = bytes.length === 0 ? undefined : bytes;
  }

  /**
   * Handles the packet in `slot` from port `ingress`, which {@link isForGateway}: turns it into its answer in place.
   * Returns a verdict.
   */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const datagram = packet + ipv4.headerLength(view, packet);
    const message = datagram + udp.UDP_HEADER_BYTES;
    const bytes = udp.length(view, datagram) - udp.UDP_HEADER_BYTES;
    if (!leavesChecksum(batch, slot) && !isChecksumRight(view, packet, datagram)) return drop(DROP.malformed);
    if (!dhcp.check(view, message, bytes)) return drop(DROP.malformed);
    if (this.#tables.kind(ingress) !== KIND_VM || dhcp.relayAddress(view, message) !== 0) {
      return drop(DROP['no-service']);
    }
    if (!this.#limit.take(ingress)) return drop(DROP['flood-limit']);
    switch (dhcp.messageType(view, message, bytes)) {
      case dhcp.DISCOVER:
        return this.#discovered(batch, slot, message, bytes, ingress);
      case dhcp.REQUEST:
        return this.#requested(batch, slot, message, bytes, ingress);
      case dhcp.INFORM:
        return this.#answer(batch, slot, message, bytes, ingress, dhcp.ACK, 0);
      default:
        return drop(DROP['no-service']);
    }
  }

  /** Address of the guest on a port, 0 for none. */
  #leaseOf(port: number): number {
    const known = this.#tables.ipState(port) !== ADDRESS_UNKNOWN;
    return known ? this.#tables.ip(port) : this.#tables.leaseAddress(port);
  }

  #discovered(batch: FrameBatch, slot: number, message: number, bytes: number, ingress: number): number {
    const lease = this.#leaseOf(ingress);
    if (lease === 0) return drop(DROP['no-service']);
    return this.#answer(batch, slot, message, bytes, ingress, dhcp.OFFER, lease);
  }

  /** A request comes after an offer, after a restart of the guest, or to go on with an address (section 4.3.2). */
  #requested(batch: FrameBatch, slot: number, message: number, bytes: number, ingress: number): number {
    const view = batch.view;
    const lease = this.#leaseOf(ingress);
    const server = dhcp.addressOption(view, message, bytes, dhcp.OPTION_SERVER);
    const gateway = this.#tables.gatewayAddress(this.#tables.network(ingress));
    if (lease === 0 || (server !== 0 && server !== gateway)) return drop(DROP['no-service']);
    const asked = dhcp.addressOption(view, message, bytes, dhcp.OPTION_REQUESTED_ADDRESS);
    const wanted = asked === 0 ? dhcp.clientAddress(view, message) : asked;
    if (wanted === 0) return drop(DROP.malformed);
    const granted = wanted === lease;
    return this.#answer(
      batch,
      slot,
      message,
      bytes,
      ingress,
      granted ? dhcp.ACK : dhcp.NAK,
      granted ? lease : 0,
    );
  }

  /** Turns the message into the answer of a type, with `lease` (0 for none). Returns the verdict. */
  #answer(
    batch: FrameBatch,
    slot: number,
    message: number,
    bytes: number,
    ingress: number,
    type: number,
    lease: number,
  ): number {
    const view = batch.view;
    const nak = type === dhcp.NAK;
    const client = nak ? 0 : dhcp.clientAddress(view, message);
    const destination = client === 0 ? lease : client;
    const toAll = destination === 0 || (client === 0 && dhcp.wantsBroadcast(view, message));
    const high = dhcp.clientHigh(view, message);
    const low = dhcp.clientLow(view, message);
    this.#keepIdentifier(view, message, bytes);
    // The request's IP header may have had options, the answer's has none: it lies elsewhere.
    const packet = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES + ethernet.ETHERNET_HEADER_BYTES;
    const reply = packet + ipv4.IPV4_HEADER_BYTES + udp.UDP_HEADER_BYTES;
    const transaction = dhcp.transaction(view, message);
    const flags = dhcp.flags(view, message);
    const told = type === dhcp.ACK ? client : 0;
    dhcp.emitReply(view, reply, transaction, flags, told, lease, high, low);
    const end = this.#writeOptions(view, reply + dhcp.HEADER_BYTES, ingress, type, lease);
    const length = udp.UDP_HEADER_BYTES + dhcp.finish(view, reply, end);
    const to = toAll ? BROADCAST : destination;
    this.#writeHeaders(view, packet, this.#tables.gatewayAddress(this.#tables.network(ingress)), to, length);
    seal(
      batch,
      slot,
      ethernet.ETHERTYPE_IPV4,
      ipv4.IPV4_HEADER_BYTES + length,
      toAll ? ethernet.BROADCAST_HIGH : high,
      toAll ? ethernet.BROADCAST_LOW : low,
    );
    return ingress;
  }

  #writeHeaders(view: DataView, packet: number, from: number, to: number, length: number): void {
    const datagram = packet + ipv4.IPV4_HEADER_BYTES;
    ipv4.emitHeader(
      view,
      packet,
      ipv4.IPV4_HEADER_BYTES + length,
      ipv4.USUAL_TTL,
      ipv4.PROTOCOL_UDP,
      from,
      to,
    );
    udp.emit(view, datagram, dhcp.SERVER_PORT, dhcp.CLIENT_PORT, length);
    udp.fillChecksum(view, datagram, pseudoHeader4(from, to, ipv4.PROTOCOL_UDP, length));
  }

  /** Writes the options of an answer (RFC 2131 table 3) from `at` on; returns the offset behind them. */
  #writeOptions(view: DataView, at: number, port: number, type: number, lease: number): number {
    const tables = this.#tables;
    const network = tables.network(port);
    const gateway = tables.gatewayAddress(network);
    let end = dhcp.putByte(view, at, dhcp.OPTION_MESSAGE_TYPE, type);
    end = dhcp.putLong(view, end, dhcp.OPTION_SERVER, gateway);
    if (type !== dhcp.NAK) {
      if (lease !== 0) {
        end = dhcp.putLong(view, end, dhcp.OPTION_LEASE_SECONDS, LEASE_SECONDS);
        end = dhcp.putLong(view, end, dhcp.OPTION_RENEWAL_SECONDS, RENEWAL_SECONDS);
        end = dhcp.putLong(view, end, dhcp.OPTION_REBINDING_SECONDS, REBINDING_SECONDS);
      }
      end = dhcp.putLong(view, end, dhcp.OPTION_SUBNET_MASK, tables.mask(network));
      end = dhcp.putLong(view, end, dhcp.OPTION_ROUTER, gateway);
      end = dhcp.putDefaultRoute(view, end, gateway);
      end = dhcp.putLong(view, end, dhcp.OPTION_DNS_SERVER, gateway);
      end = dhcp.putBytes(view, end, dhcp.OPTION_DOMAIN_NAME, DOMAIN, DOMAIN.length);
      end = dhcp.putWord(view, end, dhcp.OPTION_MTU, tables.mtu(network));
      const name = this.#hostnames[port];
      if (name !== undefined) end = dhcp.putBytes(view, end, dhcp.OPTION_HOST_NAME, name, name.length);
    }
    if (this.#identifierBytes < 0) return end;
    const code = dhcp.OPTION_CLIENT_IDENTIFIER;
    return dhcp.putBytes(view, end, code, this.#identifier, this.#identifierBytes);
  }

  /** Every answer gives the client's identifier back (RFC 6842 section 3). */
  #keepIdentifier(view: DataView, message: number, bytes: number): void {
    const at = dhcp.option(view, message, bytes, dhcp.OPTION_CLIENT_IDENTIFIER);
    this.#identifierBytes = at === dhcp.NO_OPTION ? -1 : dhcp.optionLength(view, at);
    for (let i = 0; i < this.#identifierBytes; i++) {
      this.#identifier[i] = view.getUint8(at + dhcp.OPTION_HEAD_BYTES + i);
    }
  }
}

function isChecksumRight(view: DataView, packet: number, datagram: number): boolean {
  const from = ipv4.source(view, packet);
  const to = ipv4.destination(view, packet);
  const length = udp.length(view, datagram);
  return udp.isChecksumRight(view, datagram, pseudoHeader4(from, to, ipv4.PROTOCOL_UDP, length));
}
