/** From facts to hops and one verdict, for a guest behind a Linux bridge. Asks nobody. */
import { networkAddress } from '../../config/subnet.ts';
import { parseCidr4, parseIpv4 } from '../../wire/ipv4.ts';
import {
  type Finding as AnyFinding,
  type DecidedHop,
  failed,
  mild,
  ok,
  settle,
  skipped,
  unknown,
} from '../finding.ts';
import type { BridgeFacts, BridgePathFacts, PortFacts, RouteFacts } from './facts.ts';
import { evaluate, type Outcome } from './nft-evaluate.ts';
import type { Passage } from './packet.ts';
import { passages } from './passages.ts';
import { BRIDGE_VERDICTS, type BridgeVerdictCode } from './verdicts.ts';

export const BRIDGE_HOPS = [
  'tap',
  'holder',
  'bridge',
  'port',
  'guard',
  'vlan',
  'guest',
  'mac',
  'forwarding',
  'peer',
  'isolation',
  'route',
  'reverse-path',
  'neighbour',
  'arp-rules',
  'ip-rules',
  'mtu',
] as const;
export type BridgeHopName = (typeof BRIDGE_HOPS)[number];

export type BridgeHop = DecidedHop<BridgeHopName>;

export interface BridgeVerdict {
  readonly code: BridgeVerdictCode;
  readonly sentence: string;
  readonly nextStep: string;
}

export interface BridgeDecision {
  readonly hops: BridgeHop[];
  readonly verdict: BridgeVerdict;
}

type Finding = AnyFinding<BridgeVerdictCode>;

const NO_BRIDGE = skipped('no bridge');
const NOT_CROSSED = skipped('a bridged packet does not take it');

// --- the way to the guest ---------------------------------------------------------------------------------

function tapHop({ tap, tapName }: BridgePathFacts): Finding {
  if (tap === undefined) return failed('TAP_MISSING', `there is no interface ${tapName}`);
  if (!tap.ethernet || tap.kind === 'bridge')
    return failed('TAP_NOT_ETHERNET', `${tapName} is ${tap.kind || 'no Ethernet interface'}`);
  if (!tap.up) return failed('TAP_DOWN', `${tapName} is down`);
  return ok(`${tapName} (${tap.kind || 'device'}) is up`);
}

function holderHop({ tap, tapName, holder }: BridgePathFacts): Finding {
  if (tap === undefined) return skipped('no interface');
  if (holder !== undefined) {
    const who = `pid ${holder.pid} (${holder.command}) holds ${tapName}`;
    return holder.state === 'T' ? failed('VMM_STOPPED', `${who}, stopped`) : ok(who);
  }
  if (!tap.carrier)
    return failed(tap.kind === 'tun' ? 'VMM_ABSENT' : 'NO_CARRIER', `${tapName} has no carrier`);
  return tap.kind === 'tun' ? unknown('carrier, but its holder cannot be seen') : ok('carrier');
}

function bridgeHop({ tap, tapName, bridge }: BridgePathFacts): Finding {
  if (tap === undefined) return skipped('no interface');
  if (bridge === undefined) {
    const owner = tap.master === undefined ? 'nothing' : `${tap.master}, which is no bridge`;
    return failed('NOT_ENSLAVED', `${tapName} belongs to ${owner}`);
  }
  const { name, up } = bridge;
  return up ? ok(`${tapName} belongs to ${name}`) : failed('BRIDGE_DOWN', `${name} is down`);
}

function portHop({ tapPort, peer }: BridgePathFacts): Finding {
  if (tapPort === undefined) return NO_BRIDGE;
  for (const { name, state } of [tapPort, ...(peer?.port === undefined ? [] : [peer.port])])
    if (state !== 'forwarding') return failed('PORT_NOT_FORWARDING', `${name} is ${state}`);
  return ok(`${tapPort.name} is forwarding`);
}

function guardHop({ guard, tapName }: BridgePathFacts): Finding {
  return guard === undefined ? ok('none') : failed('GUARD_LEFT', `guard by ${guard} on ${tapName}`);
}

type Member = Pick<PortFacts, 'name' | 'vlans'>;

/** Why untagged frames of one end do not come out at the other; undefined where they do. */
function barrier(from: Member, to: Member): string | undefined {
  const pvid = from.vlans.find((vlan) => vlan.pvid)?.id;
  if (pvid === undefined) return `${from.name} has no PVID`;
  const there = to.vlans.find(({ id }) => id === pvid);
  if (there === undefined) return `${from.name} has PVID ${pvid}, of which ${to.name} is not part`;
  return there.untagged ? undefined : `${to.name} tags VLAN ${pvid}`;
}

function vlanHop({ bridge, tapPort, peer, route }: BridgePathFacts): Finding {
  if (bridge === undefined || tapPort === undefined) return NO_BRIDGE;
  if (!bridge.vlanFiltering) return skipped('no VLAN filtering');
  if (peer === undefined && typeof route !== 'string' && route.overVlan)
    return unknown(`the host takes part by ${route.device}`);
  const other = peer === undefined ? bridge : peer.port;
  if (other === undefined) return skipped('no port of the peer');
  const wrong = barrier(tapPort, other) ?? barrier(other, tapPort);
  return wrong === undefined ? ok('one VLAN, untagged') : failed('VLAN_MISMATCH', wrong);
}

// --- the guest, and where the bridge thinks it is ---------------------------------------------------------

function guestHop({ heard, ip, tap, bridge }: BridgePathFacts): Finding {
  const { arp, elsewhere } = heard;
  const [mac] = arp.macs;
  if (arp.outcome === 'unasked') {
    const isDue = bridge !== undefined && tap?.up === true && tap.carrier;
    return isDue ? failed('PROBE_FAILED', 'the question could not be put') : skipped('not asked');
  }
  if (mac === undefined) return failed('GUEST_SILENT', `no answer to who has ${ip}`);
  if (arp.macs.length > 1)
    return failed('ADDRESS_DUPLICATE', `${ip} is claimed by ${arp.macs.join(' and ')}`);
  const twin = elsewhere.find((one) => one.ip === ip && one.mac !== mac);
  if (twin !== undefined)
    return failed('ADDRESS_DUPLICATE', `${ip} is claimed by ${mac} and, on ${twin.port}, by ${twin.mac}`);
  return ok(`${ip} is at ${mac}`);
}

function macHop({ heard, bridge, tapName, forwarding, forwardingAfter, peer }: BridgePathFacts): Finding {
  const [mac] = heard.arp.macs;
  if (bridge === undefined || mac === undefined) return skipped('no MAC known');
  if (bridge.mac === mac) return failed('MAC_DUPLICATE', `${mac} is that of ${bridge.name}, too`);
  // What the host itself sends leaves by the port of a local entry: with the TAP's own, only other guests suffer.
  const own = forwarding.find(
    ({ kind, port }) => kind === 'local' && (peer !== undefined || port !== tapName),
  );
  if (own !== undefined)
    return failed('MAC_DUPLICATE', `${mac} is that of the host's interface ${own.port}, too`);
  const twin = heard.elsewhere.find((one) => one.mac === mac);
  if (twin !== undefined)
    return failed('MAC_DUPLICATE', `${mac} answers on ${twin.port}, too, for ${twin.ip}`);
  const moved = forwarding.find(({ kind, port }) => kind === 'learned' && port !== tapName);
  // Where the entry has not followed the guest's answer, it is the entry that is wrong.
  if (moved !== undefined && forwardingAfter.every(({ port }) => port === tapName))
    return failed('MAC_DUPLICATE', `the bridge last saw ${mac} on ${moved.port}`);
  return ok(`nothing else has ${mac}`);
}

function forwardingHop({ tapPort, heard, forwardingAfter, tapName, peer }: BridgePathFacts): Finding {
  const [mac] = heard.arp.macs;
  if (tapPort === undefined || mac === undefined) return skipped('no MAC known');
  const stuck = forwardingAfter.find(({ kind, port }) => kind !== 'local' && port !== tapName);
  if (stuck !== undefined) return failed('FDB_WRONG', `${mac} is ${stuck.kind} on ${stuck.port}`);
  const isKnown = forwardingAfter.some(({ port }) => port === tapName);
  if (tapPort.locked && !isKnown) return failed('PORT_LOCKED', `${tapName} is locked, ${mac} unknown`);
  // The host's own broadcasts go to every port.
  if (peer !== undefined && !tapPort.broadcastFlood)
    return failed('FLOOD_OFF', `${tapName} gets no broadcast, so no ARP`);
  if (!tapPort.unicastFlood && !isKnown)
    return failed('FLOOD_OFF', `${tapName} gets no unknown unicast, and ${mac} is unknown`);
  return ok(isKnown ? `${mac} is known on ${tapName}` : `${mac} is not known, and flooded`);
}

function peerHop({ peer, heard }: BridgePathFacts): Finding {
  if (peer === undefined) return skipped('the host is the other end');
  const { ip, port, mac } = peer;
  if (port === undefined) {
    const { unaskedPorts } = heard;
    if (unaskedPorts > 0) return failed('PROBE_FAILED', `${unaskedPorts} ports were not asked for ${ip}`);
    return failed('PEER_SILENT', `no answer to who has ${ip}`);
  }
  return ok(`${ip} is at ${mac} on ${port.name}`);
}

function isolationHop({ peer, tapPort }: BridgePathFacts): Finding {
  if (peer?.port === undefined || tapPort === undefined) return skipped('the host is reached by any port');
  if (peer.port.isolated && tapPort.isolated)
    return failed('PORTS_ISOLATED', `${tapPort.name} and ${peer.port.name} are isolated`);
  return ok('not both isolated');
}

// --- the host's end ---------------------------------------------------------------------------------------

function shown({ device, source }: RouteFacts): string {
  return `by ${device}${source === undefined ? '' : ` from ${source}`}`;
}

/** Whether the bridge has an address in whose subnet the guest's is. */
function covers({ addresses }: BridgeFacts, ip: string): boolean {
  const guest = parseIpv4(ip);
  return addresses.some((text) => {
    const cidr = parseCidr4(text);
    if (cidr === undefined || guest === undefined) return false;
    return networkAddress(cidr) === networkAddress({ address: guest, prefix: cidr.prefix });
  });
}

function routeHop({ bridge, route, ip, peer }: BridgePathFacts): Finding {
  if (bridge === undefined) return NO_BRIDGE;
  if (peer !== undefined) return NOT_CROSSED;
  if (typeof route !== 'string') {
    if (route.local) return failed('ADDRESS_IS_HOSTS', `${ip} is the host's own`);
    if (route.device === bridge.name) return ok(shown(route));
    if (route.overVlan) return unknown(`${shown(route)}, a VLAN of ${bridge.name}`);
  }
  const seen = typeof route === 'string' ? `no route (${route})` : shown(route);
  if (!covers(bridge, ip))
    return failed('NO_BRIDGE_ADDRESS', `${bridge.name}: ${bridge.addresses.join(', ') || 'none'}; ${seen}`);
  return failed('ROUTE_ELSEWHERE', `to ${ip}: ${seen}`);
}

function reversePathHop({ bridge, peer, route, routeBack, reversePath, ip }: BridgePathFacts): Finding {
  if (bridge === undefined) return NO_BRIDGE;
  if (peer !== undefined) return NOT_CROSSED;
  if (typeof route === 'string' || route.device !== bridge.name) return skipped('no route by the bridge');
  if (typeof routeBack !== 'string' && routeBack.device === bridge.name) return ok('the same way back');
  const seen = typeof routeBack === 'string' ? `none (${routeBack})` : `by ${routeBack.device}`;
  const evidence = `to ${ip} from ${route.source}: ${seen}`;
  if (reversePath === 1) return failed('REVERSE_PATH', `${evidence}, rp_filter 1`);
  return failed('ROUTE_ELSEWHERE', evidence);
}

function neighbourHop({ neighbour, heard, peer }: BridgePathFacts): Finding {
  if (peer !== undefined) return NOT_CROSSED;
  const [mac] = heard.arp.macs;
  if (neighbour === undefined) return ok('no entry yet');
  const { state } = neighbour;
  const seen = `${neighbour.mac ?? 'no MAC'} ${state}`;
  // These are what a fault before or after it looks like from here, and no cause.
  if (state === 'FAILED' || state === 'INCOMPLETE' || neighbour.mac === undefined) return unknown(seen);
  if (mac !== undefined && neighbour.mac !== mac)
    return failed('NEIGHBOUR_WRONG', `${seen}, but ${mac} answers`);
  return ok(seen);
}

// --- rules ------------------------------------------------------------------------------------------------

function codeOf({ packet }: Passage, by: NonNullable<Outcome['by']>): BridgeVerdictCode {
  if (packet.type === 'arp') return 'FILTER_ARP';
  if (by.hook.portIn !== undefined && by.hook.portOut !== undefined) return 'BRIDGE_NF';
  if (by.family === 'bridge' || by.family === 'netdev') return 'FILTER_BRIDGE';
  if (by.hook.hook === 'output' || by.hook.hook === 'postrouting') return 'HOST_OUTPUT';
  return 'HOST_INPUT';
}

function rulesHop(facts: BridgePathFacts, type: 'arp' | 'ip'): Finding {
  const { bridge, tapPort, rules, peer } = facts;
  if (bridge === undefined || tapPort === undefined) return NO_BRIDGE;
  if (peer !== undefined && peer.port === undefined) return skipped('no port of the peer');
  if (rules === undefined) return mild('RULES_UNREAD', 'nft --json list ruleset did not work');
  const doubts: string[] = [];
  for (const passage of passages(facts, bridge, tapPort)) {
    if (passage.packet.type !== type) continue;
    const { fate, by } = evaluate(rules, passage);
    if (by === undefined) continue;
    const evidence = `${passage.packet.what}: ${by.rule}`;
    if (fate === 'dropped') return failed(codeOf(passage, by), evidence);
    doubts.push(evidence);
  }
  if (doubts.length > 0) return unknown(`cannot be told of ${doubts.join('; ')}`);
  return ok('no rule drops it');
}

function mtuHop({ bridge, tapPort, peer }: BridgePathFacts): Finding {
  if (bridge === undefined || tapPort === undefined) return NO_BRIDGE;
  const other = peer === undefined ? bridge : peer.port;
  if (other === undefined) return skipped('no port of the peer');
  const seen = `${tapPort.name} ${tapPort.mtu}, ${other.name} ${other.mtu}`;
  // The host cuts to what the bridge has: a smaller bridge is no fault.
  const isWrong = peer === undefined ? other.mtu > tapPort.mtu : other.mtu !== tapPort.mtu;
  return isWrong ? mild('MTU_MISMATCH', seen) : ok(seen);
}

const CHECKS: Readonly<Record<BridgeHopName, (facts: BridgePathFacts) => Finding>> = {
  tap: tapHop,
  holder: holderHop,
  bridge: bridgeHop,
  port: portHop,
  guard: guardHop,
  vlan: vlanHop,
  guest: guestHop,
  mac: macHop,
  forwarding: forwardingHop,
  peer: peerHop,
  isolation: isolationHop,
  route: routeHop,
  'reverse-path': reversePathHop,
  neighbour: neighbourHop,
  'arp-rules': (facts) => rulesHop(facts, 'arp'),
  'ip-rules': (facts) => rulesHop(facts, 'ip'),
  mtu: mtuHop,
};

/** The hops, and the verdict of the first that has one that matters. */
export function decideBridge(facts: BridgePathFacts): BridgeDecision {
  const { hops, code = 'HEALTHY' } = settle(BRIDGE_HOPS, CHECKS, facts);
  const { sentence, nextStep } = BRIDGE_VERDICTS[code];
  return { hops, verdict: { code, sentence, nextStep } };
}
