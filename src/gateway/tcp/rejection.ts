/**
 * ICMP errors of a guest about a SYN of ours: how a firewall that rejects says no. A hard error ends the attempt as a
 * reset does (RFC 1122 section 4.2.3.9); on an open connection it is nothing (RFC 5461 section 4.1).
 */
import { MAPPED } from '../../sys/inet-socket.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import type { FlowKey } from '../flow-key.ts';

/** Of the quoted segment what is there at least: ports and sequence number (RFC 792) */
const QUOTED_BYTES = 8;
const VERSION_4 = 4;
/** Codes of "unreachable" that do not go away by waiting: protocol, port, and what a filter forbids (RFC 1812 5.2.7.1) */
const HARD: readonly number[] = [2, 3, 9, 10, 13];

/** What a guest has rejected: one object for all, read anew for each packet. */
export class Rejection {
  /** Of the segment that is quoted */
  sequence = 0;

  /**
   * Reads the ICMP packet at `packet`, whose IP header was checked; the flow that is meant is in `key` then. False where
   * it is no hard error about TCP.
   *
   * @param ingress the VM's port
   */
  read(view: DataView, packet: number, ingress: number, key: FlowKey): boolean {
    const message = packet + ipv4.headerLength(view, packet);
    const end = packet + ipv4.totalLength(view, packet);
    if (!icmp.check(view, message, end - message)) return false;
    if (icmp.type(view, message) !== icmp.UNREACHABLE || !HARD.includes(icmp.code(view, message)))
      return false;
    const quote = message + icmp.ICMP_HEADER_BYTES;
    if (quote + ipv4.IPV4_HEADER_BYTES + QUOTED_BYTES > end) return false;
    const segment = quote + ipv4.headerLength(view, quote);
    // The quoted packet is cut, so it does not have the length that it says.
    const isSegment =
      view.getUint8(quote) >>> 4 === VERSION_4 &&
      segment >= quote + ipv4.IPV4_HEADER_BYTES &&
      segment + QUOTED_BYTES <= end &&
      ipv4.protocol(view, quote) === ipv4.PROTOCOL_TCP &&
      !ipv4.isLaterFragment(view, quote);
    if (!isSegment) return false;
    key.port = ingress;
    key.guest0 = 0;
    key.guest1 = 0;
    key.guest2 = MAPPED;
    key.guest3 = ipv4.destination(view, quote);
    key.guestPort = tcp.destinationPort(view, segment);
    key.remote0 = 0;
    key.remote1 = 0;
    key.remote2 = MAPPED;
    key.remote3 = ipv4.source(view, quote);
    key.remotePort = tcp.sourcePort(view, segment);
    this.sequence = tcp.sequence(view, segment);
    return true;
  }
}
