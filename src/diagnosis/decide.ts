/**
 * From facts to hops and one verdict, without asking anybody.
 *
 * The hops stand in the order of the way to the guest. The first that says a verdict of its own decides; later ones are
 * shown all the same, since they are what the verdict is checked against.
 */
import type { Facts } from './facts.ts';
import {
  type Finding as AnyFinding,
  type DecidedHop,
  failed,
  failing,
  mild,
  ok,
  settle,
  skipped,
  unknown,
} from './finding.ts';
import { VERDICTS, type VerdictCode } from './verdicts.ts';

export const DIAGNOSIS_HOPS = [
  'vm',
  'tap',
  'holder',
  'switch',
  'worker',
  'guard',
  'frames',
  'address',
  'arp',
  'ndp',
  'icmp',
  'mtu',
  'tcp',
  'service',
  'flows',
  'forward',
  'route',
  'egress',
  'dns',
  'host-route',
  'host-stack',
  'drops',
] as const;
export type HopName = (typeof DIAGNOSIS_HOPS)[number];
export type DiagnosisHop = DecidedHop<HopName>;

export interface Verdict {
  readonly code: VerdictCode;
  readonly sentence: string;
  readonly nextStep: string;
}

export interface Decision {
  readonly hops: DiagnosisHop[];
  readonly verdict: Verdict;
}

/** Recent frames with a wrong sender from which on a guest that answers is said to spoof: a few are left-overs */
const SPOOFED_FRAMES = 5;

type Finding = AnyFinding<VerdictCode>;

const isTap = ({ tap }: Facts): boolean => tap?.kind === 'tun';

function tapHop({ tap, tapName }: Facts): Finding {
  if (tap === undefined) return failed('TAP_MISSING', `there is no interface ${tapName}`);
  if (!tap.ethernet || tap.kind === 'bridge')
    return failed('TAP_NOT_ETHERNET', `${tapName} is ${tap.kind || 'no Ethernet interface'}`);
  if (tap.master !== undefined) return failed('TAP_ENSLAVED', `${tapName} belongs to ${tap.master}`);
  if (!tap.up) return failed('TAP_DOWN', `${tapName} is down`);
  return ok(`${tapName} (${tap.kind || 'device'}) is up`);
}

function holderHop(facts: Facts): Finding {
  const { tap, holder, tapName, vmm } = facts;
  if (tap === undefined) return skipped('no interface');
  const carrier = tap.carrier ? 'carrier' : 'no carrier';
  if (holder !== undefined) {
    const who = `pid ${holder.pid} (${holder.command}) holds ${tapName}`;
    if (vmm !== undefined && vmm !== holder.command) return failed('VMM_FOREIGN', `${who}, not ${vmm}`);
    return holder.state === 'T' ? failed('VMM_STOPPED', `${who}, stopped`) : ok(`${who}, ${carrier}`);
  }
  if (!tap.carrier) return failed(isTap(facts) ? 'VMM_ABSENT' : 'NO_CARRIER', `${tapName} has no carrier`);
  return isTap(facts) ? unknown('carrier, but its holder cannot be seen') : ok('carrier');
}

function switchHop({ plugged, refusal }: Facts): Finding {
  if (plugged) return ok('the switch has it open');
  if (refusal === undefined) return failed('NOT_PLUGGED', 'not open');
  const isForward = refusal.code === 'FORWARD_IN_USE' || refusal.code === 'FORWARD_UNAVAILABLE';
  return failed(isForward ? 'FORWARD_TAKEN' : 'NOT_PLUGGED', `${refusal.code}: ${refusal.message}`);
}

function workerHop({ workerAlive, othersAlive }: Facts): Finding {
  if (!workerAlive) return failed('WORKER_DEAD', 'heartbeat stands still');
  return othersAlive ? ok('alive') : unknown('alive, but another stands still, and has a part of its TCP');
}

function framesHop({ framesSeen, quietSeconds, arp }: Facts): Finding {
  const last = quietSeconds === undefined ? '' : `, the last ${quietSeconds} s ago`;
  if (framesSeen > 0) return ok(`${framesSeen} frames seen from the guest${last}`);
  // Its answer to ARP may be the first.
  if (arp.outcome === 'answered') return ok('its answer to ARP is the first');
  return failed('GUEST_SILENT', 'no frame seen from the guest');
}

function addressHop({ ip, arp, expectedMac, recentDrops }: Facts): Finding {
  const other = arp.macs.find((mac) => expectedMac !== undefined && mac !== expectedMac);
  if (other !== undefined && arp.macs.length === 1)
    return failed('GUEST_WRONG_MAC', `${other} answers, ${expectedMac} is registered`);
  const silent = arp.outcome === 'silent';
  const { 'spoofed-mac': macs = 0, 'spoofed-ip': ips = 0 } = recentDrops;
  if (silent && macs > 0) return failed('GUEST_WRONG_MAC', `${macs} frames from another MAC`);
  if (silent && ips > 0) return failed('GUEST_WRONG_IP', `${ips} frames from another address than ${ip}`);
  const spoofed = macs + ips;
  if (spoofed >= SPOOFED_FRAMES)
    return mild('GUEST_SPOOFING', `${spoofed} frames with another sender than ${ip ?? 'its own'}`);
  if (ip === undefined) return failed('ADDRESS_UNKNOWN', 'no address configured, learned or leased');
  return ok(`${ip}${expectedMac === undefined ? '' : `, ${expectedMac}`}`);
}

function arpHop({ arp, ip, tap, plugged }: Facts): Finding {
  if (arp.outcome === 'unasked') {
    // Where there was somebody to ask, and an address to ask for, nothing is known yet: that is not healthy.
    const isDue = plugged && tap?.carrier === true && ip !== undefined;
    return isDue ? failed('PROBE_FAILED', 'the question could not be put') : skipped('not asked');
  }
  if (arp.outcome === 'silent') return failed('ARP_SILENT', `no answer to who has ${ip}`);
  if (arp.macs.length > 1)
    return failed('ADDRESS_DUPLICATE', `${ip} is claimed by ${arp.macs.join(' and ')}`);
  return ok(`${ip} is at ${arp.macs[0]}`);
}

function icmpHop({ icmp, tcp }: Facts): Finding {
  if (icmp === 'unasked') return skipped('not asked');
  if (icmp === 'answered') return ok('echo answered');
  const evidence = 'no answer to an echo request';
  return tcp === undefined ? failed('ICMP_SILENT', evidence) : failing(evidence);
}

function ndpHop({ ip6, ndp }: Facts): Finding {
  if (ip6 === undefined) return skipped('no IPv6 address registered');
  if (ndp === 'unasked') return skipped('not asked');
  return ndp === 'answered'
    ? ok(`${ip6} answers`)
    : mild('NDP_SILENT', `no answer to a solicitation of ${ip6}`);
}

function mtuHop({ tap, icmp, long, mtu, tapName }: Facts): Finding {
  if (tap === undefined || icmp !== 'answered') return skipped('not asked');
  if (tap.mtu < mtu)
    return mild('MTU_TOO_SMALL', `${tapName} takes ${tap.mtu} bytes, the network has ${mtu}`);
  if (long !== 'answered') {
    const what = long === 'silent' ? 'not answered' : 'refused by its interface';
    return mild('MTU_TOO_SMALL', `an echo request of ${mtu} bytes is ${what}`);
  }
  return ok(`echo of ${mtu} bytes answered`);
}

function routeHop({ icmp, route, elsewhere }: Facts): Finding {
  if (icmp !== 'answered' || route.outcome === 'unasked') return skipped('not asked');
  if (route.outcome === 'answered') return ok(`answers for ${elsewhere} come to the gateway`);
  if (route.asksFor.includes(elsewhere))
    return mild('GUEST_WRONG_MASK', `it asks for ${elsewhere} by ARP, which is outside of its subnet`);
  const [other] = route.asksFor;
  if (other !== undefined)
    return mild('GUEST_WRONG_GATEWAY', `it asks for ${other} by ARP to reach ${elsewhere}`);
  return unknown(`no answer for ${elsewhere}: it may have no default route`);
}

function flowsHop({ flows, recentDrops }: Facts): Finding {
  if (flows === undefined) return skipped('not open');
  const { tcp, halfOpen, mostTcp, mostHalfOpen } = flows;
  const said = `${tcp} of ${mostTcp} TCP flows, ${halfOpen} of ${mostHalfOpen} half open`;
  if (halfOpen >= mostHalfOpen) return mild('HALF_OPEN_LIMIT', said);
  const { 'flow-limit': refused = 0 } = recentDrops;
  if (tcp >= mostTcp || refused > 0) return mild('FLOW_LIMIT', `${said}, ${refused} refused of late`);
  return ok(said);
}

function egressHop({ recentDrops }: Facts): Finding {
  const { 'egress-denied': denied = 0 } = recentDrops;
  return denied === 0
    ? ok('nothing denied of late')
    : mild('EGRESS_DENIED', `${denied} packets denied of late`);
}

function dnsHop({ dns, recentDrops }: Facts): Finding {
  if (dns.length === 0) return skipped('no name servers');
  const servers = dns
    .map(({ server, answers }) => `${server} ${answers ? 'answers' : 'is silent'}`)
    .join(', ');
  if (dns.some(({ answers }) => answers)) return ok(servers);
  // A guest that asks for no names misses nothing.
  const { 'dns-unanswered': missed = 0 } = recentDrops;
  return missed === 0
    ? unknown(servers)
    : mild('DNS_DOWN', `${servers}; ${missed} questions of the guest failed`);
}

function hostRouteHop({ host, ip }: Facts): Finding {
  if (host === undefined) return skipped('the network has no host port');
  const { hostPort, leavesBy } = host;
  if (ip === undefined) return skipped('no address');
  if (leavesBy === undefined) return mild('ROUTE_SHADOWED', `the host has no way to ${ip}`);
  if (leavesBy.name === hostPort) return ok(`${ip} is reached by ${hostPort}`);
  const evidence = `the host sends to ${ip} by ${leavesBy.name}, not ${hostPort}`;
  return mild(leavesBy.kind === 'bridge' ? 'SUBNET_ON_BRIDGE' : 'ROUTE_SHADOWED', evidence);
}

function hostStackHop({ host }: Facts): Finding {
  if (host === undefined || host.reached === 'unasked') return skipped('not asked');
  if (host.reached === 'answered') return ok('the guest answers the host itself');
  return mild('HOST_FIREWALL', `the guest answers the gateway, the host hears nothing (${host.detail})`);
}

const isHalfOpenFull = (flows: Facts['flows']): boolean =>
  flows !== undefined && flows.halfOpen >= flows.mostHalfOpen;

function tcpHop({ tcp, flows }: Facts): Finding {
  if (tcp === undefined) return skipped('no port asked about');
  const said = `port ${tcp.port}: ${tcp.outcome}`;
  switch (tcp.outcome) {
    case 'open':
      return ok(said);
    case 'refused':
      return failed('PORT_REFUSED', said);
    case 'silent':
      return failed('TCP_SILENT', said);
    case 'flow-limit':
      return failed(isHalfOpenFull(flows) ? 'HALF_OPEN_LIMIT' : 'FLOW_LIMIT', said);
    case 'failed':
      return failed('PROBE_FAILED', said);
  }
}

function serviceHop({ tcp }: Facts): Finding {
  if (tcp?.outcome !== 'open') return skipped('no connection');
  const upgrades =
    tcp.webSocket === undefined ? '' : tcp.webSocket ? ', takes WebSockets' : ', no WebSocket at /';
  if (tcp.said !== undefined) return ok(`${tcp.said}${upgrades}`);
  if (tcp.ended === true) return unknown('it ends connections that are not its protocol');
  return failed('SERVICE_SILENT', 'no banner, and no answer to an HTTP request');
}

function guardHop({ guard, tap }: Facts): Finding {
  if (tap === undefined) return skipped('no interface');
  if (guard === 'missing') return mild('GUARD_MISSING', 'not in the ruleset');
  return guard === 'unknown' ? unknown('could not be listed') : guard === 'off' ? skipped('off') : ok(guard);
}

function dropsHop({ drops, recentDrops }: Facts): Finding {
  const lines = Object.entries(drops).map(([reason, frames]) => {
    const recent = recentDrops[reason] ?? 0;
    return `${reason} ${frames}${recent > 0 ? ` (${recent} of late)` : ''}`;
  });
  return lines.length === 0 ? ok('none') : unknown(lines.join(', '));
}

const CHECKS: Readonly<Record<HopName, (facts: Facts) => Finding>> = {
  vm: ({ vm }) => ok(`${vm} is registered`),
  tap: tapHop,
  holder: holderHop,
  switch: switchHop,
  worker: workerHop,
  guard: guardHop,
  frames: framesHop,
  address: addressHop,
  arp: arpHop,
  ndp: ndpHop,
  icmp: icmpHop,
  mtu: mtuHop,
  tcp: tcpHop,
  service: serviceHop,
  flows: flowsHop,
  forward: ({ forwards }) => (forwards.length > 0 ? ok(forwards.join(', ')) : skipped('none')),
  route: routeHop,
  egress: egressHop,
  dns: dnsHop,
  'host-route': hostRouteHop,
  'host-stack': hostStackHop,
  drops: dropsHop,
};

/** A verdict's words. */
export function verdictOf(code: VerdictCode): Verdict {
  const { sentence, nextStep } = VERDICTS[code];
  return { code, sentence, nextStep };
}

/** The hops, and the verdict of the first that has one that matters. */
export function decide(facts: Facts): Decision {
  const { hops, code = 'HEALTHY' } = settle(DIAGNOSIS_HOPS, CHECKS, facts);
  return { hops, verdict: verdictOf(code) };
}
