/**
 * Collects the facts about one VM and has them decided: what the kernel and the switch know first, then, at once, the
 * questions to the guest, its port and the name servers; last, what depends on their answers. Nothing is changed; it
 * takes under three seconds.
 */
import type { DnsUpstream } from '../config/dns.ts';
import { parseIp } from '../config/ip.ts';
import type { NetworkConfig } from '../config/resolve.ts';
import type { Subnet } from '../config/subnet.ts';
import { within, withLinks } from '../engine/namespace.ts';
import type { PortState } from '../index.ts';
import { type GuardKind, guarded } from '../port/guard.ts';
import { isEthernet } from '../sys/link.ts';
import { formatIpv4, parseIpv4 } from '../wire/ipv4.ts';
import { type Decision, decide } from './decide.ts';
import type { Facts, HostWayFacts, TapFacts, TcpFacts } from './facts.ts';
import { seeHolder } from './holder.ts';
import { reachFromHost, seeRoute } from './host-way.ts';
import { askNameServers } from './name-servers.ts';
import { openProbe, type ProbeResult, probe, UNASKED } from './probe.ts';
import { askService, type Dial } from './service.ts';

/** What is to be diagnosed, as the daemon knows it. */
export interface Subject {
  readonly id: string;
  readonly tap: string;
  readonly netns: string | undefined;
  /** As registered */
  readonly mac: string | undefined;
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
  readonly vmm: string | undefined;
  /** Undefined where its network is gone */
  readonly network: NetworkConfig | undefined;
  /** Name servers of its network */
  readonly upstreams: readonly DnsUpstream[];
  /** Undefined where the switch does not have it */
  readonly port: PortState | undefined;
  readonly refusal: Facts['refusal'];
  readonly quietSeconds: number | undefined;
  readonly recentDrops: Facts['recentDrops'];
  readonly guard: GuardKind | 'off' | undefined;
  readonly workerAlive: boolean;
  readonly othersAlive: boolean;
  /** Opens a connection to a port of the guest, from the gateway */
  readonly dial: Dial;
}

interface SeenTap extends TapFacts {
  readonly index: number;
}

function seeTap(name: string, netns: string | undefined): SeenTap | undefined {
  try {
    return withLinks(netns, (links) => {
      const link = links.linkByName(name);
      if (link === undefined) return undefined;
      const { index, kind, up, carrier, mtu, master } = link;
      const owner = master === 0 ? undefined : (links.linkByIndex(master)?.name ?? `interface ${master}`);
      return { index, kind, up, carrier, mtu, ethernet: isEthernet(link), master: owner };
    });
  } catch {
    // Its namespace is gone, and it with that.
    return undefined;
  }
}

function seeGuard({ guard, netns, tap }: Subject): Facts['guard'] {
  if (guard === 'off') return 'off';
  if (guard === undefined) return 'unknown';
  try {
    return guarded(guard, netns, [tap]).includes(tap) ? 'in place' : 'missing';
  } catch {
    return 'unknown';
  }
}

/** The first address of the block beside the subnet: what has a mask one bit too wide takes it for a neighbour's. */
const outsideOf = ({ address, prefix }: Subnet): number => ((address ^ (1 << (32 - prefix))) + 1) >>> 0;

async function askGuest(
  { network, netns, ip6 }: Subject,
  tap: SeenTap | undefined,
  ip: string | undefined,
): Promise<ProbeResult> {
  const address = ip === undefined ? undefined : parseIpv4(ip);
  if (network === undefined || address === undefined || !tap?.up || !tap.carrier) return UNASKED;
  const { gateway, mtu, subnet } = network;
  const words = ip6 === undefined ? undefined : parseIp(ip6);
  const target = { gateway, ip: address, elsewhere: outsideOf(subnet), ip6: words };
  try {
    const fd = within(netns, () => openProbe(tap.index));
    return await probe(fd, { ...target, mtu: Math.min(mtu, tap.mtu) });
  } catch {
    // It went while we looked; the other hops say so.
    return UNASKED;
  }
}

/** The host's own way; its firewall is in question only where the gateway had an answer to the same. */
async function seeHostWay(
  { network, workerAlive, othersAlive }: Subject,
  ip: string | undefined,
  tcp: TcpFacts | undefined,
): Promise<HostWayFacts | undefined> {
  if (network?.hostPort === undefined) return undefined;
  const { name: hostPort, netns } = network.hostPort;
  if (ip === undefined) return { hostPort, leavesBy: undefined, reached: 'unasked' };
  const leavesBy = seeRoute(network.hostPort, ip);
  // Of a thread that stands still the firewall would get the blame.
  const areAlive = workerAlive && othersAlive;
  const isAnswered = areAlive && (tcp?.outcome === 'open' || tcp?.outcome === 'refused');
  if (!isAnswered || leavesBy?.name !== hostPort || netns !== undefined)
    return { hostPort, leavesBy, reached: 'unasked' };
  return { hostPort, leavesBy, ...(await reachFromHost(ip, tcp.port)) };
}

/** @param port of the guest that is asked about, if any */
export async function diagnose(subject: Subject, port: number | undefined): Promise<Decision> {
  const { id, tap: tapName, netns, network, port: state } = subject;
  const tap = seeTap(tapName, netns);
  const ip = subject.ip ?? state?.ip ?? state?.leased;
  const plugged = state?.plugged === true;
  const forwards = (state?.forwards ?? []).filter(
    ({ guestPort }) => port === undefined || guestPort === port,
  );
  const [asked, tcp, dns] = await Promise.all([
    askGuest(subject, tap, ip),
    port === undefined || !plugged ? undefined : askService(subject.dial, port),
    askNameServers(subject.upstreams),
  ]);
  return decide({
    vm: id,
    tapName,
    tap,
    plugged,
    refusal: subject.refusal,
    holder: tap?.kind === 'tun' ? seeHolder(tapName, netns) : undefined,
    vmm: subject.vmm,
    guard: tap === undefined ? 'unknown' : seeGuard(subject),
    workerAlive: subject.workerAlive,
    othersAlive: subject.othersAlive,
    framesSeen: state?.rxFrames ?? 0,
    quietSeconds: subject.quietSeconds,
    expectedMac: subject.mac,
    ip,
    ip6: subject.ip6,
    mtu: network?.mtu ?? 0,
    elsewhere: network === undefined ? '' : formatIpv4(outsideOf(network.subnet)),
    ...asked,
    tcp,
    flows: state?.flows,
    forwards: forwards.map(({ host, guestPort }) => `${host} to ${guestPort}`),
    dns,
    host: await seeHostWay(subject, ip, tcp),
    drops: state?.drops ?? {},
    recentDrops: subject.recentDrops,
  });
}
