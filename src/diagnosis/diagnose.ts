/**
 * Collects the facts about one VM and has them decided: what the kernel and the switch know first, then, at once, the
 * questions to the guest. Nothing is changed; it takes under three seconds.
 */
import { within, withLinks } from '../engine/namespace.ts';
import type { PortState } from '../index.ts';
import { type GuardKind, guarded } from '../port/guard.ts';
import { parseIpv4 } from '../wire/ipv4.ts';
import { type Decision, decide } from './decide.ts';
import type { Facts, TapFacts } from './facts.ts';
import { seeHolder } from './holder.ts';
import { openProbe, type ProbeResult, probe } from './probe.ts';
import { askService, type Dial } from './service.ts';

const ARPHRD_ETHER = 1;
const UNASKED: ProbeResult = { arp: { outcome: 'unasked', macs: [] }, icmp: 'unasked' };

/** What is to be diagnosed, as the daemon knows it. */
export interface Subject {
  readonly id: string;
  readonly tap: string;
  readonly netns: string | undefined;
  /** As registered */
  readonly mac: string | undefined;
  readonly ip: string | undefined;
  /** Address of its network's gateway, uint32; undefined where its network is gone */
  readonly gateway: number | undefined;
  /** Undefined where the switch does not have it */
  readonly port: PortState | undefined;
  readonly guard: GuardKind | 'off' | undefined;
  readonly workersAlive: boolean;
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
      const { index, kind, up, carrier, master, arpHardwareType } = link;
      const owner = master === 0 ? undefined : (links.linkByIndex(master)?.name ?? `interface ${master}`);
      return { index, kind, up, carrier, ethernet: arpHardwareType === ARPHRD_ETHER, master: owner };
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

async function askGuest(
  { gateway, netns }: Subject,
  tap: SeenTap,
  ip: string | undefined,
): Promise<ProbeResult> {
  const address = ip === undefined ? undefined : parseIpv4(ip);
  if (gateway === undefined || address === undefined || !tap.up || !tap.carrier) return UNASKED;
  try {
    const fd = within(netns, () => openProbe(tap.index));
    return await probe(fd, { gateway, ip: address });
  } catch {
    // It went while we looked; the other hops say so.
    return UNASKED;
  }
}

/** @param port of the guest that is asked about, if any */
export async function diagnose(subject: Subject, port: number | undefined): Promise<Decision> {
  const { id, tap: tapName, netns, port: state } = subject;
  const tap = seeTap(tapName, netns);
  const ip = subject.ip ?? state?.ip ?? state?.leased;
  const plugged = state?.plugged === true;
  const forwards = (state?.forwards ?? []).filter(
    ({ guestPort }) => port === undefined || guestPort === port,
  );
  const asked = tap === undefined ? UNASKED : askGuest(subject, tap, ip);
  const service = port === undefined || !plugged ? undefined : askService(subject.dial, port);
  const [{ arp, icmp }, tcp] = await Promise.all([asked, service]);
  return decide({
    vm: id,
    tapName,
    tap,
    plugged,
    holder: tap?.kind === 'tun' ? seeHolder(tapName) : undefined,
    guard: tap === undefined ? 'unknown' : seeGuard(subject),
    workersAlive: subject.workersAlive,
    framesSeen: state?.rxFrames ?? 0,
    expectedMac: subject.mac,
    ip,
    arp,
    icmp,
    tcp,
    forwards: forwards.map(({ host, guestPort }) => `${host} to ${guestPort}`),
    drops: state?.drops ?? {},
  });
}
