/**
 * Datagrams and echo replies to the guest: headers into the outbox's slot, payload from where it was received.
 *
 * What fits into a packet leaves its UDP checksum to whoever takes it; what does not is sent in fragments, for which
 * the checksum has to be computed here. That of ICMP always is: no offload knows it.
 */
import { randomInt } from 'node:crypto';
import { ADDRESS_UNKNOWN, type Tables } from '../../switch/tables.ts';
import { DROP } from '../../telemetry/drops.ts';
import { fold, sum } from '../../wire/checksum.ts';
import { emitFragmentHeader, FRAGMENT_HEADER_BYTES, FRAGMENT_UNIT, toFragment } from '../../wire/fragment.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import * as vnet from '../../wire/vnet.ts';
import type { GatewayContext } from '../context.ts';
import { HEAD_BYTES, ipBytes, pseudoHeader, writeHead, writeToGuest } from '../to-guest.ts';
import type { DatagramFlow } from './flow.ts';
import type { DatagramReceiver } from './receiver.ts';

const MAX_PACKET_BYTES = 65_535;
/** Of UDP (RFC 768), and of ICMP and ICMPv6 echo (RFC 792, RFC 4443 section 4.1) */
const TRANSPORT_BYTES = 8;

/** True when there is a guest at `port` to send to. */
export function isReachable(tables: Tables, port: number): boolean {
  return tables.carrier(port) && tables.macState(port) !== ADDRESS_UNKNOWN;
}

export class DatagramOutput {
  readonly #context: GatewayContext;
  readonly #receiver: DatagramReceiver;
  /** Of the next datagram in fragments: not to be guessed (RFC 7739 section 5) */
  #identification = randomInt(2 ** 31);

  constructor(context: GatewayContext, receiver: DatagramReceiver) {
    this.#context = context;
    this.#receiver = receiver;
  }

  /** True when there is a guest at `port` to send to. */
  isReachable(port: number): boolean {
    return isReachable(this.#context.tables, port);
  }

  /** Sends a received datagram, `index` of the receiver's vector, to the flow's guest. */
  datagram(flow: DatagramFlow, index: number): void {
    const bytes = this.#receiver.vector.bytes(index);
    if (!this.#mayLeave(flow, bytes)) return;
    const { view } = this.#context.outbox;
    const start = this.#context.outbox.claim();
    const header = start + HEAD_BYTES + ipBytes(flow);
    udp.emit(view, header, flow.remotePort, flow.guestPort, TRANSPORT_BYTES + bytes);
    const at = this.#receiver.vector.slot(index);
    if (!this.#fits(flow, bytes)) {
      this.#fillChecksum(flow, start, at, bytes, ipv4.PROTOCOL_UDP, udp.CHECKSUM_OFFSET);
      this.#fragments(flow, start, ipv4.PROTOCOL_UDP, this.#receiver.vector.slotAddress(index), bytes);
      return;
    }
    this.#ip(flow, start, ipv4.PROTOCOL_UDP, TRANSPORT_BYTES + bytes);
    const partial = this.#pseudoHeader(flow, start, ipv4.PROTOCOL_UDP, TRANSPORT_BYTES + bytes);
    view.setUint16(header + udp.CHECKSUM_OFFSET, fold(partial));
    const frame = start + vnet.VNET_HEADER_BYTES;
    const headers = header + TRANSPORT_BYTES - frame;
    vnet.writeUnfinished(view, start, vnet.GSO_NONE, headers, 0, header - frame, udp.CHECKSUM_OFFSET);
    this.#commit(flow, header + TRANSPORT_BYTES - start, this.#receiver.vector.slotAddress(index), bytes);
  }

  /**
   * Sends an echo reply to the flow's guest.
   *
   * @param at offset in the receiver's datagram `index` of the reply's data, which are all that follows
   */
  echoReply(flow: DatagramFlow, sequence: number, index: number, at: number): void {
    const { vector } = this.#receiver;
    const bytes = vector.bytes(index) - at;
    if (!this.#mayLeave(flow, bytes)) return;
    const { view } = this.#context.outbox;
    const start = this.#context.outbox.claim();
    const header = start + HEAD_BYTES + ipBytes(flow);
    const rest = (flow.guestPort << 16) | sequence;
    icmpv6.emitHeader(view, header, flow.isIpv4 ? icmp.ECHO_REPLY : icmpv6.ECHO_REPLY, 0, rest);
    const protocol = flow.isIpv4 ? ipv4.PROTOCOL_ICMP : ipv6.PROTOCOL_ICMPV6;
    this.#fillChecksum(flow, start, vector.slot(index) + at, bytes, protocol, icmp.CHECKSUM_OFFSET);
    const payload = vector.slotAddress(index) + at;
    if (!this.#fits(flow, bytes)) {
      this.#fragments(flow, start, protocol, payload, bytes);
      return;
    }
    this.#ip(flow, start, protocol, TRANSPORT_BYTES + bytes);
    this.#commit(flow, header + TRANSPORT_BYTES - start, payload, bytes);
  }

  #mayLeave(flow: DatagramFlow, payloadBytes: number): boolean {
    const { counters } = this.#context;
    const whole = (flow.isIpv4 ? ipv4.IPV4_HEADER_BYTES : 0) + TRANSPORT_BYTES + payloadBytes;
    const reason = this.isReachable(flow.port) ? DROP['too-big'] : DROP['port-down'];
    if (reason === DROP['too-big'] && whole <= MAX_PACKET_BYTES) return true;
    counters.dropped(flow.port, reason, 1);
    return false;
  }

  #mtu(flow: DatagramFlow): number {
    const { tables } = this.#context;
    return tables.mtu(tables.network(flow.port));
  }

  #fits(flow: DatagramFlow, payloadBytes: number): boolean {
    return ipBytes(flow) + TRANSPORT_BYTES + payloadBytes <= this.#mtu(flow);
  }

  /**
   * Sends the packet whose transport header stands in the claimed slot at `start`, where it would be without fragments.
   */
  #fragments(
    flow: DatagramFlow,
    start: number,
    protocol: number,
    payload: number,
    payloadBytes: number,
  ): void {
    const { outbox } = this.#context;
    const { view } = outbox;
    const extra = flow.isIpv4 ? 0 : FRAGMENT_HEADER_BYTES;
    const headers = HEAD_BYTES + ipBytes(flow) + extra;
    const room = (this.#mtu(flow) - ipBytes(flow) - extra) & -FRAGMENT_UNIT;
    const total = TRANSPORT_BYTES + payloadBytes;
    const identification = this.#identification;
    this.#identification = (identification + 1) | 0;
    const transport = start + HEAD_BYTES + ipBytes(flow);
    const high = view.getInt32(transport);
    const low = view.getInt32(transport + 4);
    for (let offset = 0; offset < total; offset += room) {
      const slot = offset === 0 ? start : outbox.claim();
      const bytes = Math.min(room, total - offset);
      this.#fragmentHeader(flow, slot, protocol, identification, offset, bytes, offset + bytes < total);
      if (offset === 0) {
        view.setInt32(slot + headers, high);
        view.setInt32(slot + headers + 4, low);
        this.#commit(flow, headers + TRANSPORT_BYTES, payload, bytes - TRANSPORT_BYTES);
      } else {
        this.#commit(flow, headers, payload + offset - TRANSPORT_BYTES, bytes);
      }
    }
  }

  #fragmentHeader(
    flow: DatagramFlow,
    slot: number,
    protocol: number,
    identification: number,
    offset: number,
    bytes: number,
    more: boolean,
  ): void {
    const { view } = this.#context.outbox;
    const packet = slot + HEAD_BYTES;
    if (flow.isIpv4) {
      this.#ip(flow, slot, protocol, bytes);
      toFragment(view, packet, identification & 0xffff, offset, more);
    } else {
      this.#ip(flow, slot, ipv6.PROTOCOL_FRAGMENT, FRAGMENT_HEADER_BYTES + bytes);
      const header = packet + ipv6.IPV6_HEADER_BYTES;
      emitFragmentHeader(view, header, protocol, identification, offset, more);
    }
  }

  #commit(flow: DatagramFlow, headerBytes: number, payload: number, bytes: number): void {
    this.#context.outbox.commit(flow.port, headerBytes, payload, bytes);
  }

  /** Writes everything before the transport header, which `bytes` bytes begin with. */
  #ip(flow: DatagramFlow, start: number, protocol: number, bytes: number): void {
    const { outbox, tables } = this.#context;
    const packet = writeHead(outbox.view, start, tables, flow);
    writeToGuest(outbox.view, packet, flow, protocol, bytes);
  }

  /** Partial sum of what a transport header's checksum covers beside itself; ICMP's covers nothing (RFC 792). */
  #pseudoHeader(flow: DatagramFlow, start: number, protocol: number, bytes: number): number {
    if (protocol === ipv4.PROTOCOL_ICMP) return 0;
    return pseudoHeader(this.#context.outbox.view, start + HEAD_BYTES, flow, protocol, bytes);
  }

  /** Computes the checksum over the transport header in the slot and the payload at `at` of the receiver's memory. */
  #fillChecksum(
    flow: DatagramFlow,
    start: number,
    at: number,
    bytes: number,
    protocol: number,
    field: number,
  ): void {
    const { view } = this.#context.outbox;
    const header = start + HEAD_BYTES + ipBytes(flow);
    // The addresses have to be there for the pseudo-header; what else is written is written again.
    this.#ip(flow, start, protocol, TRANSPORT_BYTES + bytes);
    const pseudo = this.#pseudoHeader(flow, start, protocol, TRANSPORT_BYTES + bytes);
    const headerSum = sum(view, header, TRANSPORT_BYTES, pseudo);
    const value = fold(sum(this.#receiver.vector.view, at, bytes, headerSum)) ^ 0xffff;
    // 0 would say that there is none (RFC 768); for ICMP both are right.
    view.setUint16(header + field, value === 0 && protocol === ipv4.PROTOCOL_UDP ? 0xffff : value);
  }
}
