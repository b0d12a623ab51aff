/** Outbound rules: `deny 10.1.2.0/24`, `allow 192.168.7.0/24 tcp/443`, `deny any`. The first that matches decides. */
import { type Fail, failAt, type Locate, type Path, quote } from './fault.ts';
import { firstOf, formatPrefix, type IpPrefix, isSameIp, parsePrefix } from './ip.ts';
import { PORT_RULE, type PortRange, type Protocol, parsePortRange } from './ports.ts';

export interface EgressRule {
  /** As written */
  text: string;
  action: 'allow' | 'deny';
  /** Destinations; every address of both families where absent */
  destination?: IpPrefix;
  /** ICMP stands for ICMPv6 too; every protocol where absent */
  protocol?: Protocol | 'icmp';
  /** Destination ports; all where absent */
  ports?: PortRange;
}

const EGRESS_RULE =
  'Write "allow|deny any|ADDRESS[/PREFIX] [tcp|udp|icmp][/PORT[-PORT]]", for instance "allow 10.0.0.7 tcp/443".';
const RULE = /^(allow|deny)\s+(\S+)(?:\s+(tcp|udp|icmp)(?:\/(\S*))?)?$/;

function destinationOf(text: string, fail: Fail): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    const rule = 'Write "any", an address, or ADDRESS/PREFIX, for instance 10.0.0.0/8 or fd00::/8.';
    throw fail(`${quote(text)} is not a destination`, rule);
  }
  const address = firstOf(prefix.address, prefix.length);
  if (!isSameIp(address, prefix.address)) {
    const block = formatPrefix({ address, length: prefix.length });
    throw fail(`${text} is an address inside ${block}`, `Write ${block}, or the address alone.`);
  }
  return prefix;
}

/** Reads one rule; throws what `fail` makes for anything else. */
export function resolveEgressRule(text: string, fail: Fail): EgressRule {
  const [, action, destination, protocol, portText] = RULE.exec(text) ?? [];
  if (action === undefined) throw fail(`${quote(text)} is not an outbound rule`, EGRESS_RULE);
  const rule: EgressRule = { text, action: action as EgressRule['action'] };
  if (destination !== 'any') rule.destination = destinationOf(destination, fail);
  if (protocol !== undefined) rule.protocol = protocol as Protocol | 'icmp';
  if (portText === undefined) return rule;
  const ports = parsePortRange(portText);
  if (protocol === 'icmp') throw fail('ICMP has no ports', 'Write "icmp" alone.');
  if (ports === undefined) throw fail(`${quote(portText)} is not a port or range of ports`, PORT_RULE);
  return { ...rule, ports };
}

/** Reads a list of rules; throws CONFIG_INVALID with the place of the first that is none. */
export function resolveEgress(texts: readonly string[], locate: Locate, base: Path): EgressRule[] {
  return texts.map((text, index) => resolveEgressRule(text, failAt(locate, [...base, index])));
}
