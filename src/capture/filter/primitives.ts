/**
 * One condition of a filter: qualifiers and what they are about, as in `tcp src port 80` or `net 10.0.0.0/8`.
 *
 * An id without qualifiers takes those of the condition before it: `port 80 or 443`.
 */
import { parseMac } from '../../wire/mac.ts';
import { hostBlock, networkBlock, portOf, portRange } from './addresses.ts';
import type { AddressProtocol, Direction, Filter, IpProtocol, PortProtocol, ProtocolName } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { ETHER_TYPES, IP_PROTOCOLS } from './names.ts';
import { filterError, type Token } from './tokens.ts';
import { numberOf } from './values.ts';

export type QualifierType = 'host' | 'net' | 'port' | 'portrange' | 'proto';

export interface Qualifiers {
  readonly protocol: ProtocolName | 'ether' | undefined;
  readonly direction: Direction;
  readonly type: QualifierType | undefined;
  /** Where they begin */
  readonly column: number;
}

const PROTOCOLS = ['ether', 'ip', 'ip6', 'arp', 'rarp', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp'];
const TYPES = ['host', 'net', 'port', 'portrange', 'proto'];
const ADDRESS_PROTOCOLS = ['ip', 'ip6', 'arp', 'rarp'];
const PORT_PROTOCOLS = ['tcp', 'udp', 'sctp'];
const MAX_ETHER_TYPE = 0xffff;
/** Below it the field is a length (IEEE 802.3 section 3.2.6) */
const MIN_ETHER_TYPE = 0x600;
const MAX_IP_PROTOCOL = 255;

/** The qualifiers that come next; undefined where none does. */
export function parseQualifiers(cursor: Cursor): Qualifiers | undefined {
  const { column } = cursor.peek();
  const before = cursor.mark;
  const protocol = cursor.take(...PROTOCOLS)?.text as Qualifiers['protocol'];
  const direction = parseDirection(cursor);
  const type = cursor.take(...TYPES)?.text as QualifierType | undefined;
  return cursor.mark === before ? undefined : { protocol, direction, type, column };
}

function parseDirection(cursor: Cursor): Direction {
  const first = cursor.take('src', 'dst')?.text;
  if (first === undefined) return 'either';
  const other = first === 'src' ? 'dst' : 'src';
  const joined = cursor.peek(1).text === other && cursor.take('or', '||', 'and', '&&');
  if (!joined) return first as Direction;
  cursor.next();
  return joined.text === 'or' || joined.text === '||' ? 'either' : 'both';
}

/** True where an id can start: a name, a number or an address. */
export function startsId(cursor: Cursor, reserved: ReadonlySet<string>): boolean {
  const { kind, text, escaped } = cursor.peek();
  return kind === 'word' && (escaped || !reserved.has(text));
}

/** The condition that qualifiers and the id that follows make. */
export function parseId(cursor: Cursor, qualifiers: Qualifiers): Filter {
  const token = cursor.next();
  const type = qualifiers.type ?? (cursor.is('/') || cursor.is('mask') ? 'net' : 'host');
  switch (type) {
    case 'host':
      return host(token, qualifiers);
    case 'net':
      return { kind: 'address', ...addressQualifiers(qualifiers, 'net'), ...networkBlock(token, cursor) };
    case 'port': {
      const port = portOf(token);
      return { kind: 'ports', ...portQualifiers(qualifiers), first: port, last: port };
    }
    case 'portrange':
      return { kind: 'ports', ...portQualifiers(qualifiers), ...portRange(token, cursor) };
    case 'proto':
      return proto(token, qualifiers);
  }
}

function host(token: Token, qualifiers: Qualifiers): Filter {
  if (qualifiers.protocol !== 'ether') {
    const address = addressQualifiers(qualifiers, 'host');
    const block = hostBlock(token);
    const fits = (block.words.length === 4) === (address.protocol === 'ip6');
    if (address.protocol !== undefined && !fits) {
      throw filterError(token.column, `'${token.text}' is no address of ${address.protocol}`);
    }
    return { kind: 'address', ...address, ...block };
  }
  const mac = parseMac(token.text);
  if (mac === undefined) throw filterError(token.column, `'${token.text}' is no MAC address`);
  return { kind: 'mac', direction: qualifiers.direction, mac };
}

function addressQualifiers({ protocol, direction, column }: Qualifiers, type: string) {
  if (protocol !== undefined && !ADDRESS_PROTOCOLS.includes(protocol)) {
    throw filterError(column, `'${protocol}' does not go with '${type}'`);
  }
  return { protocol: protocol as AddressProtocol | undefined, direction };
}

function portQualifiers({ protocol, direction, column }: Qualifiers) {
  if (protocol !== undefined && !PORT_PROTOCOLS.includes(protocol)) {
    throw filterError(column, `'${protocol}' does not go with ports (tcp, udp and sctp do)`);
  }
  return { protocol: protocol as PortProtocol | undefined, direction };
}

function proto(token: Token, { protocol, direction, column }: Qualifiers): Filter {
  if (direction !== 'either') throw filterError(column, "'proto' has no direction");
  if (protocol === 'ether') {
    const type = ETHER_TYPES.get(token.text) ?? numberOf(token, MAX_ETHER_TYPE);
    if (type < MIN_ETHER_TYPE)
      throw filterError(token.column, `${token.text} is a length, no EtherType (0x600 and above)`);
    return { kind: 'ether-proto', type };
  }
  if (protocol !== undefined && protocol !== 'ip' && protocol !== 'ip6') {
    throw filterError(column, `'${protocol}' does not go with 'proto' (ether, ip and ip6 do)`);
  }
  const number = IP_PROTOCOLS.get(token.text) ?? numberOf(token, MAX_IP_PROTOCOL);
  return { kind: 'ip-proto', protocol, number };
}

/** `ether`, `ip` or `ip6` before `multicast`; undefined for MAC addresses. */
export function multicastProtocol({ protocol, direction, type, column }: Qualifiers): IpProtocol | undefined {
  if (direction !== 'either' || type !== undefined)
    throw filterError(column, "'multicast' has no such qualifiers");
  if (protocol === undefined || protocol === 'ether') return undefined;
  if (protocol === 'ip' || protocol === 'ip6') return protocol;
  throw filterError(column, `'${protocol}' does not go with 'multicast' (ether, ip and ip6 do)`);
}
