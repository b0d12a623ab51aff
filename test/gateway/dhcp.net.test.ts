/** A real DHCP client asks the gateway: BusyBox's, which is in most small guests. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { addressOf, GATEWAY, macOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

// BusyBox is not on every machine, nor udhcpc in every BusyBox.
const applets = spawnSync('busybox', ['--list'], { encoding: 'utf8' }).stdout ?? '';
const hasClient = applets.split('\n').includes('udhcpc');

const HANDLER = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
echo "ip=$ip mask=$mask router=$router dns=$dns domain=$domain hostname=$hostname mtu=$mtu lease=$lease server=$serverid"
ip addr replace "$ip/$mask" dev "$interface"
ip route replace default via "$router"
`;

let stage: GatewayStage;
let guest: NetnsGuest;
let handler: string;
let sw: Switch;

beforeEach(async () => {
  stage = new GatewayStage();
  const folder = mkdtempSync(join(tmpdir(), 'dhcp-'));
  stage.atEnd(() => rmSync(folder, { recursive: true }));
  handler = join(folder, 'handler');
  writeFileSync(handler, HANDLER);
  chmodSync(handler, 0o755);
  guest = await stage.guest(2);
  await runIn(guest.namespace, ['ip', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
});

afterEach(() => stage.end());

/** What a lease says, asked for by BusyBox's client. */
async function ask(...options: string[]): Promise<Record<string, string>> {
  const command = ['busybox', 'udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', '3', '-T', '1', '-s', handler];
  for (const option of ['mtu', 'domain', 'hostname', 'lease']) command.push('-O', option);
  const { stdout, stderr } = await runIn(guest.namespace, [...command, ...options]);
  const line = stdout.split('\n').find((text) => text.startsWith('ip='));
  if (line === undefined) throw new Error(`no lease: ${stdout}${stderr}`);
  return Object.fromEntries(line.split(' ').map((pair) => pair.split('=') as [string, string]));
}

async function start(changes: { ip?: string; mac?: string }): Promise<void> {
  sw = await stage.start();
  const { ip: _, ...plain } = stage.vm(2, { forwards: ['15300:5300'] });
  await sw.attach('vm-a', { ...plain, ...changes });
}

test.skipIf(!hasClient)(
  'VM without an address: udhcpc -> the lease set aside for it; then it is reached',
  async () => {
    await start({});
    const leased = sw.stats().vms['vm-a']?.leased;
    const lease = await ask();
    expect(lease).toMatchObject({
      ip: leased,
      mask: '24',
      router: GATEWAY,
      dns: GATEWAY,
      domain: 'tapswitch.internal',
      hostname: 'vm-a',
      mtu: '1500',
      server: GATEWAY,
    });
    expect(Number(lease.lease)).toBeGreaterThan(60);
    await stage.serve(guest.namespace, 'name', 5300, 'a');
    expect((await stage.probe(stage.host.path, '127.0.0.1', 15300)).result).toBe('heard a');
    expect(sw.stats().vms['vm-a']?.ip).toBe(leased);
  },
);

test.skipIf(!hasClient)('VM with an address: udhcpc, whatever it asks for -> this one', async () => {
  await start({ ip: addressOf(77), mac: macOf(2) });
  expect((await ask()).ip).toBe(addressOf(77));
  expect((await ask('-r', addressOf(78))).ip).toBe(addressOf(77));
  await stage.serve(guest.namespace, 'name', 5300, 'a');
  expect((await stage.probe(stage.host.path, '127.0.0.1', 15300)).result).toBe('heard a');
});

test.skipIf(!hasClient)(
  'VM that has released its lease: udhcpc again, also of a new switch -> the same',
  async () => {
    await start({});
    const first = (await ask('-R')).ip;
    expect((await ask()).ip).toBe(first);
    await sw.close();
    await start({});
    expect((await ask()).ip).toBe(first);
  },
);
