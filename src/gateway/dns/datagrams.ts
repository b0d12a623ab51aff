/** DNS over UDP: the question out of a guest's frame, the answer into a frame of its own. */
import type { FrameBatch } from '../../port/batch.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../../switch/gateway-mac.ts';
import { drop, KEPT } from '../../switch/verdict.ts';
import { type Memory, mapMemory } from '../../sys/memory.ts';
import { DROP } from '../../telemetry/drops.ts';
import { pseudoHeader4 } from '../../wire/checksum.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import * as vnet from '../../wire/vnet.ts';
import type { GatewayContext } from '../context.ts';
import type { GatewayDns } from './dns.ts';
import { type DnsClient, MAX_DATAGRAM_BYTES } from './query.ts';

export const DNS_PORT = 53;
const TTL = 64;

export class DnsDatagrams {
  readonly #context: GatewayContext;
  readonly #dns: GatewayDns;
  readonly #answer: Memory = mapMemory(udp.UDP_HEADER_BYTES + MAX_DATAGRAM_BYTES);

  constructor(context: GatewayContext, dns: GatewayDns) {
    this.#context = context;
    this.#dns = dns;
  }

  /** True for a whole UDP datagram to port 53, in a packet to the gateway. */
  isQuestion(view: DataView, packet: number, isIpv4: boolean): boolean {
    const header = isIpv4 ? ipv4.headerLength(view, packet) : ipv6.transportOffset(view, packet) - packet;
    const total = isIpv4
      ? ipv4.totalLength(view, packet)
      : ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet);
    const off = packet + header;
    return udp.check(view, off, total - header) && udp.destinationPort(view, off) === DNS_PORT;
  }

  /** Handles what {@link isQuestion} was true for. Returns a verdict. */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { view } = batch;
    const off = isIpv4 ? packet + ipv4.headerLength(view, packet) : ipv6.transportOffset(view, packet);
    const bytes = udp.length(view, off);
    if (vnet.flags(view, batch.start[slot] as number) === 0) {
      const pseudo = isIpv4
        ? pseudoHeader4(ipv4.source(view, packet), ipv4.destination(view, packet), ipv4.PROTOCOL_UDP, bytes)
        : ipv6.pseudoHeader(view, packet, ipv4.PROTOCOL_UDP, bytes);
      if (!udp.isChecksumRight(view, off, pseudo)) return drop(DROP.malformed);
    }
    const client = this.#client(view, ingress, packet, off, isIpv4);
    const asked = this.#dns.datagram(client, view, off + udp.UDP_HEADER_BYTES, bytes - udp.UDP_HEADER_BYTES);
    return asked ? KEPT : drop(DROP.malformed);
  }

  #client(view: DataView, port: number, packet: number, off: number, isIpv4: boolean): DnsClient {
    const network = this.#context.tables.network(port);
    const guestPort = udp.sourcePort(view, off);
    // The header the answer goes behind: the question's, turned round.
    const bytes = isIpv4 ? ipv4.IPV4_HEADER_BYTES : ipv6.IPV6_HEADER_BYTES;
    const header = new Uint8Array(view.buffer, view.byteOffset + packet, bytes).slice();
    const reply = (message: Uint8Array) =>
      this.#reply(port, guestPort, new DataView(header.buffer), isIpv4, message);
    return { network, port, stream: false, reply };
  }

  #reply(port: number, guestPort: number, asked: DataView, isIpv4: boolean, message: Uint8Array): void {
    const { outbox, tables } = this.#context;
    const { view } = outbox;
    const start = outbox.claim();
    const frame = start + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const type = isIpv4 ? ethernet.ETHERTYPE_IPV4 : ethernet.ETHERTYPE_IPV6;
    vnet.clear(view, start);
    ethernet.writeHeader(
      view,
      frame,
      tables.macHigh(port),
      tables.macLow(port),
      GATEWAY_MAC_HIGH,
      GATEWAY_MAC_LOW,
      type,
    );
    const bytes = udp.UDP_HEADER_BYTES + message.length;
    const off = packet + (isIpv4 ? ipv4.IPV4_HEADER_BYTES : ipv6.IPV6_HEADER_BYTES);
    let pseudo: number;
    if (isIpv4) {
      const from = ipv4.destination(asked, 0);
      const to = ipv4.source(asked, 0);
      ipv4.emitHeader(view, packet, ipv4.IPV4_HEADER_BYTES + bytes, TTL, ipv4.PROTOCOL_UDP, from, to);
      pseudo = pseudoHeader4(from, to, ipv4.PROTOCOL_UDP, bytes);
    } else {
      const from = (i: number) => ipv6.destinationWord(asked, 0, i);
      const to = (i: number) => ipv6.sourceWord(asked, 0, i);
      ipv6.emitHeader(
        view,
        packet,
        bytes,
        ipv4.PROTOCOL_UDP,
        TTL,
        from(0),
        from(1),
        from(2),
        from(3),
        to(0),
        to(1),
        to(2),
        to(3),
      );
      pseudo = ipv6.pseudoHeader(view, packet, ipv4.PROTOCOL_UDP, bytes);
    }
    const datagram = this.#answer;
    udp.emit(datagram.view, 0, DNS_PORT, guestPort, bytes);
    datagram.u8.set(message, udp.UDP_HEADER_BYTES);
    udp.fillChecksum(datagram.view, 0, pseudo);
    outbox.commit(port, off - start, datagram.address, bytes);
    // The next answer is written where this one lies.
    outbox.flush();
  }
}
