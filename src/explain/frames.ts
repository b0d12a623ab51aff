/** The frames that are tried out: small and whole, as a guest or the host would send them, with a virtio-net header before. */
import { type IpWords, isIpv4 } from '../config/ip.ts';
import { DNS_PORT } from '../gateway/dns/datagrams.ts';
import { pseudoHeader } from '../gateway/transport.ts';
import * as arp from '../wire/arp.ts';
import { checksum } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { macHigh, macLow } from '../wire/mac.ts';
import * as ndp from '../wire/ndp.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';

export const BROADCAST_MAC = 0xffffffffffff;

/** Source port and echo identifier of what is tried: one that no flow of the host's has, but by chance */
const SOURCE_PORT = 61_000;
const WINDOW = 64_240;
/** EtherType for local experiments (IEEE 802, clause 9.2.3): nothing of the switch knows it */
const ETHERTYPE_LOCAL = 0x88b5;
/** Shortest frame without its check sequence (IEEE 802.3, 4.2.3.3) */
const SHORTEST_BYTES = 60;
const TARGET_BYTES = 16;
/** Number 1, recursion desired, one question: the root, NS, IN (RFC 1035 section 4.1) */
const ROOT_QUESTION = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

const PACKET = VNET_HEADER_BYTES + ethernet.ETHERNET_HEADER_BYTES;

/** Who sends it, and to whom; MACs as 48-bit numbers. */
export interface Link {
  readonly from: number;
  readonly to: number;
}

export interface Ends {
  readonly source: IpWords;
  /** Of the family of `source` */
  readonly destination: IpWords;
}

function frameOf({ from, to }: Link, type: number, payloadBytes: number): DataView<ArrayBuffer> {
  const bytes = Math.max(SHORTEST_BYTES, ethernet.ETHERNET_HEADER_BYTES + payloadBytes);
  const view = new DataView(new ArrayBuffer(VNET_HEADER_BYTES + bytes));
  const at = VNET_HEADER_BYTES;
  ethernet.writeHeader(view, at, macHigh(to), macLow(to), macHigh(from), macLow(from), type);
  return view;
}

const bytesOf = (view: DataView<ArrayBuffer>): Uint8Array => new Uint8Array(view.buffer);

/** A frame of a type that nothing of the switch knows. */
export function plainFrame(link: Link): Uint8Array {
  return bytesOf(frameOf(link, ETHERTYPE_LOCAL, 0));
}

/** The question who has the IPv4 address `target`, to everyone. */
export function arpRequest(from: number, sender: number, target: number): Uint8Array {
  const view = frameOf({ from, to: BROADCAST_MAC }, ethernet.ETHERTYPE_ARP, arp.ARP_BYTES);
  arp.emit(view, PACKET, arp.ARP_REQUEST, macHigh(from), macLow(from), sender, 0, 0, target);
  return bytesOf(view);
}

interface Packet {
  readonly view: DataView<ArrayBuffer>;
  /** Offset of the transport header */
  readonly at: number;
}

function packetOf(link: Link, ends: Ends, protocol: number, bytes: number, hops = ipv4.USUAL_TTL): Packet {
  const { source, destination } = ends;
  if (isIpv4(source)) {
    const total = ipv4.IPV4_HEADER_BYTES + bytes;
    const view = frameOf(link, ethernet.ETHERTYPE_IPV4, total);
    ipv4.emitHeader(view, PACKET, total, hops, protocol, source[3], destination[3]);
    return { view, at: PACKET + ipv4.IPV4_HEADER_BYTES };
  }
  const view = frameOf(link, ethernet.ETHERTYPE_IPV6, ipv6.IPV6_HEADER_BYTES + bytes);
  ipv6.emitHeader(view, PACKET, bytes, protocol, hops, ...source, ...destination);
  return { view, at: PACKET + ipv6.IPV6_HEADER_BYTES };
}

/** A SYN. */
export function tcpSyn(link: Link, ends: Ends, port: number): Uint8Array {
  const bytes = tcp.TCP_HEADER_BYTES;
  const { view, at } = packetOf(link, ends, ipv4.PROTOCOL_TCP, bytes);
  tcp.emit(view, at, SOURCE_PORT, port, 1, 0, bytes, tcp.SYN, WINDOW, 0);
  const pseudo = pseudoHeader(view, PACKET, isIpv4(ends.source), ipv4.PROTOCOL_TCP, bytes);
  view.setUint16(at + tcp.CHECKSUM_OFFSET, checksum(view, at, bytes, pseudo));
  return bytesOf(view);
}

/** A datagram without data; to a name server's port, one that asks for the root's name servers. */
export function udpDatagram(link: Link, ends: Ends, port: number): Uint8Array {
  const data = port === DNS_PORT ? ROOT_QUESTION : [];
  const bytes = udp.UDP_HEADER_BYTES + data.length;
  const { view, at } = packetOf(link, ends, ipv4.PROTOCOL_UDP, bytes);
  udp.emit(view, at, SOURCE_PORT, port, bytes);
  bytesOf(view).set(data, at + udp.UDP_HEADER_BYTES);
  udp.fillChecksum(view, at, pseudoHeader(view, PACKET, isIpv4(ends.source), ipv4.PROTOCOL_UDP, bytes));
  return bytesOf(view);
}

/** An echo request. */
export function echoRequest(link: Link, ends: Ends): Uint8Array {
  const bytes = icmp.ICMP_HEADER_BYTES;
  const rest = (SOURCE_PORT << 16) | 1;
  if (isIpv4(ends.source)) {
    const { view, at } = packetOf(link, ends, ipv4.PROTOCOL_ICMP, bytes);
    icmp.emitHeader(view, at, icmp.ECHO_REQUEST, 0, rest);
    view.setUint16(at + icmp.CHECKSUM_OFFSET, checksum(view, at, bytes));
    return bytesOf(view);
  }
  const { view, at } = packetOf(link, ends, ipv6.PROTOCOL_ICMPV6, bytes);
  icmpv6.emitHeader(view, at, icmpv6.ECHO_REQUEST, 0, rest);
  icmpv6.fillChecksum(view, at, bytes, PACKET);
  return bytesOf(view);
}

/** The question who has the IPv6 address `target`, to its solicited-node group (RFC 4861 section 7.2.2). */
export function neighbourSolicitation(from: number, source: IpWords, target: IpWords): Uint8Array {
  const last = 0xff000000 | (target[3] & 0xffffff);
  const group: IpWords = [0xff020000 | 0, 0, 1, last];
  const bytes = icmpv6.ICMPV6_HEADER_BYTES + TARGET_BYTES;
  const link = { from, to: groupMac(group) };
  const ends = { source, destination: group };
  const { view, at } = packetOf(link, ends, ipv6.PROTOCOL_ICMPV6, bytes, ndp.HOP_LIMIT);
  icmpv6.emitHeader(view, at, ndp.NEIGHBOUR_SOLICITATION, 0, 0);
  ipv6.writeAddress(view, at + icmpv6.ICMPV6_HEADER_BYTES, ...target);
  icmpv6.fillChecksum(view, at, bytes, PACKET);
  return bytesOf(view);
}

/** MAC of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7). */
export function groupMac(group: IpWords): number {
  const word = group[3] >>> 0;
  return isIpv4(group) ? 0x01005e000000 + (word & 0x7fffff) : 0x333300000000 + word;
}

/** True for the address of a multicast group. */
export function isGroup(address: IpWords): boolean {
  return isIpv4(address) ? address[3] >>> 28 === 0xe : address[0] >>> 24 === 0xff;
}
