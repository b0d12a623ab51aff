/**
 * What may pass between guests and the host port.
 *
 * Theory of operation. The host may begin any flow to any guest; each frame it sends notes the flow in a bounded,
 * ageing table. A guest's frame reaches the host only as an answer to such a flow, or for one of the ports in
 * `allowFromGuests`, and only at the host port's own address: the host's other addresses do not exist here. A TCP
 * segment that would begin a connection (SYN without ACK) is never an answer. An ICMP error is an answer when the
 * packet it quotes belongs to a flow. Later fragments follow their first one.
 *
 * After a restart the table is empty although connections go on. For a short while a TCP segment in mid-stream
 * (ACK, no SYN) is then taken for an answer; a connection the host does not have is reset by the host itself.
 *
 * Flow key: guest IPv4, guest port << 16 | host port (ICMP echo: identifier), protocol << 16 | guest's switch port.
 */
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { NONE } from './shared-map.ts';
import { ADDRESS_UNKNOWN, type Tables } from './tables.ts';

/** The frame may pass. */
export const HOST_OK = -1;

const TCP_FLOW_SECONDS = 7200; // the host's keepalive default (net.ipv4.tcp_keepalive_time)
const UDP_FLOW_SECONDS = 180;
const OTHER_FLOW_SECONDS = 30; // ICMP echo, and fragments (net.ipv4.ipfrag_time)
/** Time after the switch's start in which TCP connections in mid-stream are picked up, `s`. */
export const PICKUP_SECONDS = 30;

// Keys of noted fragments lie beside those of the 256 protocols.
const FRAGMENT_KEY = 0x100;
/** Bytes of a quoted packet's payload that every ICMP error carries (RFC 792). */
const QUOTED_BYTES = 8;

function flowSeconds(protocol: number): number {
  if (protocol === ipv4.PROTOCOL_TCP) return TCP_FLOW_SECONDS;
  return protocol === ipv4.PROTOCOL_UDP ? UDP_FLOW_SECONDS : OTHER_FLOW_SECONDS;
}

/** Guest's and host's port in one int32. */
function pair(guestPort: number, hostPort: number): number {
  return (guestPort << 16) | hostPort;
}

export class HostPolicy {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #pickupUntil: number;

  /** @param startedSeconds when the switch started, on the clock's scale: a worker replaced later is no new start */
  constructor(tables: Tables, clock: Clock, startedSeconds: number) {
    this.#tables = tables;
    this.#clock = clock;
    this.#pickupUntil = startedSeconds + PICKUP_SECONDS;
  }

  /** Notes the flow of an IPv4 packet that the host sends to the guest on `port`. The packet passed `ipv4.check`. */
  noteHostToGuest(port: number, view: DataView, packet: number): void {
    if (ipv4.isLaterFragment(view, packet)) return;
    const segment = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    const guest = ipv4.destination(view, packet);
    const protocol = ipv4.protocol(view, packet);
    if (protocol === ipv4.PROTOCOL_TCP || protocol === ipv4.PROTOCOL_UDP) {
      // Both protocols begin with the two ports.
      if (bytes < udp.UDP_HEADER_BYTES) return;
      // What the host sends from an allowed port answers a guest, whose frames pass anyway: a guest shall not be able
      // to fill the table with flows of its own making.
      const udpPort = protocol === ipv4.PROTOCOL_UDP;
      if (this.#tables.allowedFromGuests(this.#tables.network(port), udpPort, udp.sourcePort(view, segment)))
        return;
      this.#note(
        guest,
        pair(udp.destinationPort(view, segment), udp.sourcePort(view, segment)),
        protocol,
        port,
      );
    } else if (protocol === ipv4.PROTOCOL_ICMP && icmp.check(view, segment, bytes)) {
      if (icmp.type(view, segment) !== icmp.ECHO_REQUEST) return;
      this.#note(guest, icmp.identifier(view, segment), protocol, port);
    }
  }

  /**
   * Checks a frame from a guest's `port` to the host port's MAC. Returns {@link HOST_OK} or the reason to drop it.
   * The frame passed the source policy.
   */
  checkGuestToHost(port: number, view: DataView, frame: number): number {
    const tables = this.#tables;
    const network = tables.network(port);
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const type = ethernet.etherType(view, frame);
    if (type === ethernet.ETHERTYPE_ARP) {
      // Requests are the gateway's to answer; a reply is one to a request that was passed on for want of a MAC.
      const answer = arp.operation(view, packet) === arp.ARP_REPLY;
      const forHost = arp.targetAddress(view, packet) === tables.hostAddress(network);
      if (!answer || !forHost) return DROP['host-address-denied'];
      return this.#isOwn(port, arp.senderAddress(view, packet)) ? HOST_OK : DROP['spoofed-ip'];
    }
    if (type !== ethernet.ETHERTYPE_IPV4) return DROP['host-address-denied'];
    if (!this.#isOwn(port, ipv4.source(view, packet))) return DROP['spoofed-ip'];
    if (ipv4.destination(view, packet) !== tables.hostAddress(network)) return DROP['host-address-denied'];
    return this.#checkPacket(network, port, view, packet);
  }

  /** The host tells guests apart by address: those everybody may use for setting up are no answer to it. */
  #isOwn(port: number, address: number): boolean {
    return this.#tables.ipState(port) !== ADDRESS_UNKNOWN && this.#tables.ip(port) === address;
  }

  #checkPacket(network: number, port: number, view: DataView, packet: number): number {
    const guest = ipv4.source(view, packet);
    const protocol = ipv4.protocol(view, packet);
    const fragment = ipv4.identification(view, packet);
    if (ipv4.isLaterFragment(view, packet)) {
      return this.#isNoted(guest, fragment, FRAGMENT_KEY | protocol, port)
        ? HOST_OK
        : DROP['host-flow-denied'];
    }
    const segment = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    let verdict: number = DROP['host-flow-denied'];
    if (protocol === ipv4.PROTOCOL_TCP) verdict = this.#checkTcp(network, port, view, guest, segment, bytes);
    else if (protocol === ipv4.PROTOCOL_UDP) {
      // A first fragment has not all the bytes its UDP length counts.
      const whole = ipv4.isFragment(view, packet) || udp.check(view, segment, bytes);
      verdict = whole ? this.#checkUdp(network, port, view, guest, segment, bytes) : DROP.malformed;
    } else if (protocol === ipv4.PROTOCOL_ICMP)
      verdict = this.#checkIcmp(network, port, view, guest, segment, bytes);
    if (verdict === HOST_OK && ipv4.isFragment(view, packet)) {
      this.#note(guest, fragment, FRAGMENT_KEY | protocol, port);
    }
    return verdict;
  }

  #checkTcp(
    network: number,
    port: number,
    view: DataView,
    guest: number,
    segment: number,
    bytes: number,
  ): number {
    if (!tcp.check(view, segment, bytes)) return DROP.malformed;
    const hostPort = tcp.destinationPort(view, segment);
    if (this.#tables.allowedFromGuests(network, false, hostPort)) return HOST_OK;
    const flags = tcp.flags(view, segment) & (tcp.SYN | tcp.RST | tcp.ACK);
    if (flags === tcp.SYN) return DROP['host-flow-denied'];
    const ports = pair(tcp.sourcePort(view, segment), hostPort);
    if (this.#renew(guest, ports, ipv4.PROTOCOL_TCP, port)) return HOST_OK;
    const pickedUp = flags === tcp.ACK && this.#clock.seconds < this.#pickupUntil;
    return pickedUp ? HOST_OK : DROP['host-flow-denied'];
  }

  #checkUdp(
    network: number,
    port: number,
    view: DataView,
    guest: number,
    segment: number,
    bytes: number,
  ): number {
    if (bytes < udp.UDP_HEADER_BYTES) return DROP.malformed;
    const hostPort = udp.destinationPort(view, segment);
    if (this.#tables.allowedFromGuests(network, true, hostPort)) return HOST_OK;
    const ports = pair(udp.sourcePort(view, segment), hostPort);
    return this.#renew(guest, ports, ipv4.PROTOCOL_UDP, port) ? HOST_OK : DROP['host-flow-denied'];
  }

  #checkIcmp(
    network: number,
    port: number,
    view: DataView,
    guest: number,
    segment: number,
    bytes: number,
  ): number {
    if (!icmp.check(view, segment, bytes)) return DROP.malformed;
    switch (icmp.type(view, segment)) {
      case icmp.ECHO_REPLY: {
        const known = this.#renew(guest, icmp.identifier(view, segment), ipv4.PROTOCOL_ICMP, port);
        return known ? HOST_OK : DROP['host-flow-denied'];
      }
      case icmp.UNREACHABLE:
      case icmp.TIME_EXCEEDED: {
        const quote = segment + icmp.ICMP_HEADER_BYTES;
        const known = this.#quotesFlow(network, port, view, guest, quote, bytes - icmp.ICMP_HEADER_BYTES);
        return known ? HOST_OK : DROP['host-flow-denied'];
      }
      default:
        return DROP['host-flow-denied'];
    }
  }

  /** True when the quoted packet went from the host port to this guest, in a flow that is known. */
  #quotesFlow(
    network: number,
    port: number,
    view: DataView,
    guest: number,
    quote: number,
    bytes: number,
  ): boolean {
    if (bytes < ipv4.IPV4_HEADER_BYTES + QUOTED_BYTES) return false;
    // The quote is the packet's beginning only: its own lengths point beyond it.
    const header = ipv4.headerLength(view, quote);
    if (header < ipv4.IPV4_HEADER_BYTES || bytes < header + QUOTED_BYTES) return false;
    if (ipv4.source(view, quote) !== this.#tables.hostAddress(network)) return false;
    if (ipv4.destination(view, quote) !== guest) return false;
    const protocol = ipv4.protocol(view, quote);
    const inner = quote + header;
    const ports =
      protocol === ipv4.PROTOCOL_ICMP
        ? icmp.identifier(view, inner)
        : pair(udp.destinationPort(view, inner), udp.sourcePort(view, inner));
    return this.#isNoted(guest, ports, protocol, port);
  }

  #isNoted(guest: number, ports: number, protocol: number, port: number): boolean {
    return this.#tables.hostFlows.find(guest, ports, (protocol << 16) | port, this.#clock.seconds) !== NONE;
  }

  /** Puts a known flow's end off; false when it is unknown. */
  #renew(guest: number, ports: number, protocol: number, port: number): boolean {
    const now = this.#clock.seconds;
    const entry = this.#tables.hostFlows.find(guest, ports, (protocol << 16) | port, now);
    if (entry === NONE) return false;
    this.#tables.hostFlows.refresh(entry, now + flowSeconds(protocol));
    return true;
  }

  #note(guest: number, ports: number, protocol: number, port: number): void {
    if (this.#renew(guest, ports, protocol, port)) return;
    const { hostFlows, owner } = this.#tables;
    const expiry = this.#clock.seconds + flowSeconds(protocol);
    hostFlows.insert(guest, ports, (protocol << 16) | port, port, expiry, owner);
  }
}
