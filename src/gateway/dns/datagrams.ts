/** DNS over UDP: the question out of a guest's frame, the answer into a frame of its own. */
import type { FrameBatch } from '../../port/batch.ts';
import { drop, KEPT } from '../../switch/verdict.ts';
import { type Memory, mapMemory } from '../../sys/memory.ts';
import { DROP } from '../../telemetry/drops.ts';
import { PROTOCOL_UDP } from '../../wire/ipv4.ts';
import * as udp from '../../wire/udp.ts';
import type { GatewayContext } from '../context.ts';
import { FlowKey } from '../flow-key.ts';
import { ipBytes, pseudoHeader, writeHead, writeToGuest } from '../to-guest.ts';
import { isUdpChecksumRight, packetEnd, transportOffset } from '../transport.ts';
import type { GatewayDns } from './dns.ts';
import { type DnsClient, MAX_DATAGRAM_BYTES } from './query.ts';

export const DNS_PORT = 53;

/** True for a whole UDP datagram to port 53, in a packet to the gateway. */
export function isQuestion(view: DataView, packet: number, isIpv4: boolean): boolean {
  const off = transportOffset(view, packet, isIpv4);
  const bytes = packetEnd(view, packet, isIpv4) - off;
  return udp.check(view, off, bytes) && udp.destinationPort(view, off) === DNS_PORT;
}

export class DnsDatagrams {
  readonly #context: GatewayContext;
  readonly #dns: GatewayDns;
  readonly #answer: Memory = mapMemory(udp.UDP_HEADER_BYTES + MAX_DATAGRAM_BYTES);

  constructor(context: GatewayContext, dns: GatewayDns) {
    this.#context = context;
    this.#dns = dns;
  }

  /** Handles what {@link isQuestion} was true for. Returns a verdict. */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const { view } = batch;
    const off = transportOffset(view, packet, isIpv4);
    if (!isUdpChecksumRight(batch, slot, packet, off, isIpv4)) return drop(DROP.malformed);
    const bytes = udp.length(view, off);
    const client = this.#client(view, ingress, packet, off, isIpv4);
    const asked = this.#dns.datagram(client, view, off + udp.UDP_HEADER_BYTES, bytes - udp.UDP_HEADER_BYTES);
    return asked ? KEPT : drop(DROP.malformed);
  }

  #client(view: DataView, port: number, packet: number, off: number, isIpv4: boolean): DnsClient {
    const network = this.#context.tables.network(port);
    const asker = new FlowKey();
    asker.port = port;
    asker.takeAddresses(view, packet, isIpv4);
    asker.guestPort = udp.sourcePort(view, off);
    return { network, port, stream: false, reply: (message) => this.#reply(asker, message) };
  }

  #reply(asker: FlowKey, message: Uint8Array): void {
    const { outbox, tables } = this.#context;
    const { view } = outbox;
    const start = outbox.claim();
    const packet = writeHead(view, start, tables, asker);
    const bytes = udp.UDP_HEADER_BYTES + message.length;
    writeToGuest(view, packet, asker, PROTOCOL_UDP, bytes);
    const pseudo = pseudoHeader(view, packet, asker, PROTOCOL_UDP, bytes);
    const datagram = this.#answer;
    udp.emit(datagram.view, 0, DNS_PORT, asker.guestPort, bytes);
    datagram.u8.set(message, udp.UDP_HEADER_BYTES);
    udp.fillChecksum(datagram.view, 0, pseudo);
    outbox.commit(asker.port, packet + ipBytes(asker) - start, datagram.address, bytes);
    // The next answer is written where this one lies.
    outbox.flush();
  }
}
