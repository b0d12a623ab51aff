/** The segment of a guest that is being handled: read once, used everywhere, one object for all. */
import type { FrameBatch } from '../../port/batch.ts';
import { checksum, pseudoHeader4 } from '../../wire/checksum.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as tcp from '../../wire/tcp.ts';
import { TcpOptions } from '../../wire/tcp-options.ts';
import * as vnet from '../../wire/vnet.ts';
import { FlowKey } from './flow-table.ts';

export class Segment {
  readonly key = new FlowKey();
  readonly options = new TcpOptions();
  flags = 0;
  sequence = 0;
  acknowledgment = 0;
  /** As written, not scaled */
  window = 0;
  payloadBytes = 0;
  /** Address of the payload in the receive slot */
  payload = 0;

  /** Reads the TCP segment in the packet at offset `packet` of the slot; false when it is malformed. */
  read(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): boolean {
    const { view } = batch;
    const header = isIpv4 ? ipv4.headerLength(view, packet) : ipv6.transportOffset(view, packet) - packet;
    const total = isIpv4
      ? ipv4.totalLength(view, packet)
      : ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, packet);
    const off = packet + header;
    const bytes = total - header;
    if (!tcp.check(view, off, bytes)) return false;
    const start = batch.start[slot] as number;
    // What this machine sent, or its hardware has verified, carries no checksum to speak of.
    if (vnet.flags(view, start) === 0) {
      const pseudo = isIpv4
        ? pseudoHeader4(ipv4.source(view, packet), ipv4.destination(view, packet), ipv4.PROTOCOL_TCP, bytes)
        : ipv6.pseudoHeader(view, packet, ipv4.PROTOCOL_TCP, bytes);
      if (checksum(view, off, bytes, pseudo) !== 0) return false;
    }
    const { key } = this;
    key.port = ingress;
    if (isIpv4) {
      key.guest0 = key.guest1 = key.remote0 = key.remote1 = 0;
      key.guest2 = key.remote2 = 0xffff;
      key.guest3 = ipv4.source(view, packet);
      key.remote3 = ipv4.destination(view, packet);
    } else {
      key.guest0 = ipv6.sourceWord(view, packet, 0);
      key.guest1 = ipv6.sourceWord(view, packet, 1);
      key.guest2 = ipv6.sourceWord(view, packet, 2);
      key.guest3 = ipv6.sourceWord(view, packet, 3);
      key.remote0 = ipv6.destinationWord(view, packet, 0);
      key.remote1 = ipv6.destinationWord(view, packet, 1);
      key.remote2 = ipv6.destinationWord(view, packet, 2);
      key.remote3 = ipv6.destinationWord(view, packet, 3);
    }
    key.guestPort = tcp.sourcePort(view, off);
    key.remotePort = tcp.destinationPort(view, off);
    this.flags = tcp.flags(view, off);
    this.sequence = tcp.sequence(view, off);
    this.acknowledgment = tcp.acknowledgment(view, off);
    this.window = tcp.window(view, off);
    const headerBytes = tcp.dataOffset(view, off);
    this.payloadBytes = bytes - headerBytes;
    this.payload = batch.address(slot) + (off + headerBytes - start);
    this.options.read(view, off, headerBytes);
    return true;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Numbers the segment takes: a SYN and a FIN are one each (RFC 9293 section 3.4). */
  get length(): number {
    return this.payloadBytes + (this.has(tcp.SYN) ? 1 : 0) + (this.has(tcp.FIN) ? 1 : 0);
  }

  /** Whether this is the first of a connection, and numbered after `last` of an earlier one. */
  beginsAfter(last: number): boolean {
    return (this.flags & (tcp.SYN | tcp.ACK | tcp.RST)) === tcp.SYN && tcp.before(last, this.sequence);
  }
}
