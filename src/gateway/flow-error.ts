/**
 * ICMP errors about a flow's packets, for its guest (RFC 792, RFC 4443 section 3): they quote what the guest sent, whose
 * headers are rebuilt from the flow.
 */
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import type { FlowKey } from './flow-key.ts';
import { ipBytes, writeFromGuest, writeToGuest } from './to-guest.ts';

/** Of the quoted packet's transport header, what every error has (RFC 792) */
export const QUOTED_TRANSPORT_BYTES = 8;

/** What an error says; the type and code are those of the guest's family. */
export interface FlowError {
  type: number;
  code: number;
  /** The word behind the checksum: an MTU, or 0 */
  rest: number;
}

/** Offset in a packet to the flow's guest where the caller has to write {@link QUOTED_TRANSPORT_BYTES} of the quoted one. */
export function quotedTransport(flow: FlowKey, packet: number): number {
  return packet + 2 * ipBytes(flow) + icmp.ICMP_HEADER_BYTES;
}

/**
 * Writes the packet around the quoted transport header; returns its length in bytes.
 *
 * @param from the flow's name, with who says it in place of the remote end
 * @param protocol of the quoted packet
 * @param quotedBytes its length behind the IP header
 * @param hops it had left
 */
export function writeFlowError(
  view: DataView,
  packet: number,
  flow: FlowKey,
  from: FlowKey,
  { type, code, rest }: FlowError,
  protocol: number,
  quotedBytes: number,
  hops: number,
): number {
  const header = ipBytes(flow);
  const message = packet + header;
  const quote = message + icmp.ICMP_HEADER_BYTES;
  const quoted = header + QUOTED_TRANSPORT_BYTES;
  writeFromGuest(view, quote, flow, protocol, quotedBytes, hops);
  if (flow.isIpv4) {
    const bytes = icmp.emitError(view, message, type, code, rest, quote, quoted);
    writeToGuest(view, packet, from, ipv4.PROTOCOL_ICMP, bytes);
    return header + bytes;
  }
  const bytes = icmpv6.emitError(view, message, type, code, rest, quote, quoted);
  writeToGuest(view, packet, from, ipv6.PROTOCOL_ICMPV6, bytes);
  icmpv6.fillChecksum(view, message, bytes, packet);
  return header + bytes;
}
