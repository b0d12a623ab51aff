/**
 * From facts to hops and one verdict, without asking anybody.
 *
 * The hops stand in the order of the way to the guest. The first that says a verdict of its own decides; later ones are
 * shown all the same, since they are what the verdict is checked against.
 */
import type { Facts } from './facts.ts';
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
  'icmp',
  'tcp',
  'service',
  'forward',
  'drops',
] as const;
export type HopName = (typeof DIAGNOSIS_HOPS)[number];
export type HopStatus = 'ok' | 'failed' | 'skipped' | 'unknown';

export interface DiagnosisHop {
  readonly hop: HopName;
  readonly status: HopStatus;
  readonly evidence: string;
}

export interface Verdict {
  readonly code: VerdictCode;
  readonly sentence: string;
  readonly nextStep: string;
}

export interface Decision {
  readonly hops: DiagnosisHop[];
  readonly verdict: Verdict;
}

/** What one hop says; with `verdict`, that it is where the way ends. */
interface Finding {
  readonly status: HopStatus;
  readonly evidence: string;
  readonly verdict?: VerdictCode;
  /** No frame depends on it: it decides only where nothing else does */
  readonly mild?: true;
}

const ok = (evidence: string): Finding => ({ status: 'ok', evidence });
const skipped = (evidence: string): Finding => ({ status: 'skipped', evidence });
const unknown = (evidence: string): Finding => ({ status: 'unknown', evidence });
const failed = (verdict: VerdictCode | undefined, evidence: string): Finding => ({
  status: 'failed',
  evidence,
  ...(verdict !== undefined && { verdict }),
});

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
  const { tap, holder, tapName } = facts;
  if (tap === undefined) return skipped('no interface');
  const carrier = tap.carrier ? 'carrier' : 'no carrier';
  if (holder !== undefined) {
    const who = `pid ${holder.pid} (${holder.command}) holds ${tapName}`;
    return holder.state === 'T' ? failed('VMM_STOPPED', `${who}, stopped`) : ok(`${who}, ${carrier}`);
  }
  if (!tap.carrier) return failed(isTap(facts) ? 'VMM_ABSENT' : 'NO_CARRIER', `${tapName} has no carrier`);
  return isTap(facts) ? unknown('carrier, but its holder cannot be seen') : ok('carrier');
}

function framesHop({ framesSeen, arp }: Facts): Finding {
  if (framesSeen > 0) return ok(`${framesSeen} frames seen from the guest`);
  // Its answer to ARP may be the first.
  if (arp.outcome === 'answered') return ok('its answer to ARP is the first');
  return failed('GUEST_SILENT', 'no frame seen from the guest');
}

function addressHop({ ip, arp, expectedMac, drops }: Facts): Finding {
  const other = arp.macs.find((mac) => expectedMac !== undefined && mac !== expectedMac);
  if (other !== undefined && arp.macs.length === 1)
    return failed('GUEST_WRONG_MAC', `${other} answers, ${expectedMac} is registered`);
  const silent = arp.outcome === 'silent';
  const { 'spoofed-mac': macs = 0, 'spoofed-ip': ips = 0 } = drops;
  if (silent && macs > 0) return failed('GUEST_WRONG_MAC', `${macs} frames from another MAC`);
  if (silent && ips > 0) return failed('GUEST_WRONG_IP', `${ips} frames from another address than ${ip}`);
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
  return failed(tcp === undefined ? 'ICMP_SILENT' : undefined, 'no answer to an echo request');
}

function tcpHop({ tcp }: Facts): Finding {
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
      return failed('FLOW_LIMIT', said);
    case 'failed':
      return failed('PROBE_FAILED', said);
  }
}

function serviceHop({ tcp }: Facts): Finding {
  if (tcp?.outcome !== 'open') return skipped('no connection');
  if (tcp.said !== undefined) return ok(tcp.said);
  if (tcp.ended === true) return unknown('it ends connections that are not its protocol');
  return failed('SERVICE_SILENT', 'no banner, and no answer to an HTTP request');
}

function guardHop({ guard, tap }: Facts): Finding {
  if (tap === undefined) return skipped('no interface');
  if (guard === 'missing') return { ...failed('GUARD_MISSING', 'not in the ruleset'), mild: true };
  return guard === 'unknown' ? unknown('could not be listed') : guard === 'off' ? skipped('off') : ok(guard);
}

function dropsHop({ drops }: Facts): Finding {
  const lines = Object.entries(drops).map(([reason, frames]) => `${reason} ${frames}`);
  return lines.length === 0 ? ok('none') : unknown(lines.join(', '));
}

const CHECKS: Readonly<Record<HopName, (facts: Facts) => Finding>> = {
  vm: ({ vm }) => ok(`${vm} is registered`),
  tap: tapHop,
  holder: holderHop,
  switch: ({ plugged }) => (plugged ? ok('the switch has it open') : failed('NOT_PLUGGED', 'not open')),
  worker: ({ workersAlive }) =>
    workersAlive ? ok('alive') : failed('WORKER_DEAD', 'heartbeat stands still'),
  guard: guardHop,
  frames: framesHop,
  address: addressHop,
  arp: arpHop,
  icmp: icmpHop,
  tcp: tcpHop,
  service: serviceHop,
  forward: ({ forwards }) => (forwards.length > 0 ? ok(forwards.join(', ')) : skipped('none')),
  drops: dropsHop,
};

/** A verdict's words. */
export function verdictOf(code: VerdictCode): Verdict {
  return { code, ...VERDICTS[code] };
}

/** The hops, and the verdict of the first that has one that matters. */
export function decide(facts: Facts): Decision {
  const findings = DIAGNOSIS_HOPS.map((hop) => ({ hop, ...CHECKS[hop](facts) }));
  const saying = findings.filter(({ verdict }) => verdict !== undefined);
  const decisive = (saying.find(({ mild }) => mild !== true) ?? saying[0])?.verdict ?? 'HEALTHY';
  const hops = findings.map(({ hop, status, evidence }) => ({ hop, status, evidence }));
  return { hops, verdict: verdictOf(decisive) };
}
