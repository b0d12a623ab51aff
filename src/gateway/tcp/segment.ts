/** The segment of a guest that is being handled: read once, used everywhere, one object for all. */
import type { FrameBatch } from '../../port/batch.ts';
import { checksum } from '../../wire/checksum.ts';
import { PROTOCOL_TCP } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import { TcpOptions } from '../../wire/tcp-options.ts';
import { FlowKey } from '../flow-key.ts';
import { isTrusted, packetEnd, pseudoHeader, transportOffset } from '../transport.ts';

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
    const off = transportOffset(view, packet, isIpv4);
    const bytes = packetEnd(view, packet, isIpv4) - off;
    if (!tcp.check(view, off, bytes)) return false;
    if (!isTrusted(batch, slot)) {
      const pseudo = pseudoHeader(view, packet, isIpv4, PROTOCOL_TCP, bytes);
      if (checksum(view, off, bytes, pseudo) !== 0) return false;
    }
    const { key } = this;
    key.port = ingress;
    key.takeAddresses(view, packet, isIpv4);
    key.guestPort = tcp.sourcePort(view, off);
    key.remotePort = tcp.destinationPort(view, off);
    this.flags = tcp.flags(view, off);
    this.sequence = tcp.sequence(view, off);
    this.acknowledgment = tcp.acknowledgment(view, off);
    this.window = tcp.window(view, off);
    const headerBytes = tcp.dataOffset(view, off);
    this.payloadBytes = bytes - headerBytes;
    this.payload = batch.address(slot) + (off + headerBytes - (batch.start[slot] as number));
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

  /** Whether this is the first of a connection. */
  get begins(): boolean {
    return (this.flags & (tcp.SYN | tcp.ACK | tcp.RST)) === tcp.SYN;
  }

  /** Whether this is the first of a connection, and numbered after `last` of an earlier one. */
  beginsAfter(last: number): boolean {
    return this.begins && tcp.before(last, this.sequence);
  }
}
