/** An IPv6 packet in a few words. */
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as ndp from '../../wire/ndp.ts';
import { echo } from './ipv4.ts';
import { type Packet, summarizeTransport } from './transport.ts';

const SOURCE_AT = 8;
const DESTINATION_AT = 24;
/** Of a neighbour's solicitation or advertisement (RFC 4861 section 4.3) */
const TARGET_AT = 8;
const MTU_AT = 4; // RFC 4443 section 3.2

const UNREACHABLE: Readonly<Record<number, string>> = {
  0: 'no route',
  [icmpv6.ADMIN_PROHIBITED]: 'prohibited',
  [icmpv6.ADDRESS_UNREACHABLE]: 'address',
  [icmpv6.PORT_UNREACHABLE]: 'port',
};
const TYPES: Readonly<Record<number, string>> = {
  [icmpv6.TIME_EXCEEDED]: 'time exceeded',
  4: 'parameter problem',
  [ndp.ROUTER_SOLICITATION]: 'router solicitation',
  [ndp.ROUTER_ADVERTISEMENT]: 'router advertisement',
  [ndp.REDIRECT]: 'redirect',
};

/** The packet at `at`, in a frame that goes on for `length` bytes from there. */
export function summarizeIpv6(view: DataView, at: number, length: number): string {
  if (!ipv6.check(view, at, length)) return `IPv6 malformed, ${length} bytes`;
  const source = addressAt(view, at + SOURCE_AT);
  const destination = addressAt(view, at + DESTINATION_AT);
  const ends = `${source} > ${destination}`;
  const transport = ipv6.transportOffset(view, at);
  const end = at + ipv6.IPV6_HEADER_BYTES + ipv6.payloadLength(view, at);
  if (transport === ipv6.NO_TRANSPORT) return `${ends} IPv6 malformed, ${length} bytes`;
  const protocol = ipv6.transportProtocol(view, at);
  const packet: Packet = { view, at: transport, length: end - transport, source, destination, isIpv6: true };
  if (protocol === ipv6.PROTOCOL_FRAGMENT) return `${ends} fragment, ${packet.length} bytes`;
  if (protocol !== ipv6.PROTOCOL_ICMPV6) return summarizeTransport(packet, protocol, false);
  return `${ends} ICMPv6 ${summarizeIcmpv6(packet)}`;
}

function summarizeIcmpv6({ view, at, length }: Packet): string {
  if (!icmpv6.check(view, at, length)) return `malformed, ${length} bytes`;
  const type = icmpv6.type(view, at);
  const code = icmpv6.code(view, at);
  switch (type) {
    case icmpv6.ECHO_REQUEST:
      return `echo request ${echo(view, at)}`;
    case icmpv6.ECHO_REPLY:
      return `echo reply ${echo(view, at)}`;
    case icmpv6.UNREACHABLE:
      return `unreachable: ${UNREACHABLE[code] ?? `code ${code}`}`;
    case icmpv6.PACKET_TOO_BIG:
      return `packet too big, mtu ${view.getUint32(at + MTU_AT)}`;
    case ndp.NEIGHBOUR_SOLICITATION:
      return `neighbour solicitation${target(view, at, length)}`;
    case ndp.NEIGHBOUR_ADVERTISEMENT:
      return `neighbour advertisement${target(view, at, length)}`;
    default:
      if (icmpv6.isListenerReport(view, at)) return 'multicast listener report';
      return TYPES[type] ?? `type ${type} code ${code}`;
  }
}

function target(view: DataView, at: number, length: number): string {
  return ndp.check(view, at, length) ? ` of ${addressAt(view, at + TARGET_AT)}` : ', malformed';
}

function addressAt(view: DataView, at: number): string {
  return ipv6.formatIpv6(new Uint8Array(view.buffer, view.byteOffset + at, 16));
}
