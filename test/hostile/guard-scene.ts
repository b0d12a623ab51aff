/**
 * A host with many addresses, which also forwards, and a guest that means it harm: it addresses its frames to the
 * TAP's own MAC on the host, so that the host's stack takes them for its own, and knows that MAC without asking.
 *
 *     guest eth0 ---- fc-vm-14 host other0 ---- eth0 far
 *                     (guard)  lo, tapsw0
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { A } from '../lib/frames.ts';
import type { Cleanup } from '../lib/net-cleanup.ts';
import { kill, type Place } from '../lib/net-place.ts';
import { COLLECTOR_PORT, collectDatagrams } from '../lib/net-services.ts';
import { GATEWAY_IP, HOST_IP, HOST_PORT, tapOf } from '../lib/net-switch.ts';

const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const TAP = tapOf(A);
/** Time a datagram has to show where it should not, `ms` */
const ARRIVAL_MS = 1000;

const FAR_IP = '10.9.0.2';
const ON_LOOPBACK = ['172.31.255.1/32', 'fd88::1/128'];
const ON_HOST_PORT = ['192.168.7.7/16', 'fd77::1/64'];
const ON_OTHER = ['10.9.0.1/24', 'fd99::1/64'];
/** The far namespace's, then the host's own: on other interfaces, and in the guest's subnets. */
export const ADDRESSES = [
  FAR_IP,
  'fd99::2',
  ...[...ON_LOOPBACK, ...ON_OTHER, ...ON_HOST_PORT].map((text) => text.replace(/\/.*/, '')),
  HOST_IP,
];

export interface GuardScene {
  readonly host: Place;
  readonly guest: Place;
  /** Starts the command on the host and waits until it runs; the VM's TAP is attached then */
  startSwitch(guard: 'required' | 'off'): Promise<ChildProcess>;
  /** Those of ADDRESSES where a datagram of the guest's arrives, in their order */
  reached(): Promise<string[]>;
}

function addAddresses(addresses: readonly string[], device: string): string[] {
  return addresses.map((address) => {
    const options = address.includes(':') ? ' nodad' : '';
    return `ip address add ${address} dev ${device}${options}`;
  });
}

async function setUp(host: Place, guest: Place, far: Place): Promise<void> {
  // Without duplicate address detection, link-local addresses can be used at once
  for (const place of [host, guest, far]) await place.set('ipv6/conf/default/accept_dad', 0);
  await host.must(
    `ip link add ${TAP} type veth peer name eth0 address ${A.mac} netns ${guest.path}`,
    `ip link add other0 type veth peer name eth0 netns ${far.path}`,
    'ip link set other0 up',
    ...addAddresses(ON_LOOPBACK, 'lo'),
    ...addAddresses(ON_OTHER, 'other0'),
  );
  await host.set('ipv4/ip_forward', 1);
  await host.set('ipv6/conf/all/forwarding', 1);
  // Nothing but the guard stands in the way
  for (const scope of ['all', 'default']) await host.set(`ipv4/conf/${scope}/rp_filter`, 0);
  await far.must(
    'ip link set eth0 up',
    ...addAddresses([`${FAR_IP}/24`, 'fd99::2/64'], 'eth0'),
    'ip route add default via 10.9.0.1',
    'ip route add default via fd99::1',
  );
  await guest.must('ip link set eth0 up', ...addAddresses([`${A.ip}/16`, 'fd77::14/64'], 'eth0'));
}

/** Makes the guest send everything to the TAP's own MAC, without asking. */
async function aimAtHost(host: Place, guest: Place): Promise<void> {
  const [, mac] = /link\/ether (\S+)/.exec(await host.must(`ip link show ${TAP}`)) ?? [];
  const neighbours = [GATEWAY_IP, HOST_IP, '192.168.7.7', 'fd77::1'];
  await guest.must(
    ...neighbours.map((address) => `ip neigh add ${address} lladdr ${mac} dev eth0 nud permanent`),
    `ip route add default via ${GATEWAY_IP}`,
    'ip route add default via fd77::1',
  );
}

/** What the host sends the guest over IPv6 leaves by the host port, to a MAC that is known. */
async function knowGuest(host: Place): Promise<void> {
  await host.must(
    ...addAddresses(ON_HOST_PORT, HOST_PORT),
    `ip neigh replace fd77::14 lladdr ${A.mac} dev ${HOST_PORT} nud permanent`,
  );
}

function writeConfig(cleanup: Cleanup, guard: 'required' | 'off'): string {
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-'));
  cleanup.add(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'config.json');
  const network = {
    subnet: '192.168.0.0/16',
    gateway: GATEWAY_IP,
    // The guest's routes are the scene's own.
    subnet6: 'none',
    hostPort: { name: HOST_PORT, address: HOST_IP },
  };
  const config = { networks: { default: network }, vms: { 'vm-14': { tap: TAP, ...A } }, guard };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

async function startCommand(host: Place, cleanup: Cleanup, guard: 'required' | 'off'): Promise<ChildProcess> {
  const words = ['up', '--config', writeConfig(cleanup, guard), '--log-level', 'warn', '--ready-fd', '3'];
  const child = host.spawn([process.execPath, COMMAND, ...words], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  cleanup.add(() => kill(child));
  const ready = child.stdio[3] as NodeJS.EventEmitter;
  const [said] = await Promise.race([once(ready, 'data'), once(child, 'exit')]);
  if (String(said) !== '1\n') throw new Error(`tapswitch up ended with status ${said}`);
  return child;
}

const SENDER = `
  const { createSocket } = require('node:dgram');
  const [port, round, ...targets] = process.argv.slice(1);
  const sockets = { 4: createSocket('udp4'), 6: createSocket('udp6') };
  let missing = targets.length;
  for (const target of targets) {
    sockets[target.includes(':') ? 6 : 4].send(round + target, Number(port), target, () => {
      if (--missing === 0) process.exit();
    });
  }
`;

/** Builds the scene from three empty network namespaces; the switch is not started yet. */
export async function guardScene(cleanup: Cleanup, places: readonly Place[]): Promise<GuardScene> {
  const [host, guest, far] = places as [Place, Place, Place];
  await setUp(host, guest, far);
  const collected = await Promise.all([host, far].map((place) => collectDatagrams(place, cleanup)));
  let rounds = 0;
  const reached = async () => {
    const round = `${++rounds}:`;
    const words = [String(COLLECTOR_PORT), round, ...ADDRESSES];
    const sender = guest.spawn([process.execPath, '-e', SENDER, ...words], { stdio: 'inherit' });
    await once(sender, 'exit');
    const there = () => ADDRESSES.filter((address) => collected.some((heard) => heard.has(round + address)));
    const end = performance.now() + ARRIVAL_MS;
    while (there().length < ADDRESSES.length && performance.now() < end) await sleep(20);
    return there();
  };
  const startSwitch = async (guard: 'required' | 'off') => {
    const running = await startCommand(host, cleanup, guard);
    await knowGuest(host);
    await aimAtHost(host, guest);
    return running;
  };
  return { host, guest, startSwitch, reached };
}
