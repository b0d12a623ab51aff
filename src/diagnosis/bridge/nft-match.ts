/**
 * Whether one match of a rule holds for a packet: yes, no, or not known. What this file does not understand is never
 * yes or no, so that no verdict rests on a guess.
 */
import { maskOf, parseIpv4 } from '../../wire/ipv4.ts';
import type { Hook, Packet } from './packet.ts';
import type { Expression } from './ruleset.ts';

/** True, false, or undefined for: not known. */
export type Truth = boolean | undefined;

export interface Context {
  readonly packet: Packet;
  readonly hook: Hook;
  /** Elements of a set that the rule names, undefined for one that is not there */
  readonly set: (name: string) => readonly unknown[] | undefined;
}

/** A field's value; `absent` where the packet has no such field, so that no match on it holds, not even `!=`. */
type Value = { readonly is: string | number } | 'absent' | undefined;

const known = (value: string | number | undefined): Value =>
  value === undefined ? undefined : { is: value };
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const not = (truth: Truth): Truth => (truth === undefined ? undefined : !truth);

function any(truths: readonly Truth[]): Truth {
  if (truths.includes(true)) return true;
  return truths.includes(undefined) ? undefined : false;
}

export function all(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false;
  return truths.includes(undefined) ? undefined : true;
}

// --- fields -----------------------------------------------------------------------------------------------

function etherField({ etherSource, etherDestination, type }: Packet, field: string): Value {
  if (field === 'saddr') return known(etherSource);
  if (field === 'daddr') return known(etherDestination);
  return field === 'type' ? known(type) : undefined;
}

function arpField(packet: Packet, field: string): Value {
  if (packet.type !== 'arp') return 'absent';
  const isRequest = packet.operation === 'request';
  switch (field) {
    case 'operation':
      return known(packet.operation);
    case 'htype':
      return known(1);
    case 'ptype':
      return known('ip');
    case 'hlen':
      return known(6);
    case 'plen':
      return known(4);
    case 'saddr ip':
      return known(packet.source);
    case 'daddr ip':
      return known(packet.destination);
    case 'saddr ether':
      return known(packet.etherSource);
    case 'daddr ether':
      return isRequest ? undefined : known(packet.etherDestination);
    default:
      return undefined;
  }
}

function payload(packet: Packet, protocol: string, field: string): Value {
  if (protocol === 'ether') return etherField(packet, field);
  if (protocol === 'arp') return arpField(packet, field);
  // None is tagged, and none is IPv6: fields of those exist in none of them.
  if (protocol === 'vlan' || protocol === 'ip6' || protocol === 'icmpv6') return 'absent';
  if (packet.type !== 'ip') return 'absent';
  if (protocol === 'ip') {
    if (field === 'saddr') return known(packet.source);
    if (field === 'daddr') return known(packet.destination);
    if (field === 'protocol') return known(packet.protocol);
    return field === 'version' ? known(4) : undefined;
  }
  if (protocol === 'th' || protocol === packet.protocol) {
    if (field === 'sport') return packet.protocol === 'tcp' ? known(packet.sourcePort) : undefined;
    if (field === 'dport') return packet.protocol === 'tcp' ? known(packet.destinationPort) : undefined;
    return field === 'type' && packet.protocol === 'icmp' ? known(packet.icmpType) : undefined;
  }
  return 'absent';
}

function packetType({ etherDestination }: Packet, hook: Hook): Value {
  if (etherDestination === BROADCAST) return known('broadcast');
  // Of a bridged frame it says whose MAC the port has, not whose the frame is for.
  return hook.families.includes('ip') && hook.hook === 'input' ? known('host') : undefined;
}

function meta(packet: Packet, hook: Hook, key: string): Value {
  switch (key) {
    case 'iif':
    case 'iifname':
      // A packet of the host's own has no input interface: no name equals it, and every `!=` holds.
      return known(hook.in ?? '');
    case 'oif':
    case 'oifname':
      return known(hook.out ?? '');
    case 'ibrname':
      return hook.in === undefined || hook.bridge === undefined ? 'absent' : known(hook.bridge);
    case 'obrname':
      return hook.out === undefined || hook.bridge === undefined ? 'absent' : known(hook.bridge);
    case 'protocol':
      return known(packet.type);
    case 'nfproto':
      return packet.type === 'ip' ? known('ipv4') : undefined;
    case 'l4proto':
      return packet.type === 'ip' ? known(packet.protocol) : 'absent';
    case 'pkttype':
      return packetType(packet, hook);
    case 'physdev in':
      return hook.portIn === undefined ? 'absent' : known(hook.portIn);
    case 'physdev out':
      return hook.portOut === undefined ? 'absent' : known(hook.portOut);
    case 'physdev bridged':
      return known(hook.portOut === undefined ? 'no' : 'yes');
    default:
      return undefined;
  }
}

/** The value of the left side of a match. */
function leftValue(left: Expression, { packet, hook }: Context): Value {
  const [[kind, what] = ['', undefined]] = Object.entries(left);
  const { protocol, field, key } = (what ?? {}) as Record<string, string>;
  if (kind === 'payload' && protocol !== undefined && field !== undefined)
    return payload(packet, protocol, field);
  if (kind === 'meta' && key !== undefined) return meta(packet, hook, key);
  if (kind === 'ct' && key === 'state') return packet.type === 'ip' ? known(packet.state) : undefined;
  return undefined;
}

// --- comparing --------------------------------------------------------------------------------------------

/** Numbers that nft and iptables write for names, and the reverse: both sides are brought to the name. */
const NAMES: Readonly<Record<string, string>> = { '1': 'icmp', '6': 'tcp', unicast: 'host', '8021q': 'vlan' };

function isSame(value: string | number, right: string | number): boolean {
  const text = String(right);
  if (String(value).toLowerCase() === text.toLowerCase()) return true;
  if (typeof value !== 'string') return false;
  if (text.endsWith('*')) return value !== '' && value.startsWith(text.slice(0, -1));
  return NAMES[text] === value;
}

/** An address or a number as a number. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? parseIpv4(value) : undefined;
}

function inPrefix(value: string | number, prefix: unknown): Truth {
  const { addr, len } = (prefix ?? {}) as { addr?: unknown; len?: unknown };
  const [one, other] = [numberOf(value), numberOf(addr)];
  if (one === undefined || other === undefined || typeof len !== 'number') return undefined;
  return ((one ^ other) & maskOf(len)) === 0;
}

function inRange(value: string | number, range: unknown): Truth {
  const [low, high] = (Array.isArray(range) ? range : []).map(numberOf);
  const one = numberOf(value);
  if (one === undefined || low === undefined || high === undefined) return undefined;
  return one >= low && one <= high;
}

/** Whether a value equals the right side of a match, or is one of it where that is a set. */
function equals(value: string | number, right: unknown, context: Context): Truth {
  if (typeof right === 'string' && right.startsWith('@')) {
    const elements = context.set(right.slice(1));
    return elements && any(elements.map((one) => equals(value, one, context)));
  }
  if (typeof right === 'string' || typeof right === 'number') return isSame(value, right);
  if (Array.isArray(right)) return any(right.map((one) => equals(value, one, context)));
  const { set, prefix, range, elem } = (right ?? {}) as Record<string, unknown>;
  if (Array.isArray(set)) return any(set.map((one) => equals(value, one, context)));
  if (prefix !== undefined) return inPrefix(value, prefix);
  if (range !== undefined) return inRange(value, range);
  if (elem !== undefined) return equals(value, (elem as { val?: unknown }).val, context);
  return undefined;
}

function concatenated(lefts: readonly Expression[], right: unknown, context: Context): Truth {
  const { set, concat, elem } = (right ?? {}) as Record<string, unknown>;
  if (typeof right === 'string' && right.startsWith('@')) {
    const elements = context.set(right.slice(1));
    return elements && any(elements.map((one) => concatenated(lefts, one, context)));
  }
  if (Array.isArray(set)) return any(set.map((one) => concatenated(lefts, one, context)));
  if (elem !== undefined) return concatenated(lefts, (elem as { val?: unknown }).val, context);
  if (!Array.isArray(concat) || concat.length !== lefts.length) return undefined;
  return all(lefts.map((left, i) => matches({ op: '==', left, right: concat[i] }, context)));
}

/** Whether `{ op, left, right }` of a `match` expression holds. */
export function matches({ op, left, right }: Readonly<Record<string, unknown>>, context: Context): Truth {
  const source = (left ?? {}) as Expression;
  const isNegated = op === '!=';
  if (!isNegated && op !== '==' && op !== 'in') return undefined;
  if (Array.isArray(source.concat)) {
    const truth = concatenated(source.concat as Expression[], right, context);
    return isNegated ? not(truth) : truth;
  }
  const value = leftValue(source, context);
  if (value === 'absent') return false;
  if (value === undefined) return undefined;
  const truth = equals(value.is, right, context);
  return isNegated ? not(truth) : truth;
}
