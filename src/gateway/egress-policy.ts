/**
 * Where a VM may reach out to.
 *
 * Theory of operation. The rules of the VM, those of its network, the host's own addresses (denied) and
 * {@link DEFAULT_DENIALS} form one list; the first that matches decides, and what none matches may pass. A rule is a
 * destination block, a protocol and a range of ports. An IPv4 address is looked at in its mapped form
 * (RFC 4291 section 2.5.5.2), and IPv4 rules see IPv4 only, IPv6 rules IPv6 only.
 *
 * An IPv6 address that carries an IPv4 address, which a translator or tunnel on the way may take out, has to pass
 * twice: as it is, and as that IPv4 address. So a rule for an IPv4 address holds for all its disguises.
 *
 * The list is one Int32Array, so that it can be posted to a worker: the number of rules from each source, then
 * RULE_INTS for each rule.
 */
import type { EgressRule } from '../config/egress.ts';
import { type IpPrefix, type IpWords, isIpv4, MAPPED_BITS, maskWord, parsePrefix } from '../config/ip.ts';
import { DROP } from '../telemetry/drops.ts';
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.ts';

/** The flow may begin. */
export const EGRESS_ALLOW = -1;
/** No rule decided: what nothing denies is allowed. */
export const NO_RULE = -1;

/** What no VM reaches unless a rule allows it: the host itself, its neighbourhood, and what is no single host. */
export const DEFAULT_DENIALS = [
  '0.0.0.0/8', // this host (RFC 1122 section 3.2.1.3); Linux takes 0.0.0.0 for itself
  '127.0.0.0/8', // loopback
  '10.0.0.0/8', // private (RFC 1918)
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10', // shared by carriers (RFC 6598)
  '169.254.0.0/16', // link-local (RFC 3927), metadata services among it
  '168.63.129.16', // metadata and agent service of Azure, at a public address
  '192.0.0.0/24', // protocol assignments (RFC 6890), a metadata service of Oracle's cloud among it
  '224.0.0.0/4', // multicast (RFC 5771)
  '240.0.0.0/4', // reserved, and broadcast (RFC 1112, RFC 919)
  '::', // unspecified: Linux takes it for itself
  '::1', // loopback
  'fc00::/7', // unique local (RFC 4193), the metadata service fd00:ec2::254 among it
  'fe80::/10', // link-local
  'fec0::/10', // site-local, formerly (RFC 3879)
  'ff00::/8', // multicast
  '64:ff9b:1::/48', // translators of this site (RFC 8215); where they put the IPv4 address is theirs to choose
] as const;

const PROTOCOL_ICMPV6 = 58; // RFC 4443 section 1
const MAPPED = 0xffff;

// Embedded IPv4 addresses, by the words before or around them
const TRANSLATED = 0xffff0000 | 0; // third word of ::ffff:0:a.b.c.d (RFC 2765 section 2.1)
const NAT64 = 0x0064ff9b; // first word of 64:ff9b::/96 (RFC 6052 section 2.1)
const SIX_TO_FOUR = 0x2002; // first group of 2002::/16 (RFC 3056 section 2)
const TEREDO = 0x20010000; // first word of 2001::/32 (RFC 4380 section 4)

const VM_RULES = 0;
const NETWORK_RULES = 1;
const HOST_RULES = 2;
const ALL_RULES = 3;
const HEAD_INTS = 4;

const RULE_INTS = 12;
const ALLOWS = 0;
const FAMILY = 1;
const PROTOCOL = 2;
const PORTS = 3; // the first << 16 | the last
const ADDRESS = 4;
const MASK = 8;

const ANY_FAMILY = 0;
const IPV4 = 4;
const IPV6 = 6;
const ANY_PROTOCOL = 0;
const ALL_PORTS = 0xffff;

const PROTOCOLS = { icmp: PROTOCOL_ICMP, tcp: PROTOCOL_TCP, udp: PROTOCOL_UDP } as const;
const EVERYWHERE: IpPrefix = { address: [0, 0, 0, 0], length: 0 };

export interface EgressSources {
  readonly vm: readonly EgressRule[];
  readonly network: readonly EgressRule[];
  /** The host's own addresses of the moment, denied unless a rule allows them */
  readonly hostAddresses: readonly IpWords[];
}

export interface RuleOrigin {
  readonly from: 'vm' | 'network' | 'host' | 'default';
  /** Position in that list; for `default` in {@link DEFAULT_DENIALS} */
  readonly index: number;
}

type Rule = Pick<EgressRule, 'action' | 'destination' | 'protocol' | 'ports'>;

function familyOf({ address, length }: IpPrefix): number {
  return isIpv4(address) && length >= MAPPED_BITS ? IPV4 : IPV6;
}

function writeRule(words: Int32Array, at: number, { action, destination, protocol, ports }: Rule): void {
  const { address, length } = destination ?? EVERYWHERE;
  words[at + ALLOWS] = action === 'allow' ? 1 : 0;
  words[at + FAMILY] = destination === undefined ? ANY_FAMILY : familyOf(destination);
  words[at + PROTOCOL] = protocol === undefined ? ANY_PROTOCOL : PROTOCOLS[protocol];
  words[at + PORTS] = ports === undefined ? ALL_PORTS : (ports.first << 16) | ports.last;
  for (let i = 0; i < 4; i++) {
    words[at + ADDRESS + i] = address[i] as number;
    words[at + MASK + i] = maskWord(length, i);
  }
}

function denial(destination: IpPrefix): Rule {
  return { action: 'deny', destination };
}

const DEFAULT_RULES = DEFAULT_DENIALS.map((text) => denial(parsePrefix(text) as IpPrefix));

/** Makes the one list. */
export function compileEgress({ vm, network, hostAddresses }: EgressSources): EgressPolicy {
  const host = hostAddresses.map((address) => denial({ address, length: 128 }));
  const rules: Rule[] = [...vm, ...network, ...host, ...DEFAULT_RULES];
  const words = new Int32Array(HEAD_INTS + rules.length * RULE_INTS);
  words[VM_RULES] = vm.length;
  words[NETWORK_RULES] = network.length;
  words[HOST_RULES] = host.length;
  words[ALL_RULES] = rules.length;
  rules.forEach((rule, i) => {
    writeRule(words, HEAD_INTS + i * RULE_INTS, rule);
  });
  return new EgressPolicy(words);
}

export class EgressPolicy {
  /** What another thread makes the same policy of */
  readonly words: Int32Array;
  /** The rule that decided last, counted through all lists, or {@link NO_RULE} */
  lastRule = NO_RULE;

  /** @param words those of a policy that {@link compileEgress} made */
  constructor(words: Int32Array) {
    this.words = words;
  }

  /**
   * {@link EGRESS_ALLOW}, or the reason to refuse a flow.
   * @param protocol number of the IP header; ICMP and ICMPv6 alike
   * @param w0 first word of the destination, int32; an IPv4 address is mapped: 0, 0, 0xffff, address
   * @param port destination port, any where the protocol has none
   */
  decide(protocol: number, w0: number, w1: number, w2: number, w3: number, port: number): number {
    const kind = protocol === PROTOCOL_ICMPV6 ? PROTOCOL_ICMP : protocol;
    const verdict = this.#firstMatch(kind, w0, w1, w2, w3, port);
    if (verdict !== EGRESS_ALLOW) return verdict;
    if (w0 === 0 && w1 === 0 && w2 === MAPPED) return verdict;
    // IPv4-compatible (RFC 4291 section 2.5.5.1), which :: and ::1 are not
    if (w0 === 0 && w1 === 0 && w2 === 0 && w3 >>> 0 > 1) return this.#asIpv4(kind, w3, port);
    if (w0 === 0 && w1 === 0 && w2 === TRANSLATED) return this.#asIpv4(kind, w3, port);
    if (w0 === NAT64 && w1 === 0 && w2 === 0) return this.#asIpv4(kind, w3, port);
    if (w0 >>> 16 === SIX_TO_FOUR) return this.#asIpv4(kind, (w0 << 16) | (w1 >>> 16), port);
    if (w0 === TEREDO) return this.#asIpv4(kind, ~w3, port); // the client's address has its bits inverted
    return verdict;
  }

  /** Where {@link lastRule} stands; `undefined` when no rule decided. */
  lastOrigin(): RuleOrigin | undefined {
    let index = this.lastRule;
    if (index === NO_RULE) return undefined;
    for (const [i, from] of (['vm', 'network', 'host'] as const).entries()) {
      const count = this.words[VM_RULES + i] as number;
      if (index < count) return { from, index };
      index -= count;
    }
    return { from: 'default', index };
  }

  /** Decides about the IPv4 address in a destination that was allowed; the rule that allowed it stands if this one is too. */
  #asIpv4(kind: number, address: number, port: number): number {
    const allowedBy = this.lastRule;
    const verdict = this.#firstMatch(kind, 0, 0, MAPPED, address, port);
    if (verdict === EGRESS_ALLOW) this.lastRule = allowedBy;
    return verdict;
  }

  #firstMatch(kind: number, w0: number, w1: number, w2: number, w3: number, port: number): number {
    const words = this.words;
    const family = w0 === 0 && w1 === 0 && w2 === MAPPED ? IPV4 : IPV6;
    const count = words[ALL_RULES] as number;
    for (let rule = 0, at = HEAD_INTS; rule < count; rule++, at += RULE_INTS) {
      if (words[at + FAMILY] !== family && words[at + FAMILY] !== ANY_FAMILY) continue;
      if (words[at + PROTOCOL] !== kind && words[at + PROTOCOL] !== ANY_PROTOCOL) continue;
      const ports = words[at + PORTS] as number;
      if (port < ports >>> 16 || port > (ports & 0xffff)) continue;
      const differs =
        ((w0 ^ (words[at + ADDRESS] as number)) & (words[at + MASK] as number)) |
        ((w1 ^ (words[at + ADDRESS + 1] as number)) & (words[at + MASK + 1] as number)) |
        ((w2 ^ (words[at + ADDRESS + 2] as number)) & (words[at + MASK + 2] as number)) |
        ((w3 ^ (words[at + ADDRESS + 3] as number)) & (words[at + MASK + 3] as number));
      if (differs !== 0) continue;
      this.lastRule = rule;
      return words[at + ALLOWS] === 1 ? EGRESS_ALLOW : DROP['egress-denied'];
    }
    this.lastRule = NO_RULE;
    return EGRESS_ALLOW;
  }
}
