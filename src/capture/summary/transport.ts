/** What an IP packet carries, in a few words. */
import { PROTOCOL_TCP, PROTOCOL_UDP } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import * as udp from '../../wire/udp.ts';
import { DHCP_PORTS, DNS_PORTS, summarizeDhcp, summarizeDns } from './services.ts';

export interface Packet {
  readonly view: DataView;
  /** Where the transport header begins, and the bytes from there */
  readonly at: number;
  readonly length: number;
  readonly source: string;
  readonly destination: string;
  readonly isIpv6: boolean;
}

/** In the order people say them in */
const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [tcp.SYN, 'SYN'],
  [tcp.FIN, 'FIN'],
  [tcp.RST, 'RST'],
  [tcp.PSH, 'PSH'],
  [tcp.ACK, 'ACK'],
];
const PROTOCOLS: Readonly<Record<number, string>> = { 2: 'IGMP', 47: 'GRE', 50: 'ESP', 132: 'SCTP' };

/** @param isFirst whether it is the first of several fragments, which holds no more than its header for sure */
export function summarizeTransport(packet: Packet, protocol: number, isFirst: boolean): string {
  const cut = isFirst ? ', first fragment' : '';
  if (protocol === PROTOCOL_TCP) return summarizeTcp(packet) + cut;
  if (protocol === PROTOCOL_UDP) return isFirst ? firstOfUdp(packet) + cut : summarizeUdp(packet);
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  return `${packet.source} > ${packet.destination} ${name}, ${packet.length} bytes${cut}`;
}

function summarizeTcp(packet: Packet): string {
  const { view, at, length } = packet;
  if (!tcp.check(view, at, length)) return malformed(packet, 'TCP');
  const flags = tcp.flags(view, at);
  const names = FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  const acknowledged = (flags & tcp.ACK) === 0 ? '' : ` ack ${tcp.acknowledgment(view, at) >>> 0}`;
  const numbers = `seq ${tcp.sequence(view, at) >>> 0}${acknowledged} win ${tcp.window(view, at)}`;
  const data = length - tcp.dataOffset(view, at);
  return `${ends(packet)} TCP ${names.join(',') || 'no flags'} ${numbers} len ${data}`;
}

function summarizeUdp(packet: Packet): string {
  const { view, at, length } = packet;
  if (!udp.check(view, at, length)) return malformed(packet, 'UDP');
  const payload = at + udp.UDP_HEADER_BYTES;
  const bytes = udp.length(view, at) - udp.UDP_HEADER_BYTES;
  const ports = [udp.sourcePort(view, at), udp.destinationPort(view, at)];
  const said =
    (ports.some((port) => DHCP_PORTS.includes(port)) && summarizeDhcp(view, payload, bytes)) ||
    (ports.some((port) => DNS_PORTS.includes(port)) && summarizeDns(view, payload, bytes));
  return `${ends(packet)} ${said || `UDP len ${bytes}`}`;
}

/** The length in its header is that of the whole datagram. */
function firstOfUdp(packet: Packet): string {
  if (packet.length < udp.UDP_HEADER_BYTES) return malformed(packet, 'UDP');
  return `${ends(packet)} UDP len ${udp.length(packet.view, packet.at) - udp.UDP_HEADER_BYTES}`;
}

function malformed({ source, destination, length }: Packet, name: string): string {
  return `${source} > ${destination} ${name} malformed, ${length} bytes`;
}

/** Addresses with their ports, which TCP and UDP have at the same place. */
function ends({ view, at, source, destination, isIpv6 }: Packet): string {
  const from = tcp.sourcePort(view, at);
  const to = tcp.destinationPort(view, at);
  return isIpv6 ? `[${source}]:${from} > [${destination}]:${to}` : `${source}:${from} > ${destination}:${to}`;
}
