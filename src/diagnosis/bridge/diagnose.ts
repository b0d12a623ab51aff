/**
 * Collects the facts about a guest behind a Linux bridge, without a daemon, and has them decided: what the kernel
 * knows first, then, at once, the questions to the ports and the reading of the rules. It takes under three seconds.
 */
import { readFileSync } from 'node:fs';
import { type GuardKind, guarded } from '../../port/guard.ts';
import { type BridgeLink, listBridgeLinks, listPortVlans, type PortVlan } from '../../sys/bridge-state.ts';
import { isEthernet } from '../../sys/link.ts';
import { listForwardingEntries, listNeighbours, type Neighbour } from '../../sys/neighbour-table.ts';
import { lookUpRoute } from '../../sys/route-lookup.ts';
import { withRouteSocket } from '../../sys/rtnetlink.ts';
import { formatIpv4, parseIpv4 } from '../../wire/ipv4.ts';
import type { Claim } from '../heard.ts';
import { seeHolder } from '../holder.ts';
import { askPorts } from './ask.ts';
import { type BridgeDecision, decideBridge } from './decide.ts';
import type { BridgeFacts, BridgePathFacts, ForwardingFacts, PortFacts, RouteFacts } from './facts.ts';
import { readRules } from './read-rules.ts';

/** Other ports that are asked; binding to each takes 8 ms */
export const MAX_ASKED_PORTS = 100;

/** A flow: from the host, or from `peer`, to the guest. */
export interface BridgeSubject {
  readonly tap: string;
  /** Address of the guest, dotted quad */
  readonly ip: string;
  /** Address of the other guest, dotted quad; the host where undefined */
  readonly peer: string | undefined;
  /** TCP port of the guest; ping where undefined */
  readonly port: number | undefined;
}

/** The kernel's state, read once, and by which index everything has its name. */
class Host {
  readonly links = listBridgeLinks();
  readonly #vlans = listPortVlans();

  name(index: number): string {
    return this.links.find((link) => link.index === index)?.name ?? `interface ${index}`;
  }

  vlans({ index }: BridgeLink): readonly PortVlan[] {
    return this.#vlans.get(index) ?? [];
  }

  /** The ports of a bridge. */
  ports(bridge: BridgeLink): BridgeLink[] {
    return this.links.filter(({ master }) => master === bridge.index);
  }

  portFacts(link: BridgeLink): PortFacts | undefined {
    const { name, mtu, port } = link;
    return port && { ...port, name, mtu, vlans: this.vlans(link) };
  }
}

/** A setting of the kernel's, 0 where it has none: what it belongs to is not loaded. */
function setting(path: string): number {
  try {
    return Number(readFileSync(`/proc/sys/net/${path}`, 'utf8'));
  } catch {
    return 0;
  }
}

/** The settings of all bridges count only with br_netfilter, and so do those of one. */
function isCalled(which: 'iptables' | 'arptables', own: boolean): boolean {
  try {
    return Number(readFileSync(`/proc/sys/net/bridge/bridge-nf-call-${which}`, 'utf8')) !== 0 || own;
  } catch {
    return false;
  }
}

function bridgeFacts(host: Host, link: BridgeLink): BridgeFacts {
  const addresses = withRouteSocket((routes) => routes.addresses())
    .filter(({ index, family }) => index === link.index && family === 4)
    .map(({ address, prefix }) => `${address}/${prefix}`);
  return {
    name: link.name,
    up: link.up,
    mac: link.mac,
    mtu: link.mtu,
    addresses,
    vlans: host.vlans(link),
    vlanFiltering: link.bridge?.vlanFiltering === true,
    callIptables: isCalled('iptables', link.bridge?.callIptables === true),
    callArptables: isCalled('arptables', link.bridge?.callArptables === true),
  };
}

function route(host: Host, bridge: BridgeLink | undefined, ip: string, source?: string): RouteFacts | string {
  const found = lookUpRoute(ip, source);
  if (typeof found === 'string') return found;
  const link = host.links.find(({ index }) => index === found.index);
  const overVlan = bridge !== undefined && link?.lower === bridge.index;
  return { ...found, device: link?.name ?? 'no interface', overVlan };
}

function seeGuard(tap: string): GuardKind | undefined {
  return (['nftables', 'tcx'] as const).find((kind) => {
    try {
      return guarded(kind, undefined, [tap]).includes(tap);
    } catch {
      // A kind that this kernel does not have guards nothing.
      return false;
    }
  });
}

/** Addresses on the bridge that share a MAC with another: where two guests may have one. */
function suspects(neighbours: readonly Neighbour[], bridge: BridgeLink): number[] {
  const here = neighbours.filter(({ index, mac }) => index === bridge.index && mac !== undefined);
  return here
    .filter((one) => here.some((other) => other.address !== one.address && other.mac === one.mac))
    .map(({ address }) => parseIpv4(address))
    .filter((address) => address !== undefined);
}

interface Asked {
  readonly heard: BridgePathFacts['heard'];
  /** Port on which the peer answers, and its MAC */
  readonly peer: { readonly link: BridgeLink; readonly mac: string } | undefined;
}

const NOT_ASKED: Asked = {
  heard: { arp: { outcome: 'unasked', macs: [] }, elsewhere: [], unaskedPorts: 0 },
  peer: undefined,
};

async function ask(
  host: Host,
  tap: BridgeLink,
  bridge: BridgeLink,
  subject: BridgeSubject,
  neighbours: readonly Neighbour[],
): Promise<Asked> {
  if (!tap.up || !tap.carrier) return NOT_ASKED;
  const ip = parseIpv4(subject.ip) as number;
  const peer = subject.peer === undefined ? undefined : (parseIpv4(subject.peer) as number);
  const others = host.ports(bridge).filter(({ index, up, carrier }) => index !== tap.index && up && carrier);
  const asked = others.slice(0, MAX_ASKED_PORTS);
  const addresses = [
    ...new Set([ip, ...(peer === undefined ? [] : [peer]), ...suspects(neighbours, bridge)]),
  ];
  const [own, ...rest] = await askPorts([
    { index: tap.index, addresses: [ip] },
    ...asked.map(({ index }) => ({ index, addresses })),
  ]);
  const macs = own?.filter((claim) => claim.ip === (ip | 0)).map(({ mac }) => mac) ?? [];
  const claims = rest.flatMap((list, i) =>
    (list ?? []).map((claim): Claim & { link: BridgeLink } => ({ ...claim, link: asked[i] as BridgeLink })),
  );
  const elsewhere = claims
    .filter((claim) => claim.ip === (ip | 0) || macs.includes(claim.mac))
    .map(({ link, mac, ip: address }) => ({ port: link.name, mac, ip: formatIpv4(address) }));
  const outcome = own === undefined ? 'unasked' : macs.length === 0 ? 'silent' : 'answered';
  const unaskedPorts = others.length - rest.filter((list) => list !== undefined).length;
  return {
    heard: { arp: { outcome, macs }, elsewhere, unaskedPorts },
    peer: peer === undefined ? undefined : claims.find((claim) => claim.ip === (peer | 0)),
  };
}

function forwardingOf(
  host: Host,
  bridge: BridgeLink | undefined,
  mac: string | undefined,
): (entries: ReturnType<typeof listForwardingEntries>) => ForwardingFacts[] {
  const members = bridge === undefined ? [] : [bridge, ...host.ports(bridge)].map(({ index }) => index);
  return (entries) =>
    entries
      .filter((entry) => entry.mac === mac && members.includes(entry.index))
      .map(({ index, kind }) => ({ port: host.name(index), kind }));
}

/** @throws SysError where the kernel cannot be asked at all */
export async function diagnoseOnBridge(subject: BridgeSubject): Promise<BridgeDecision> {
  const { tap: tapName, ip, port, peer } = subject;
  const host = new Host();
  const tap = host.links.find(({ name }) => name === tapName);
  const master = tap && host.links.find(({ index }) => index === tap.master);
  const bridge = master?.bridge === undefined ? undefined : master;
  const neighbours = listNeighbours();
  const before = listForwardingEntries();
  const asking =
    tap === undefined || bridge === undefined ? NOT_ASKED : ask(host, tap, bridge, subject, neighbours);
  const [asked, rules] = await Promise.all([asking, readRules()]);
  const forwarding = forwardingOf(host, bridge, asked.heard.arp.macs[0]);
  const there = route(host, bridge, ip);
  const source = typeof there === 'string' ? undefined : there.source;
  const entry = neighbours.find(({ index, address }) => index === bridge?.index && address === ip);
  return decideBridge({
    tapName,
    ip,
    port,
    tap: tap && {
      kind: tap.kind,
      ethernet: isEthernet(tap),
      up: tap.up,
      carrier: tap.carrier,
      master: master?.name,
    },
    holder: tap?.kind === 'tun' ? seeHolder(tapName) : undefined,
    bridge: bridge && bridgeFacts(host, bridge),
    tapPort: bridge && tap && host.portFacts(tap),
    guard: tap && seeGuard(tapName),
    heard: asked.heard,
    forwarding: forwarding(before),
    forwardingAfter: forwarding(listForwardingEntries()),
    peer:
      peer === undefined
        ? undefined
        : { ip: peer, mac: asked.peer?.mac, port: asked.peer && host.portFacts(asked.peer.link) },
    route: there,
    routeBack: source === undefined ? there : route(host, bridge, ip, source),
    reversePath: Math.max(
      setting('ipv4/conf/all/rp_filter'),
      bridge === undefined ? 0 : setting(`ipv4/conf/${bridge.name}/rp_filter`),
    ),
    neighbour: entry,
    rules,
  });
}
