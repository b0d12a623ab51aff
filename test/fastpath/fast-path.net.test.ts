import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { BpfMap } from '../../src/sys/bpf.ts';
import { close } from '../../src/sys/libc.ts';
import { VNET_HEADER_BYTES } from '../../src/wire/vnet.ts';
import { addressOf, ethernetFrame, macOf, macOfGuest, ping, Stage } from '../lib/engine-stage.ts';
import { sendFrames } from '../lib/net-raw.ts';

function bpfAllowed(): boolean {
  try {
    close(BpfMap.make(4, 4, 1).fd);
    return true;
  } catch {
    return false;
  }
}

const COUNT = 200;
let stage: Stage;
let one: NetnsGuest;
let two: NetnsGuest;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
  two = await stage.guest(12);
});

afterEach(() => stage.end());

async function start(options: Parameters<Stage['start']>[0] = {}): Promise<Switch> {
  const sw = await stage.start({ fastPath: 'auto', ...options });
  await sw.attach('a', stage.vm(11));
  await sw.attach('b', stage.vm(12));
  return sw;
}

/** How often the datapath's thread had to wake while `work` was done. */
async function wakes(sw: Switch, work: () => Promise<unknown>): Promise<number> {
  const before = sw.stats().workers[0]?.heartbeat ?? 0;
  await work();
  return (sw.stats().workers[0]?.heartbeat ?? 0) - before;
}

/** Pings until both guests' addresses are learned and on the fast path. */
async function warmUp(): Promise<void> {
  await ping(one.namespace, addressOf(12), 3);
  await new Promise((resolve) => setTimeout(resolve, 300));
}

test.skipIf(!bpfAllowed())('known unicast: passes, and the datapath does not wake for it', async () => {
  const sw = await start();
  await warmUp();
  let received = 0;
  const woken = await wakes(sw, async () => {
    received = (await ping(one.namespace, addressOf(12), COUNT, 5)).received;
  });
  expect(received).toBe(COUNT);
  expect(woken).toBeLessThan(COUNT / 2);
});

test('fastPath off: every frame wakes the datapath', async () => {
  const sw = await start({ fastPath: 'off' });
  await warmUp();
  expect(await wakes(sw, () => ping(one.namespace, addressOf(12), COUNT, 5))).toBeGreaterThan(COUNT);
});

test('counters: frames of the fast path count like any other, each once', async () => {
  const sw = await start();
  await warmUp();
  const before = sw.stats().vms;
  await ping(one.namespace, addressOf(12), COUNT, 5);
  const after = sw.stats().vms;
  for (const id of ['a', 'b']) {
    for (const counter of ['rxFrames', 'txFrames'] as const) {
      const counted = (after[id]?.[counter] ?? 0) - (before[id]?.[counter] ?? 0);
      expect(counted).toBeGreaterThanOrEqual(COUNT);
      expect(counted).toBeLessThan(COUNT + 20); // ARP among them
    }
  }
});

test('detach: what was counted on the fast path is counted once more by nobody', async () => {
  const sw = await start();
  await warmUp();
  await ping(one.namespace, addressOf(12), COUNT, 5);
  await sw.detach('b');
  const { txFrames, rxFrames } = sw.stats().vms.a ?? { txFrames: 0, rxFrames: 0 };
  expect(rxFrames).toBeLessThan(COUNT + 40);
  expect(txFrames).toBeLessThan(COUNT + 40);
  expect((await ping(one.namespace, addressOf(12), 2)).received).toBe(0);
});

test('spoofed source address on the fast path -> dropped and counted, nothing arrives', async () => {
  const sw = await start();
  await warmUp();
  const spoofed = '10.1.0.99';
  await one.run(`ip address add ${spoofed}/24 dev eth0`);
  const { status } = await one.run(`ping -n -c 3 -i 0.05 -W 1 -I ${spoofed} ${addressOf(12)}`);
  expect(status).not.toBe(0);
  expect(sw.stats().vms.a?.drops['spoofed-ip']).toBeGreaterThanOrEqual(3);
});

test('spoofed MAC on the fast path -> dropped and counted', async () => {
  const sw = await start();
  await warmUp();
  await one.run('ip link set eth0 address 02:00:00:00:00:99');
  expect((await ping(one.namespace, addressOf(12), 3)).received).toBe(0);
  expect(sw.stats().vms.a?.drops['spoofed-mac']).toBeGreaterThanOrEqual(3);
});

test('isolated network: never on the fast path', async () => {
  const isolated = { default: stage.network({ mode: 'isolated' as const }) };
  const sw = await stage.start({ fastPath: 'auto', networks: isolated });
  await sw.attach('a', stage.vm(11));
  await sw.attach('b', stage.vm(12));
  await one.run(`ip neigh replace ${addressOf(12)} lladdr ${macOf(12)} dev eth0`);
  await two.run(`ip neigh replace ${addressOf(11)} lladdr ${macOf(11)} dev eth0`);
  await ping(two.namespace, addressOf(11), 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await ping(one.namespace, addressOf(12), 3)).received).toBe(0);
  expect(sw.stats().vms.a?.drops.isolated).toBeGreaterThanOrEqual(3);
});

test('VLAN-tagged frame between known VMs: not on the fast path, dropped as vlan', async () => {
  const sw = await start();
  await warmUp();
  const [to, from] = [macOfGuest(two.namespace), macOfGuest(one.namespace)];
  const untagged = ethernetFrame(to, from, 60);
  const tagged = Buffer.concat([
    Buffer.alloc(VNET_HEADER_BYTES),
    untagged.subarray(0, 12),
    Buffer.from([0x81, 0x00, 0x00, 0x05]),
    untagged.subarray(12),
  ]);
  sendFrames(one.namespace, 'eth0', [tagged]);
  await expect.poll(() => sw.stats().vms.a?.drops.vlan).toBe(1);
});

test('malformed IPv4 between known VMs: not on the fast path, dropped and counted', async () => {
  const sw = await start();
  await warmUp();
  const before = sw.stats().vms.b?.txFrames ?? 0;
  const [to, from] = [macOfGuest(two.namespace), macOfGuest(one.namespace)];
  const packet = (versionAndLength: number, totalLength: number): Buffer => {
    const frame = ethernetFrame(to, from, 60);
    frame.writeUInt16BE(0x0800, 12);
    frame.writeUInt8(versionAndLength, 14);
    frame.writeUInt16BE(totalLength, 16);
    frame.set([10, 1, 0, 11], 26);
    frame.set([10, 1, 0, 12], 30);
    return Buffer.concat([Buffer.alloc(VNET_HEADER_BYTES), frame]);
  };
  sendFrames(one.namespace, 'eth0', [
    packet(0x44, 46),
    packet(0x4f, 46),
    packet(0x45, 2000),
    packet(0x45, 10),
  ]);
  await expect.poll(() => sw.stats().vms.a?.drops.malformed).toBe(4);
  expect(sw.stats().vms.b?.txFrames).toBe(before);
});

test('bulk TCP: a transfer over the fast path arrives whole', async () => {
  await start();
  await warmUp();
  const file = join(tmpdir(), `tapswitch-bulk-${process.pid}`);
  const listening = two.run('sleep 5 | busybox nc -l -p 7000 | sha256sum', 20_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const sent = await one.run(
    `head -c 20000000 /dev/urandom > ${file}; sha256sum < ${file}; busybox nc ${addressOf(12)} 7000 < ${file}; rm ${file}`,
    20_000,
  );
  const received = await listening;
  expect(received.stdout.split(' ')[0]).toBe(sent.stdout.split(' ')[0]);
});
