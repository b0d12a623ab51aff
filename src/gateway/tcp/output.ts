/**
 * Segments to the guest: headers into the outbox's slot, payload by its address in the flow's send buffer.
 *
 * A frame may hold many segments' worth of payload; whoever takes it (the kernel, or the guest's driver) cuts it and
 * computes checksums, of which only the pseudo-header's part is written here (RFC 9293 section 3.1).
 */
import type { Tables } from '../../switch/tables.ts';
import type { Clock } from '../../sys/clock.ts';
import { fold } from '../../wire/checksum.ts';
import { PROTOCOL_TCP } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import { writeSack, writeSynOptions, writeTimestamps } from '../../wire/tcp-options.ts';
import * as vnet from '../../wire/vnet.ts';
import type { Outbox } from '../outbox.ts';
import { HEAD_BYTES, ipBytes, pseudoHeader, writeEthernet, writeToGuest } from '../to-guest.ts';
import { ESTABLISHED, TcpFlow } from './flow.ts';
import type { FlowEvents } from './flow-events.ts';
import type { Segment } from './segment.ts';

/** Shift of the windows we advertise: up to 8 MB */
export const OWN_WINDOW_SCALE = 7;
const LARGEST_WINDOW_FIELD = 0xffff;
/** What we take: a guest's own MTU is what bounds its segments */
const OWN_MSS = 65_495;
/** What fits beside timestamps (RFC 2018 section 3) */
const SACK_BLOCKS = 3;

export class TcpOutput {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #edges = new Int32Array(2 * SACK_BLOCKS);
  readonly #receiveBytes: number;
  /** Stands for what is no flow, or none any more */
  readonly #stray: TcpFlow;

  /** @param receiveBytes that a flow can take in without its host's taking any */
  constructor(tables: Tables, clock: Clock, outbox: Outbox, receiveBytes: number, events: FlowEvents) {
    this.#tables = tables;
    this.#clock = clock;
    this.#outbox = outbox;
    this.#receiveBytes = receiveBytes;
    this.#stray = new TcpFlow(events);
  }

  /** Sends a SYN, or a SYN-ACK when the guest's SYN has been here. */
  syn(flow: TcpFlow): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const answers = flow.irs !== flow.rcvNxt;
    const header = transportOffset(flow, start);
    const options = header + tcp.TCP_HEADER_BYTES;
    // To a guest's SYN nothing is offered that it did not.
    const scale = answers && flow.rcvScale === 0 ? -1 : OWN_WINDOW_SCALE;
    let bytes = writeSynOptions(view, options, OWN_MSS, scale, !answers || flow.hasSack);
    if (!answers || flow.hasTimestamps) {
      bytes += writeTimestamps(view, options + bytes, this.#timestamp(flow), flow.tsRecent);
    }
    const flags = answers ? tcp.SYN | tcp.ACK : tcp.SYN;
    // The window of a SYN is never scaled (RFC 7323 section 2.2).
    const window = Math.min(this.#receiveBytes, LARGEST_WINDOW_FIELD);
    flow.rcvEdge = (flow.rcvNxt + window) | 0;
    this.#headers(flow, start, flow.iss, tcp.TCP_HEADER_BYTES + bytes, flags, window, 0);
    flow.acked = flow.rcvNxt;
    this.#outbox.commit(flow.port, header + tcp.TCP_HEADER_BYTES + bytes - start, 0, 0);
  }

  /** Acknowledges what came, with the ranges that came out of order. */
  acknowledge(flow: TcpFlow): void {
    this.#bare(flow, flow.sndMax, tcp.ACK);
  }

  /** A segment the guest has to answer though it says nothing new: its number lies before what was acknowledged. */
  probe(flow: TcpFlow): void {
    this.#bare(flow, (flow.sndUna - 1) | 0, tcp.ACK);
  }

  /** Resets the guest's half of the connection. */
  reset(flow: TcpFlow): void {
    this.#bare(flow, flow.sndMax, tcp.RST | tcp.ACK);
  }

  /** Answers a segment that belongs to nothing with the reset RFC 9293 section 3.10.7.1 asks for. */
  resetStray(segment: Segment): void {
    const flow = this.#stray;
    flow.take(segment.key);
    if (segment.has(tcp.ACK)) {
      flow.rcvNxt = 0;
      this.#bare(flow, segment.acknowledgment, tcp.RST);
    } else {
      flow.rcvNxt = (segment.sequence + segment.length) | 0;
      this.#bare(flow, 0, tcp.RST | tcp.ACK);
    }
  }

  #bare(flow: TcpFlow, sequence: number, flags: number): void {
    const { view } = this.#outbox;
    const start = this.#outbox.claim();
    const header = transportOffset(flow, start);
    let at = header + tcp.TCP_HEADER_BYTES;
    if (flow.hasTimestamps) at += writeTimestamps(view, at, this.#timestamp(flow), flow.tsRecent);
    const ranges = flow.receiveBuffer?.ranges;
    if (flow.hasSack && ranges !== undefined && ranges.count > 0 && (flags & tcp.RST) === 0) {
      at += writeSack(view, at, this.#edges, this.#sackBlocks(flow));
    }
    this.#headers(flow, start, sequence, at - header, flags, this.#window(flow), 0);
    this.#outbox.commit(flow.port, at - start, 0, 0);
  }

  /** The range that came last goes first (RFC 2018 section 4); returns how many blocks there are. */
  #sackBlocks(flow: TcpFlow): number {
    const ranges = flow.receiveBuffer!.ranges;
    const edges = this.#edges;
    const latest = Math.max(0, ranges.indexOf(flow.lastRangeStart));
    edges[0] = ranges.start(latest);
    edges[1] = ranges.end(latest);
    let blocks = 1;
    for (let i = ranges.count - 1; i >= 0 && blocks < SACK_BLOCKS; i--) {
      if (i === latest) continue;
      edges[2 * blocks] = ranges.start(i);
      edges[2 * blocks + 1] = ranges.end(i);
      blocks++;
    }
    return blocks;
  }

  /**
   * Sends `bytes` bytes of the send buffer from `sequence` on, which lie behind each other in the ring.
   *
   * @param end whether the FIN follows them
   */
  data(flow: TcpFlow, sequence: number, bytes: number, end: boolean): void {
    const start = this.#outbox.claim();
    const header = transportOffset(flow, start);
    let at = header + tcp.TCP_HEADER_BYTES;
    if (flow.hasTimestamps) {
      at += writeTimestamps(this.#outbox.view, at, this.#timestamp(flow), flow.tsRecent);
    }
    const last = ((sequence + bytes - flow.sndEnd) | 0) === 0;
    const flags = tcp.ACK | (last && bytes > 0 ? tcp.PSH : 0) | (end ? tcp.FIN : 0);
    this.#headers(flow, start, sequence, at - header, flags, this.#window(flow), bytes);
    let payload = 0;
    if (bytes > 0) {
      const buffer = flow.sendBuffer!;
      payload = buffer.address + flow.ringOffset(sequence);
    }
    this.#outbox.commit(flow.port, at - start, payload, bytes, flow, sequence);
  }

  /** The window field; remembers the edge it stands for, and that everything is acknowledged. */
  #window(flow: TcpFlow): number {
    flow.acked = flow.rcvNxt;
    flow.owesAck = false;
    flow.ackTimer.cancel();
    const free = Math.min(this.#receiveBytes - flow.waiting, flow.windowBound);
    const promised = (flow.rcvEdge - flow.rcvNxt) | 0;
    // What was promised once is not taken back (RFC 9293 section 3.8.6.2.2).
    const window = Math.max(free, promised, 0);
    const field = Math.min(window >>> flow.rcvScale, LARGEST_WINDOW_FIELD);
    const edge = (flow.rcvNxt + (field << flow.rcvScale)) | 0;
    if (((edge - flow.rcvEdge) | 0) > 0) flow.rcvEdge = edge;
    return field;
  }

  /** Whether a window update would be worth a segment of its own (RFC 9293 section 3.8.6.2.2). */
  owesWindow(flow: TcpFlow): boolean {
    const free = Math.min(this.#receiveBytes - flow.waiting, flow.windowBound);
    const gain = (flow.rcvNxt + free - flow.rcvEdge) | 0;
    return flow.state >= ESTABLISHED && gain >= this.#receiveBytes / 2;
  }

  #timestamp(flow: TcpFlow): number {
    return (this.#clock.ms + flow.tsOffset) | 0;
  }

  #headers(
    flow: TcpFlow,
    start: number,
    sequence: number,
    tcpBytes: number,
    flags: number,
    window: number,
    payloadBytes: number,
  ): void {
    const { view } = this.#outbox;
    const frame = start + vnet.VNET_HEADER_BYTES;
    const header = transportOffset(flow, start);
    const segment = tcpBytes + payloadBytes;
    const packet = writeEthernet(view, start, this.#tables, flow);
    writeToGuest(view, packet, flow, PROTOCOL_TCP, segment);
    const partial = pseudoHeader(view, packet, flow, PROTOCOL_TCP, segment);
    const acknowledgment = (flags & tcp.ACK) === 0 ? 0 : flow.rcvNxt;
    tcp.emit(
      view,
      header,
      flow.remotePort,
      flow.guestPort,
      sequence,
      acknowledgment,
      tcpBytes,
      flags,
      window,
      fold(partial),
    );
    const headers = header + tcpBytes - frame;
    const cut = payloadBytes > flow.mss;
    const gso = cut ? (flow.isIpv4 ? vnet.GSO_TCPV4 : vnet.GSO_TCPV6) : vnet.GSO_NONE;
    vnet.writeUnfinished(view, start, gso, headers, cut ? flow.mss : 0, header - frame, tcp.CHECKSUM_OFFSET);
  }
}

/** Offset of the TCP header in a slot. */
function transportOffset(flow: TcpFlow, start: number): number {
  return start + HEAD_BYTES + ipBytes(flow);
}
