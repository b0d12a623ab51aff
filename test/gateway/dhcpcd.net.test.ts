/** A real DHCP client that keeps running: dhcpcd, with its address conflict detection, renewal and release. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { addressOf, GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const hasClient = spawnSync('dhcpcd', ['--version']).status === 0;

/** It probes the address for up to 7 s before it takes it (RFC 5227 section 2.1.1). */
const WAIT = { timeout: 20_000, interval: 100 };
const OPTIONS = 'domain_name_servers,domain_name,host_name,interface_mtu,classless_static_routes';
/** Own mounts and host name, so that it finds no state of the machine's own client and leaves none. */
const APART = ['unshare', '--mount', '--uts', '--propagation', 'private', 'sh', '-ec'];
const EMPTY_STATE = 'mount -t tmpfs none /run; mount -t tmpfs none /var/lib/dhcpcd; exec "$@"';

/** What dhcpcd tells its hook script at one event. */
type Report = Record<string, string>;

let stage: GatewayStage;
let guest: NetnsGuest;
let sw: Switch;
let folder: string;
/** What the client has printed */
let said: string;

beforeEach(async () => {
  stage = new GatewayStage();
  folder = mkdtempSync(join(tmpdir(), 'dhcpcd-'));
  stage.atEnd(() => rmSync(folder, { recursive: true }));
  guest = await stage.guest(2);
  await runIn(guest.namespace, ['ip', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
});

afterEach(() => stage.end());

async function start(ip?: string): Promise<void> {
  sw = await stage.start({ networks: { default: stage.network({ mtu: 1400 }) } });
  const { ip: _, ...plain } = stage.vm(2, { forwards: ['15300:5300'] });
  await sw.attach('vm-a', ip === undefined ? plain : { ...plain, ip });
}

/** Starts the client in the guest, in the foreground; it configures the guest's interface itself. */
function startClient(...options: string[]): ChildProcess {
  const hook = join(folder, 'hook');
  const log = join(folder, 'log');
  // One line a report, in one write: nothing of it is seen before all is there.
  writeFileSync(hook, `#!/bin/sh\nline=$(env | tr '\\n' '|')\necho "$line" >>${log}\n`);
  chmodSync(hook, 0o755);
  writeFileSync(log, '');
  const client = ['dhcpcd', '-4', '-B', '-L', '-f', '/dev/null', '--script', hook, '-o', OPTIONS];
  const command = [...APART, EMPTY_STATE, 'sh', ...client, ...options, 'eth0'];
  const child = spawnIn(guest.namespace, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  said = '';
  for (const output of [child.stdout, child.stderr]) {
    output?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  stage.atEnd(() => ended(child, 'SIGTERM'));
  return child;
}

/** Asks it to end by a signal, on which it tidies up, and waits until it has. */
async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

function reports(): Report[] {
  const lines = readFileSync(join(folder, 'log'), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => Object.fromEntries(line.split('|').map((pair) => pair.split(/=(.*)/s))));
}

/** The report of an event, once it has come. */
function reported(reason: string): Promise<Report> {
  const find = () => {
    const found = reports().find((report) => report.reason === reason);
    if (found === undefined) throw new Error(`no ${reason}: ${said}`);
    return found;
  };
  return vi.waitFor(find, WAIT);
}

async function inGuest(...command: string[]): Promise<string> {
  return (await runIn(guest.namespace, command)).stdout;
}

test.skipIf(!hasClient)(
  'VM without an address: dhcpcd probes, takes, renews, releases -> the lease set aside for it, each time',
  async () => {
    await start();
    const leased = sw.stats().vms['vm-a']?.leased as string;
    const client = startClient();
    const lease = {
      new_ip_address: leased,
      new_subnet_mask: '255.255.255.0',
      new_broadcast_address: '10.1.0.255',
      new_routers: GATEWAY,
      new_classless_static_routes: `0.0.0.0/0 ${GATEWAY}`,
      new_domain_name_servers: GATEWAY,
      new_domain_name: 'tapswitch.internal',
      new_host_name: 'vm-a',
      new_interface_mtu: '1400',
      new_dhcp_server_identifier: GATEWAY,
      new_dhcp_lease_time: '86400',
      new_dhcp_renewal_time: '43200',
      new_dhcp_rebinding_time: '75600',
    };
    expect(await reported('BOUND')).toMatchObject(lease);
    expect(await inGuest('ip', '-4', '-o', 'addr', 'show', 'dev', 'eth0')).toContain(`inet ${leased}/24 `);
    const route = await inGuest('ip', 'route', 'show', 'default');
    expect(route).toContain(`default via ${GATEWAY} dev eth0 proto dhcp src ${leased}`);
    expect(route).toContain('mtu 1400');
    await stage.serve(guest.namespace, 'name', 5300, 'a');
    expect((await stage.probe(stage.host.path, '127.0.0.1', 15300)).result).toBe('heard a');

    client.kill('SIGUSR1');
    expect(await reported('RENEW')).toMatchObject({ ...lease, old_ip_address: leased });

    await ended(client, 'SIGALRM');
    expect(reports().map(({ reason }) => reason)).not.toContain('EXPIRE');
    expect(await inGuest('ip', '-4', '-o', 'addr', 'show', 'dev', 'eth0')).toBe('');
    expect(sw.stats().vms['vm-a']?.leased).toBe(leased);
  },
);

test.skipIf(!hasClient)('VM with an address: dhcpcd asks for another -> is given this one', async () => {
  await start(addressOf(77));
  startClient('-A', '-r', addressOf(78));
  expect((await reported('BOUND')).new_ip_address).toBe(addressOf(77));
  await stage.serve(guest.namespace, 'name', 5300, 'a');
  expect((await stage.probe(stage.host.path, '127.0.0.1', 15300)).result).toBe('heard a');
});
