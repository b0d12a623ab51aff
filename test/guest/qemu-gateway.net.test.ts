/** A real Linux guest, in QEMU, and the gateway: forwards into it, its ways out, the services it asks. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Guest, GuestUnavailable } from '../../src/lab/guest.ts';
import { qemuAvailable, startQemuGuest } from '../../src/lab/qemu-guest.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import { addressOf, GATEWAY, macOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const VM = 'vm-14';
const NAME = `${VM}.tapswitch.internal`;
const GATEWAY6 = 'fd00:7::1';
const ADDRESS = addressOf(14);
const MAC = macOf(14);
const TAP = 'fc-vm-14';
const MEBIBYTES = 64;
// Emulated in software, on a machine that may be busy: what takes seconds may take a minute
const BOOT_MS = 120_000;
/** One transfer, several of them: one that hangs is named before the test as a whole is given up */
const TRANSFER_MS = 60_000;
const TRANSFERS_MS = 240_000;
/** Longest a refusal may take in the guest, whose programs take a while to start, seconds */
const AT_ONCE_SECONDS = 3;

const available = await qemuAvailable();
let unavailable = available.ok ? undefined : available.reason;

let stage: GatewayStage;
let sw: Switch;
let guest: Guest;

async function boot(): Promise<Guest> {
  const identity = { name: VM, mac: MAC, ip: ADDRESS, prefix: 24, gateway: GATEWAY };
  const booted = await startQemuGuest({ ...identity, tap: TAP, namespace: stage.host.path, memoryMiB: 384 });
  stage.atEnd(() => booted.stop());
  return booted;
}

beforeAll(async () => {
  if (unavailable !== undefined) return;
  stage = new GatewayStage();
  inNamespace(stage.host.path, () => createPersistentTap(TAP));
  const forwards = ['16080:6080', '15302:5302'].map((listen) => ({ listen, wait: BOOT_MS / 1000 }));
  const network = { subnet6: 'fd00:7::/64', gateway6: GATEWAY6, hostServices: ['5300', '5301'] };
  sw = await stage.start({ networks: { default: stage.network(network) } });
  await sw.attach(VM, { tap: TAP, netns: stage.host.path, mac: MAC, ip: ADDRESS, forwards });
  try {
    guest = await boot();
    await guest.ready(BOOT_MS);
  } catch (error) {
    if (!(error instanceof GuestUnavailable)) throw error;
    unavailable = error.message;
  }
}, BOOT_MS);

beforeEach(({ skip }) => skip(unavailable !== undefined, unavailable));

afterAll(() => stage?.end());

/** What the guest's shell says to `command`, which must succeed. */
async function inGuest(command: string, timeoutMs?: number): Promise<string> {
  const { status, stdout, stderr } = await guest.run(command, timeoutMs);
  if (status !== 0) throw new Error(`${command}: status ${status}, ${stdout}${stderr}`);
  return stdout;
}

/** Seconds that `command` takes in the guest, and what it complains of; it must fail. */
async function refusal(command: string): Promise<{ complaint: string; seconds: number }> {
  const { status, stderr } = await guest.run(`time ${command}`);
  expect(status).not.toBe(0);
  const [, minutes, seconds] = /^real\s+(\d+)m ([\d.]+)s$/m.exec(stderr) ?? [];
  return { complaint: stderr.split('\n')[0] as string, seconds: Number(minutes) * 60 + Number(seconds) };
}

test('forward by 127.0.0.1 and by the identity: -> the guest’s web server', async () => {
  const loopback = sw.stats().vms[VM]?.loopback as string;
  for (const at of ['127.0.0.1:16080', `${loopback}:6080`]) {
    expect(await stage.run('curl', '-fsS', '-m', '20', `http://${at}/`)).toContain(ADDRESS);
  }
});

test('guest pings the gateway: -> every reply', async () => {
  expect(await inGuest(`ping -c 3 -W 5 ${GATEWAY}`)).toContain('3 packets received');
});

test('guest asks for names: its own, its address, one that is none -> answers', async () => {
  expect(await inGuest(`nslookup ${NAME} ${GATEWAY}`)).toMatch(new RegExp(`^Address: ${ADDRESS}$`, 'm'));
  expect(await inGuest(`nslookup ${ADDRESS} ${GATEWAY}`)).toContain(`name = ${NAME}`);
  const { status, stdout } = await guest.run(`nslookup other.tapswitch.internal ${GATEWAY}`);
  expect([status, stdout]).toEqual([1, expect.stringContaining('NXDOMAIN')]);
});

test('guest asks for a lease: -> its address and the settings of its network', async () => {
  const script =
    '#!/bin/sh\n[ "$1" = bound ] && echo "$ip $mask $router $dns $hostname $mtu $serverid"\nexit 0\n';
  await inGuest(`echo '${script}' >/tmp/lease; chmod +x /tmp/lease`);
  const said = await inGuest('udhcpc -i eth0 -f -q -n -t 3 -T 3 -O hostname -O mtu -s /tmp/lease');
  expect(said.trim()).toBe(`${ADDRESS} 24 ${GATEWAY} ${GATEWAY} ${VM} 1500 ${GATEWAY}`);
});

test('guest connects to what is denied, to a port of the gateway that is none: -> refused at once', async () => {
  const denied = (reason: 'egress-denied' | 'no-service') => sw.stats().vms[VM]?.drops[reason] ?? 0;
  const before = [denied('egress-denied'), denied('no-service')] as const;
  for (const target of ['10.9.9.9 80', '169.254.169.254 80', `${GATEWAY} 22`]) {
    const { complaint, seconds } = await refusal(`nc -w 20 ${target} </dev/null`);
    expect([target, complaint]).toEqual([target, expect.stringContaining('Connection refused')]);
    expect(seconds).toBeLessThan(AT_ONCE_SECONDS);
  }
  expect([denied('egress-denied'), denied('no-service')]).toEqual([before[0] + 2, before[1] + 1]);
});

/**
 * Whether the guest's network card takes nothing any more, not even a ping. Seen with QEMU 7.2, about once in fifty
 * transfers of this size: the guest's transmit queue stops for good in mid-stream, all frames it counts as sent have
 * reached the switch, frames towards it and its command channel go on. Why is not known; such a stream says nothing
 * about the gateway, and another guest's has to pass.
 */
async function transmitStalled(): Promise<boolean> {
  const sent = async () => Number(await inGuest('cat /sys/class/net/eth0/statistics/tx_packets'));
  const before = await sent();
  await guest.run(`ping -c 2 -W 1 ${GATEWAY}`);
  return (await sent()) === before;
}

/** Host to guest and back, by services of the host's and by forwards, each way with its own program at the guest. */
async function transferAll(): Promise<void> {
  const host = stage.host.path;
  const expected = await stage.call(host, 'expect', MEBIBYTES);
  const hash = expected.split(' ')[1] as string;

  await inGuest(`nc ${GATEWAY} 5301 </dev/null >/tmp/blob`, TRANSFER_MS);
  expect(await inGuest('sha256sum </tmp/blob', TRANSFER_MS)).toContain(hash);
  expect(await inGuest(`nc ${GATEWAY} 5300 </tmp/blob`, TRANSFER_MS)).toBe(expected);
  expect(await inGuest(`nc ${GATEWAY6} 5300 </tmp/blob`, TRANSFER_MS)).toBe(expected);

  const listening = guest.run('nc -l -p 5302 -e sha256sum', TRANSFER_MS);
  const pushed = await stage.call(host, 'push', '127.0.0.1', 15302, MEBIBYTES);
  expect(pushed).toContain(`theirs ${hash} `);
  expect((await listening).status).toBe(0);
  const fetch = 'curl -fsS http://127.0.0.1:16080/tmp/blob | sha256sum';
  expect(await stage.run('sh', '-c', fetch)).toContain(hash);
}

test(
  `${MEBIBYTES} MB in and out, by services of the host's, over IPv6 too, and by forwards -> the same bytes`,
  async () => {
    await stage.serve(stage.host.path, 'digest', 5300);
    await stage.serve(stage.host.path, 'blob', 5301, MEBIBYTES);
    try {
      await transferAll();
    } catch (error) {
      if (!(await transmitStalled())) throw error;
      await guest.stop();
      guest = await boot();
      await guest.ready(BOOT_MS);
      await transferAll();
    }
  },
  TRANSFERS_MS,
);

test(
  'VMM killed: -> open connections are reset at once; later ones are held until the guest has booted again',
  async () => {
    const listening = guest.run('sleep 600 | nc -l -p 5302', TRANSFER_MS).catch(() => 'gone');
    const open = connect(15302, '127.0.0.1');
    stage.atEnd(() => open.destroy());
    const failed = new Promise((resolve) => open.once('error', resolve));
    const established = new RegExp(`${ADDRESS}:5302 .*ESTABLISHED`);
    await expect.poll(() => inGuest('netstat -tn'), { timeout: 20_000 }).toMatch(established);
    process.kill(guest.pid, 'SIGKILL');
    const since = performance.now();
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
    expect(performance.now() - since).toBeLessThan(1000);
    expect(await listening).toBe('gone');
    await guest.stop();

    let over = false;
    const held = stage.run('curl', '-fsS', '-m', String(BOOT_MS / 1000), 'http://127.0.0.1:16080/');
    const watched = held.finally(() => {
      over = true;
    });
    await delay(1000);
    expect([over, sw.stats().vms[VM]?.carrier]).toEqual([false, false]);
    guest = await boot();
    expect(await watched).toContain(ADDRESS);
    await guest.ready(BOOT_MS);
    expect(sw.stats().vms[VM]?.drops).not.toHaveProperty('forward-no-carrier');
  },
  2 * BOOT_MS,
);
