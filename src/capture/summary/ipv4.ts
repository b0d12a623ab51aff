/** An IPv4 packet in a few words. */
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import { type Packet, summarizeTransport } from './transport.ts';

const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'network',
  [icmp.HOST_UNREACHABLE]: 'host',
  2: 'protocol',
  [icmp.PORT_UNREACHABLE]: 'port',
  [icmp.ADMIN_PROHIBITED]: 'prohibited',
};
const TYPES: Readonly<Record<number, string>> = {
  5: 'redirect',
  9: 'router advertisement',
  10: 'router solicitation',
  [icmp.TIME_EXCEEDED]: 'time exceeded',
  12: 'parameter problem',
};
const MTU_AT = 6; // RFC 1191 section 4

/** The packet at `at`, in a frame that goes on for `length` bytes from there. */
export function summarizeIpv4(view: DataView, at: number, length: number): string {
  if (!ipv4.check(view, at, length)) return `IPv4 malformed, ${length} bytes`;
  const header = ipv4.headerLength(view, at);
  const packet: Packet = {
    view,
    at: at + header,
    length: ipv4.totalLength(view, at) - header,
    source: ipv4.formatIpv4(ipv4.source(view, at)),
    destination: ipv4.formatIpv4(ipv4.destination(view, at)),
    isIpv6: false,
  };
  const ends = `${packet.source} > ${packet.destination}`;
  const protocol = ipv4.protocol(view, at);
  if (ipv4.isLaterFragment(view, at)) {
    const id = ipv4.identification(view, at);
    return `${ends} fragment of ${id}, protocol ${protocol}, ${packet.length} bytes`;
  }
  if (protocol !== ipv4.PROTOCOL_ICMP) return summarizeTransport(packet, protocol, ipv4.isFragment(view, at));
  return `${ends} ICMP ${summarizeIcmp(packet)}`;
}

function summarizeIcmp({ view, at, length }: Packet): string {
  if (!icmp.check(view, at, length)) return `malformed, ${length} bytes`;
  const type = icmp.type(view, at);
  const code = icmp.code(view, at);
  switch (type) {
    case icmp.ECHO_REQUEST:
      return `echo request ${echo(view, at)}`;
    case icmp.ECHO_REPLY:
      return `echo reply ${echo(view, at)}`;
    case icmp.UNREACHABLE:
      if (code === icmp.FRAGMENTATION_NEEDED)
        return `fragmentation needed, mtu ${view.getUint16(at + MTU_AT)}`;
      return `unreachable: ${UNREACHABLE[code] ?? `code ${code}`}`;
    default:
      return TYPES[type] ?? `type ${type} code ${code}`;
  }
}

/** Identifier and sequence number, of ICMPv6 too. */
export function echo(view: DataView, at: number): string {
  return `id ${icmp.identifier(view, at)} seq ${icmp.sequence(view, at)}`;
}
