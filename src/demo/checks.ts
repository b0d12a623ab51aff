/** The demo's lines: each tries one thing that a user would, on the running switch. */
import { readFileSync } from 'node:fs';
import type { Guest } from '../lab/guest.ts';
import { httpGet } from '../lab/http.ts';
import { type Outcome, runIn } from '../lab/process.ts';
import { inNamespace } from '../sys/netns.ts';
import type { DemoLine } from './line.ts';
import { GATEWAY, VMS, type World } from './world.ts';

const [FIRST, SECOND] = VMS as unknown as [(typeof VMS)[number], (typeof VMS)[number]];

/** Average round trip of a ping's output, `ms`; undefined when nothing came back. */
function pingAverage({ stdout }: Outcome): number | undefined {
  const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
  return average === undefined ? undefined : Number(average);
}

function pingLine(name: string, outcome: Outcome): DemoLine {
  const ms = pingAverage(outcome);
  if (ms === undefined) return { name, ok: false, seen: lastLine(outcome) };
  return { name, ok: outcome.status === 0, seen: `${ms.toFixed(2)} ms`, value: ms, unit: 'ms' };
}

function lastLine({ stdout, stderr }: Outcome): string {
  return (stdout + stderr).trim().split('\n').at(-1) ?? '';
}

/** The host's ARP entry for an address, as the kernel lists it. */
function hostArp(world: World, address: string): string | undefined {
  const table = inNamespace(world.host, () => readFileSync('/proc/thread-self/net/arp', 'utf8'));
  const row = table.split('\n').find((line) => line.startsWith(`${address} `));
  return row?.split(/\s+/)[3];
}

function tapRead(world: World): DemoLine {
  const { rxFrames, interface: tap } = world.switch.stats().vms[FIRST.name] ?? { rxFrames: 0, interface: '' };
  return {
    name: 'TAP read',
    ok: rxFrames > 0,
    seen: `${rxFrames} frames from ${tap}`,
    value: rxFrames,
    unit: 'frames',
  };
}

async function arpAnswered(world: World, guest: Guest): Promise<DemoLine> {
  const atHost = hostArp(world, FIRST.ip);
  const { stdout } = await guest.run('cat /proc/net/arp');
  const row = stdout.split('\n').find((line) => line.startsWith(`${GATEWAY} `));
  const atGuest = row?.split(/\s+/)[3] ?? 'unknown';
  return {
    name: 'ARP answered',
    ok: atHost === FIRST.mac && atGuest !== 'unknown',
    seen: `host has ${FIRST.ip} at ${atHost}, guest has ${GATEWAY} at ${atGuest}`,
  };
}

async function pingGuest(world: World): Promise<DemoLine> {
  return pingLine(
    'ping host -> guest',
    await runIn(world.host, ['ping', '-c', '5', '-i', '0.2', '-W', '2', FIRST.ip]),
  );
}

async function curl(world: World, page: string): Promise<DemoLine> {
  const url = `http://${FIRST.ip}:${page}`;
  const name = `curl ${url}`;
  const { status, error, ms } = await httpGet(world.host, url);
  if (status === undefined) return { name, ok: false, seen: error ?? 'no answer' };
  return {
    name,
    ok: status === 200,
    seen: `${status} in ${ms.toFixed(0)} ms`,
    value: Math.round(ms),
    unit: 'ms',
  };
}

/** Through a port of this process's own loopback, with no route and no rule: as a master-controller does. */
async function forwarded(world: World): Promise<DemoLine> {
  const forward = world.switch
    .forwards(FIRST.name)
    .find(({ guestPort, identity }) => guestPort === 6080 && !identity);
  const url = `http://${forward?.host}/`;
  const name = `curl ${url} (forward to ${FIRST.name}:6080)`;
  const { status, error, ms } = await httpGet(undefined, url);
  const seen = status === undefined ? (error ?? 'no answer') : `${status} in ${ms.toFixed(0)} ms`;
  return { name, ok: status === 200, seen, value: Math.round(ms), unit: 'ms' };
}

async function pingGateway(guest: Guest): Promise<DemoLine> {
  return pingLine('ping guest -> gateway', await guest.run(`ping -c 3 -W 2 ${GATEWAY}`));
}

async function betweenGuests(guest: Guest, mode: 'isolated' | 'shared'): Promise<DemoLine> {
  const outcome = await guest.run(`ping -c 2 -W 1 ${SECOND.ip}`);
  if (mode === 'shared') return pingLine('ping guest -> guest (shared)', outcome);
  return {
    name: 'guest -> guest refused (isolated)',
    ok: outcome.status !== 0,
    seen: outcome.status === 0 ? 'it answered' : 'no answer',
  };
}

/** Frames of the first VM that the gateway refused to carry on. */
function refusals(world: World): number {
  const drops = world.switch.stats().vms[FIRST.name]?.drops ?? {};
  return (drops.prohibited ?? 0) + (drops['egress-denied'] ?? 0);
}

async function otherAddress(world: World, guest: Guest): Promise<DemoLine> {
  const name = `guest -> host's ${world.otherAddress} refused`;
  const before = refusals(world);
  const { status } = await guest.run(`ping -c 2 -W 1 ${world.otherAddress}`);
  const refused = refusals(world) - before;
  const seen = status === 0 ? 'it answered' : `${refused} frames refused`;
  return { name, ok: status !== 0 && refused > 0, seen, value: refused, unit: 'frames' };
}

/** The lines about the guests, one after the other. */
export async function* guestLines(world: World, mode: 'isolated' | 'shared'): AsyncGenerator<DemoLine> {
  const [guest] = world.guests;
  if (guest === undefined) throw new Error('the demo has no guest');
  const ping = await pingGuest(world);
  const gateway = await pingGateway(guest);
  yield tapRead(world);
  yield await arpAnswered(world, guest);
  yield ping;
  yield await curl(world, '6080/');
  yield await curl(world, '8080/health');
  yield await forwarded(world);
  yield gateway;
  yield await betweenGuests(guest, mode);
  yield await otherAddress(world, guest);
}
