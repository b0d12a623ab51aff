/** What a flow's guest is told or asked outside TCP: that its connection cannot be, and what its MAC is. */
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../../switch/gateway-mac.ts';
import type { Tables } from '../../switch/tables.ts';
import { isMapped } from '../../sys/inet-socket.ts';
import * as arp from '../../wire/arp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as vnet from '../../wire/vnet.ts';
import type { Outbox } from '../outbox.ts';
import type { TcpFlow } from './flow.ts';

const TTL = 64;
const QUOTED_BYTES = 8;
const BROADCAST_HIGH = 0xffff;
const BROADCAST_LOW = -1;
/** Code of ICMPv6's destination unreachable (RFC 4443 section 3.1) */
const ADDRESS_UNREACHABLE6 = 3;
const ADMIN_PROHIBITED6 = 1;

export class Notices {
  readonly #tables: Tables;
  readonly #outbox: Outbox;

  constructor(tables: Tables, outbox: Outbox) {
    this.#tables = tables;
    this.#outbox = outbox;
  }

  /** Says, as a router would, that the host cannot get to where the guest's SYN wanted to go. */
  unreachable(flow: TcpFlow, prohibited: boolean): void {
    if (isMapped(flow.remote0, flow.remote1, flow.remote2)) this.#unreachable4(flow, prohibited);
    else this.#unreachable6(flow, prohibited);
  }

  #unreachable4(flow: TcpFlow, prohibited: boolean): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const packet = this.#ethernet(flow, start, ethernet.ETHERTYPE_IPV4);
    const message = packet + ipv4.IPV4_HEADER_BYTES;
    const quote = message + icmp.ICMP_HEADER_BYTES;
    const quoteBytes = ipv4.IPV4_HEADER_BYTES + QUOTED_BYTES;
    ipv4.emitHeader(view, quote, quoteBytes, TTL, ipv4.PROTOCOL_TCP, flow.guest3, flow.remote3);
    this.#segment(flow, quote + ipv4.IPV4_HEADER_BYTES);
    const code = prohibited ? icmp.ADMIN_PROHIBITED : icmp.HOST_UNREACHABLE;
    const bytes = icmp.emitUnreachable(view, message, code, quote, quoteBytes);
    const gateway = this.#tables.gatewayAddress(this.#tables.network(flow.port));
    const total = ipv4.IPV4_HEADER_BYTES + bytes;
    ipv4.emitHeader(view, packet, total, TTL, ipv4.PROTOCOL_ICMP, gateway, flow.guest3);
    this.#outbox.commit(flow.port, packet + total - start, 0, 0);
  }

  #unreachable6(flow: TcpFlow, prohibited: boolean): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const packet = this.#ethernet(flow, start, ethernet.ETHERTYPE_IPV6);
    const message = packet + ipv6.IPV6_HEADER_BYTES;
    const quote = message + icmpv6.ICMPV6_HEADER_BYTES;
    this.#ipv6(flow, quote, ipv4.PROTOCOL_TCP, QUOTED_BYTES, true);
    this.#segment(flow, quote + ipv6.IPV6_HEADER_BYTES);
    const quoteBytes = ipv6.IPV6_HEADER_BYTES + QUOTED_BYTES;
    const bytes = icmpv6.ICMPV6_HEADER_BYTES + quoteBytes;
    this.#ipv6(flow, packet, ipv6.PROTOCOL_ICMPV6, bytes, false);
    const code = prohibited ? ADMIN_PROHIBITED6 : ADDRESS_UNREACHABLE6;
    icmpv6.emitError(view, message, icmpv6.UNREACHABLE, code, 0, quote, quoteBytes);
    icmpv6.fillChecksum(view, message, bytes, packet);
    this.#outbox.commit(flow.port, packet + ipv6.IPV6_HEADER_BYTES + bytes - start, 0, 0);
  }

  /** The IPv6 header of a packet from the guest to the remote, or the other way. */
  #ipv6(flow: TcpFlow, off: number, protocol: number, bytes: number, fromGuest: boolean): void {
    const { view } = this.#outbox;
    const { guest0, guest1, guest2, guest3, remote0, remote1, remote2, remote3 } = flow;
    if (fromGuest) {
      ipv6.emitHeader(
        view,
        off,
        bytes,
        protocol,
        TTL,
        guest0,
        guest1,
        guest2,
        guest3,
        remote0,
        remote1,
        remote2,
        remote3,
      );
    } else {
      ipv6.emitHeader(
        view,
        off,
        bytes,
        protocol,
        TTL,
        remote0,
        remote1,
        remote2,
        remote3,
        guest0,
        guest1,
        guest2,
        guest3,
      );
    }
  }

  /** The first eight bytes of the guest's SYN. */
  #segment(flow: TcpFlow, off: number): void {
    const { view } = this.#outbox;
    view.setUint16(off, flow.guestPort);
    view.setUint16(off + 2, flow.remotePort);
    view.setInt32(off + 4, flow.irs);
  }

  #ethernet(flow: TcpFlow, start: number, type: number): number {
    const { view } = this.#outbox;
    const frame = start + vnet.VNET_HEADER_BYTES;
    vnet.clear(view, start);
    const high = this.#tables.macHigh(flow.port);
    const low = this.#tables.macLow(flow.port);
    ethernet.writeHeader(view, frame, high, low, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, type);
    return frame + ethernet.ETHERNET_HEADER_BYTES;
  }

  /** Asks for the MAC of the flow's guest. */
  askMac(flow: TcpFlow): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const frame = start + vnet.VNET_HEADER_BYTES;
    vnet.clear(view, start);
    ethernet.writeHeader(
      view,
      frame,
      BROADCAST_HIGH,
      BROADCAST_LOW,
      GATEWAY_MAC_HIGH,
      GATEWAY_MAC_LOW,
      ethernet.ETHERTYPE_ARP,
    );
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const gateway = this.#tables.gatewayAddress(this.#tables.network(flow.port));
    arp.emit(view, packet, arp.ARP_REQUEST, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, gateway, 0, 0, flow.guest3);
    this.#outbox.commit(flow.port, packet + arp.ARP_BYTES - start, 0, 0);
  }
}
