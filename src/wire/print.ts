/** A frame as one line of text, in the manner of tcpdump -e. For logs and captures, not for the hot path. */
import * as arp from './arp.ts';
import * as ethernet from './ethernet.ts';
import * as icmp from './icmp.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import { formatMac, macOf } from './mac.ts';
import * as tcp from './tcp.ts';
import * as udp from './udp.ts';

const TAG_BYTES = 4;
const TAGS_SHOWN = 2;
const TAG_VLAN_MASK = 0x0fff;

const TCP_FLAGS: readonly (readonly [number, string])[] = [
  [tcp.FIN, 'F'],
  [tcp.SYN, 'S'],
  [tcp.RST, 'R'],
  [tcp.PSH, 'P'],
  [tcp.ACK, '.'],
];

/** One line about the frame of `length` bytes at `off`, whatever its bytes; never throws while they are in the view. */
export function describe(view: DataView, off: number, length: number): string {
  if (!ethernet.check(view, off, length)) return `truncated Ethernet header, length ${length}`;
  const source = formatMac(macOf(ethernet.sourceHigh(view, off), ethernet.sourceLow(view, off)));
  const destination = formatMac(
    macOf(ethernet.destinationHigh(view, off), ethernet.destinationLow(view, off)),
  );
  let line = `${source} > ${destination}`;
  let at = off + ethernet.ETHERNET_HEADER_BYTES;
  const end = off + length;
  let type = ethernet.etherType(view, off);
  for (let tags = 0; tags < TAGS_SHOWN && isTag(type) && at + TAG_BYTES <= end; tags++) {
    line += ` vlan ${view.getUint16(at) & TAG_VLAN_MASK}`;
    type = view.getUint16(at + 2);
    at += TAG_BYTES;
  }
  return `${line} ${describePacket(view, at, end - at, type)}`;
}

function isTag(type: number): boolean {
  return type === ethernet.ETHERTYPE_VLAN || type === ethernet.ETHERTYPE_QINQ;
}

function describePacket(view: DataView, off: number, length: number, type: number): string {
  switch (type) {
    case ethernet.ETHERTYPE_ARP:
      return describeArp(view, off, length);
    case ethernet.ETHERTYPE_IPV4:
      return describeIpv4(view, off, length);
    case ethernet.ETHERTYPE_IPV6:
      return describeIpv6(view, off, length);
    default:
      return `ethertype 0x${type.toString(16).padStart(4, '0')}, length ${length}`;
  }
}

function describeArp(view: DataView, off: number, length: number): string {
  if (!arp.check(view, off, length)) return `ARP malformed, length ${length}`;
  const sender = ipv4.formatIpv4(arp.senderAddress(view, off));
  const target = ipv4.formatIpv4(arp.targetAddress(view, off));
  const operation = arp.operation(view, off);
  if (operation === arp.ARP_REQUEST) return `ARP who-has ${target} tell ${sender}`;
  const mac = formatMac(macOf(arp.senderHigh(view, off), arp.senderLow(view, off)));
  if (operation === arp.ARP_REPLY) return `ARP ${sender} is-at ${mac}`;
  return `ARP operation ${operation} from ${sender}`;
}

function describeIpv4(view: DataView, off: number, length: number): string {
  if (!ipv4.check(view, off, length)) return `IPv4 malformed, length ${length}`;
  const header = ipv4.headerLength(view, off);
  const payload = ipv4.totalLength(view, off) - header;
  const protocol = ipv4.protocol(view, off);
  const source = ipv4.formatIpv4(ipv4.source(view, off));
  const destination = ipv4.formatIpv4(ipv4.destination(view, off));
  if (ipv4.isFragment(view, off)) {
    const id = ipv4.identification(view, off);
    return `IPv4 ${source} > ${destination}: fragment of ${id}, protocol ${protocol}, length ${payload}`;
  }
  if (protocol === ipv4.PROTOCOL_ICMP) {
    return `IPv4 ${source} > ${destination}: ${describeIcmp(view, off + header, payload)}`;
  }
  return `IPv4 ${describeTransport(view, off + header, payload, protocol, source, destination)}`;
}

function describeIpv6(view: DataView, off: number, length: number): string {
  if (!ipv6.check(view, off, length)) return `IPv6 malformed, length ${length}`;
  const words = [0, 1, 2, 3];
  const source = formatWords(words.map((i) => ipv6.sourceWord(view, off, i)));
  const destination = formatWords(words.map((i) => ipv6.destinationWord(view, off, i)));
  const payload = off + ipv6.IPV6_HEADER_BYTES;
  const protocol = ipv6.nextHeader(view, off);
  return `IPv6 ${describeTransport(view, payload, ipv6.payloadLength(view, off), protocol, source, destination)}`;
}

function formatWords(words: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(16));
  words.forEach((word, i) => {
    view.setInt32(4 * i, word);
  });
  return ipv6.formatIpv6(new Uint8Array(view.buffer));
}

function describeIcmp(view: DataView, off: number, length: number): string {
  if (!icmp.check(view, off, length)) return `ICMP malformed, length ${length}`;
  const type = icmp.type(view, off);
  const code = icmp.code(view, off);
  if (type === icmp.ECHO_REQUEST || type === icmp.ECHO_REPLY) {
    const name = type === icmp.ECHO_REQUEST ? 'request' : 'reply';
    const numbers = `id ${icmp.identifier(view, off)}, seq ${icmp.sequence(view, off)}`;
    return `ICMP echo ${name}, ${numbers}, length ${length}`;
  }
  if (type !== icmp.UNREACHABLE) return `ICMP type ${type} code ${code}, length ${length}`;
  if (code === icmp.HOST_UNREACHABLE) return `ICMP host unreachable, length ${length}`;
  if (code === icmp.ADMIN_PROHIBITED) return `ICMP unreachable, admin prohibited, length ${length}`;
  return `ICMP unreachable, code ${code}, length ${length}`;
}

function describeTransport(
  view: DataView,
  off: number,
  length: number,
  protocol: number,
  source: string,
  destination: string,
): string {
  if (protocol === ipv4.PROTOCOL_TCP) {
    if (!tcp.check(view, off, length)) return `${source} > ${destination}: TCP malformed, length ${length}`;
    const ports = `${source}.${tcp.sourcePort(view, off)} > ${destination}.${tcp.destinationPort(view, off)}`;
    const data = length - tcp.dataOffset(view, off);
    return `${ports}: TCP [${tcpFlags(tcp.flags(view, off))}], length ${data}`;
  }
  if (protocol === ipv4.PROTOCOL_UDP) {
    if (!udp.check(view, off, length)) return `${source} > ${destination}: UDP malformed, length ${length}`;
    const ports = `${source}.${udp.sourcePort(view, off)} > ${destination}.${udp.destinationPort(view, off)}`;
    return `${ports}: UDP, length ${udp.length(view, off) - udp.UDP_HEADER_BYTES}`;
  }
  return `${source} > ${destination}: protocol ${protocol}, length ${length}`;
}

function tcpFlags(flags: number): string {
  return TCP_FLAGS.map(([bit, letter]) => ((flags & bit) === 0 ? '' : letter)).join('') || 'none';
}
