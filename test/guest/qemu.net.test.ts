/** A real Linux guest, in QEMU, on a TAP that was there before it and stays when it goes. */
import type { Switch } from 'tapswitch';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Guest, GuestUnavailable } from '../../src/lab/guest.ts';
import { qemuAvailable, startQemuGuest } from '../../src/lab/qemu-guest.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import { A } from '../lib/frames.ts';
import { Cleanup } from '../lib/net-cleanup.ts';
import { createPlace, type Place } from '../lib/net-place.ts';
import { CURL_NO_CONNECTION, curl, neighbour, ping } from '../lib/net-probe.ts';
import { serveBlob } from '../lib/net-services.ts';
import { GATEWAY_IP, HOST_IP, network, port, startSwitch, tapOf } from '../lib/net-switch.ts';

const TAP = tapOf(A);
const BLOB_PORT = 7000;
const BLOB_MEBIBYTES = 256;
/** Room for the blob in the guest's memory beside Linux */
const MEMORY_MEBIBYTES = 768;
// Emulated in software, on a machine that may be busy: what takes seconds may take a minute
const BOOT_MS = 120_000;
const TRANSFER_MS = 120_000;

const available = await qemuAvailable();
let unavailable = available.ok ? undefined : available.reason;

const cleanup = new Cleanup();
let host: Place;
let running: Switch;
let guest: Guest;
let blobHash: string;

async function boot(): Promise<Guest> {
  const identity = { ...A, name: 'vm-14', prefix: 16, gateway: GATEWAY_IP };
  const place = { tap: TAP, namespace: host.path, memoryMiB: MEMORY_MEBIBYTES };
  const booted = await startQemuGuest({ ...identity, ...place });
  cleanup.add(() => booted.stop());
  await booted.ready(BOOT_MS);
  return booted;
}

async function expectReachable(): Promise<void> {
  expect(port(running, TAP).carrier).toBe(true);
  expect(await ping(host, A.ip, { seconds: 5 })).toMatchObject({ sent: 3, received: 3 });
  expect(await neighbour(host, A.ip)).toContain(`lladdr ${A.mac}`);
  expect((await curl(host, `http://${A.ip}:6080/`, 10)).body).toContain(A.ip);
  const health = (await curl(host, `http://${A.ip}:8080/health`, 10)).body;
  expect(JSON.parse(health)).toMatchObject({ status: 'ok', address: A.ip });
}

async function expectUnreachableAtOnce(): Promise<void> {
  await expect.poll(() => port(running, TAP).carrier, { timeout: 10_000 }).toBe(false);
  const start = performance.now();
  const { output } = await ping(host, A.ip, { count: 1, seconds: 5 });
  expect(performance.now() - start).toBeLessThan(1000);
  expect(output).toContain(`From ${GATEWAY_IP} icmp_seq=1 Destination Host Unreachable`);
  expect((await curl(host, `http://${A.ip}:6080/`)).exit).toBe(CURL_NO_CONNECTION);
}

beforeAll(async () => {
  if (unavailable !== undefined) return;
  host = await createPlace(cleanup);
  inNamespace(host.path, () => createPersistentTap(TAP));
  blobHash = await serveBlob(host, cleanup, BLOB_PORT, BLOB_MEBIBYTES);
  const networks = { default: network(host, 'isolated', [`tcp/${BLOB_PORT}`]) };
  running = await startSwitch(cleanup, { networks });
  await running.attach(TAP, { tap: TAP, netns: host.path, mac: A.mac, ip: A.ip });
  try {
    guest = await boot();
  } catch (error) {
    if (!(error instanceof GuestUnavailable)) throw error;
    unavailable = error.message;
  }
}, BOOT_MS);

beforeEach(({ skip }) => skip(unavailable !== undefined, unavailable));

afterAll(() => cleanup.run());

test('a guest boots on the TAP: ARP, ping, HTTP on 6080 and 8080 from the host', async () => {
  await expectReachable();
});

test('the guest pings its gateway', async () => {
  const { status, stdout } = await guest.run(`ping -c 3 -W 5 ${GATEWAY_IP}`);
  expect(stdout).toContain('3 packets received');
  expect(status).toBe(0);
});

test(
  `${BLOB_MEBIBYTES} MB from host to guest and back: what arrives has the sha256 of what was sent`,
  async () => {
    const fetched = await guest.run(`wget -q -O /tmp/blob http://${HOST_IP}:${BLOB_PORT}/`, TRANSFER_MS);
    expect(fetched).toMatchObject({ status: 0, stderr: '' });
    const [inside, returned] = await Promise.all([
      guest.run('sha256sum /tmp/blob', TRANSFER_MS),
      host.run(`curl -fsS http://${A.ip}:6080/tmp/blob | sha256sum`, TRANSFER_MS),
    ]);
    expect(inside.stdout.split(' ')[0]).toBe(blobHash);
    expect(returned.stdout.split(' ')[0]).toBe(blobHash);
    const { rxBytes, txBytes } = port(running, TAP);
    for (const bytes of [rxBytes, txBytes]) expect(bytes).toBeGreaterThan(BLOB_MEBIBYTES * 1024 * 1024);
  },
  3 * TRANSFER_MS,
);

test(
  'the guest reboots and its VMM ends: the host is told at once; a new guest on the same TAP is reached',
  async () => {
    await guest.run('reboot -f').catch(() => {}); // it ends before it can answer
    await expectUnreachableAtOnce();
    guest = await boot();
    await expectReachable();
  },
  2 * BOOT_MS,
);

test('the guest powers off: the host is told at once', async () => {
  await guest.run('poweroff -f').catch(() => {});
  await expectUnreachableAtOnce();
});
