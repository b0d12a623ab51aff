/** Frames that a TAP's own queue drops, unseen by the datapath, and those it refuses us: each is counted once. */
import { readSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { BpfMap } from '../../src/sys/bpf.ts';
import { close, ioctlValue, send } from '../../src/sys/libc.ts';
import { MSG_DONTWAIT } from '../../src/sys/message-vector.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap, removePersistentTap } from '../../src/sys/tun.ts';
import { GSO_TCPV4 } from '../../src/wire/vnet.ts';
import { addressOf, macOf, packetSocketIn, Stage } from '../lib/engine-stage.ts';
import { ipv4Tcp, ipv4Udp, type Station, withVnet } from '../lib/frames.ts';

const WAIT = { timeout: 8000, interval: 10 };
/** Until a figure is taken for certain */
const SETTLED_MS = 1000;
/** What a TAP has at least, once attached */
const QUEUE = 1000;
const TUNSETOFFLOAD = 0x400454d0;
const [SENDER, STUCK] = [21, 22];

function bpfAllowed(): boolean {
  try {
    close(BpfMap.make(4, 4, 1).fd);
    return true;
  } catch {
    return false;
  }
}

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.end());

const station = (n: number): Station => ({ mac: macOf(n), ip: addressOf(n) });
const ENDS = { from: station(SENDER), to: station(STUCK) };
const FRAME = ipv4Udp({ ...ENDS, data: new Uint8Array(100) });

function createTap(n: number): void {
  inNamespace(stage.host.path, () => createPersistentTap(`t${n}`));
}

async function attach(sw: Switch, n: number): Promise<void> {
  const { mac, ip } = station(n);
  await sw.attach(`vm${n}`, { tap: `t${n}`, netns: stage.host.path, mac, ip });
}

/** A switch with a VM that sends and one whose VMM never reads; its descriptor and the sender's. */
async function start(fastPath: 'auto' | 'off') {
  const sw = await stage.start({ fastPath });
  const held = [SENDER, STUCK].map((n) => {
    createTap(n);
    return stage.holdTap(`t${n}`);
  });
  for (const n of [SENDER, STUCK]) await attach(sw, n);
  const ready = () => [SENDER, STUCK].every((n) => sw.stats().vms[`vm${n}`]?.carrier);
  await vi.waitFor(() => expect(ready()).toBe(true), WAIT);
  // Announcements are on their way, and the fast path learns what it needs once every 100 ms.
  await delay(400);
  const [sender, stuck] = held as [(typeof held)[0], (typeof held)[0]];
  return { sw, sender, stuck };
}

function write(fd: number, frame: Uint8Array, times: number): void {
  for (let i = 0; i < times; i++) writeSync(fd, frame);
}

const counted = (sw: Switch) => {
  const { txFrames = 0, drops = {} } = sw.stats().vms[`vm${STUCK}`] ?? {};
  return { txFrames, drops };
};

function deviceDropped(name: string): Promise<number> {
  return stage
    .run('ip', '-s', '-j', 'link', 'show', name)
    .then((text) => JSON.parse(text)[0].stats64.tx.dropped);
}

test.skipIf(!bpfAllowed())(
  'fast path to a VMM that does not read: -> what its TAP drops is counted, once, and no more when asked again',
  async () => {
    const { sw, sender } = await start('auto');
    const before = counted(sw).txFrames;
    write(sender.fd, FRAME, QUEUE + 500);
    await vi.waitFor(() => expect(counted(sw).txFrames).toBe(before + QUEUE + 500), WAIT);
    // The gateway's announcements lie in the queue already.
    const all = await deviceDropped(`t${STUCK}`);
    await vi.waitFor(() => expect(counted(sw).drops).toEqual({ 'device-queue-full': all }), WAIT);
    const { drops } = counted(sw);
    expect(drops['device-queue-full']).toBeGreaterThanOrEqual(500);
    expect(drops['device-queue-full']).toBeLessThan(520);
    expect(counted(sw).drops).toEqual(drops);
    expect(sw.stats().vms[`vm${SENDER}`]?.drops).toEqual({});
  },
);

/** Takes frames from a TAP as its VMM would, as many as there are up to `count`. */
function takeSome(fd: number, count: number): void {
  const room = new Uint8Array(70_000);
  try {
    for (let i = 0; i < count; i++) readSync(fd, room);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
}

test('datapath to a VMM that does not read, or a little: -> a refusal is queue-full, and not counted twice', async () => {
  const { sw, sender, stuck } = await start('off');
  for (let burst = 0; burst < 30; burst++) {
    write(sender.fd, FRAME, 100);
    // Room for some frames of a batch, and for one that has just been refused
    if (burst % 3 === 2) takeSome(stuck.fd, 30);
    expect(counted(sw).drops['device-queue-full']).toBeUndefined();
    await delay(2);
  }
  await vi.waitFor(() => expect(counted(sw).drops['queue-full']).toBeGreaterThanOrEqual(500), WAIT);
  for (let i = 0; i < 5; i++) {
    const { drops } = counted(sw);
    expect(drops).toEqual({ 'queue-full': drops['queue-full'] });
    // More than that, since each call that ends at a frame leaves it to the next to say why.
    expect(await deviceDropped(`t${STUCK}`)).toBeGreaterThanOrEqual(drops['queue-full'] as number);
    await delay(SETTLED_MS);
  }
});

test('segments for a VMM that segments nothing, and then does not read: -> those lost counted, refusals got round not', async () => {
  const { sw, sender, stuck } = await start('off');
  expect(ioctlValue(stuck.fd, TUNSETOFFLOAD, 0)).toBe(0);
  const frame = withVnet(ipv4Tcp({ ...ENDS, data: new Uint8Array(5000) }), {
    flags: 1,
    gsoType: GSO_TCPV4,
    headerLength: 54,
    gsoSize: 1000,
    checksumStart: 34,
    checksumOffset: 16,
  });
  const { txFrames } = counted(sw);
  write(sender.fd, frame, 100);
  await vi.waitFor(() => expect(counted(sw).txFrames).toBe(txFrames + 100), WAIT);
  expect(counted(sw).drops).toEqual({});
  write(sender.fd, frame, 200);
  await vi.waitFor(() => {
    const { drops } = counted(sw);
    expect(drops['device-queue-full']).toBeGreaterThanOrEqual(500);
    expect(drops['device-queue-full']).toBeLessThan(520);
  }, WAIT);
});

test('detached and attached again, its TAP still full: -> counts from zero', async () => {
  const { sw, sender } = await start('off');
  write(sender.fd, FRAME, QUEUE + 200);
  await vi.waitFor(() => expect(counted(sw).drops['queue-full']).toBeGreaterThanOrEqual(200), WAIT);
  await sw.detach(`vm${STUCK}`);
  await attach(sw, STUCK);
  await vi.waitFor(() => expect(sw.stats().vms[`vm${STUCK}`]?.carrier).toBe(true), WAIT);
  const { drops } = counted(sw);
  expect(drops['device-queue-full'] ?? 0).toBe(0);
  expect(drops['queue-full'] ?? 0).toBeLessThan(20);
});

test.skipIf(!bpfAllowed())(
  'TAP that vanished and came back, counting from zero: -> the figure goes on',
  async () => {
    const { sw, sender, stuck } = await start('auto');
    write(sender.fd, FRAME, QUEUE + 300);
    await vi.waitFor(() => expect(counted(sw).drops['device-queue-full']).toBeGreaterThanOrEqual(300), WAIT);
    const first = counted(sw).drops['device-queue-full'] as number;
    stuck.release();
    inNamespace(stage.host.path, () => removePersistentTap(`t${STUCK}`));
    await vi.waitFor(() => expect(sw.stats().vms[`vm${STUCK}`]?.plugged).toBe(false), WAIT);
    expect(counted(sw).drops['device-queue-full']).toBe(first);
    stage.holdTap(`t${STUCK}`);
    await vi.waitFor(
      () => expect(sw.stats().vms[`vm${STUCK}`]).toMatchObject({ plugged: true, carrier: true }),
      WAIT,
    );
    await delay(400);
    expect(counted(sw).drops['device-queue-full']).toBe(first);
    write(sender.fd, FRAME, QUEUE + 50);
    await vi.waitFor(() => {
      expect(counted(sw).drops['device-queue-full']).toBeGreaterThanOrEqual(first + 50);
      expect(counted(sw).drops['device-queue-full']).toBeLessThan(first + 70);
    }, WAIT);
  },
);

test('veth whose other end takes no frame so long: -> what it counts as dropped is not called a full queue', async () => {
  const guest = await stage.guest(11);
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  withRoutes(guest.namespace, (routes) => routes.changeLink(indexOf(routes, 'eth0'), { mtu: 500 }));
  const socket = packetSocketIn(stage.host.path, 'vm11');
  stage.atEnd(() => close(socket));
  const frame = new Uint8Array(1400);
  for (let i = 0; i < 10; i++) send(socket, frame, frame.length, MSG_DONTWAIT);
  expect(await deviceDropped('vm11')).toBe(10);
  for (let i = 0; i < 3; i++) {
    expect(sw.stats().vms.a?.drops['device-queue-full']).toBeUndefined();
    await delay(SETTLED_MS);
  }
});

test('host that sends more than its port`s queue holds: -> what that drops is counted as receive-overflow', async () => {
  const sw = await stage.start();
  await stage.run('ip', 'link', 'set', stage.hostPort, 'txqueuelen', '1');
  const socket = packetSocketIn(stage.host.path, stage.hostPort);
  stage.atEnd(() => close(socket));
  let refused = 0;
  for (let i = 0; i < 20_000 && refused < 50; i++) {
    if (send(socket, FRAME, FRAME.length, MSG_DONTWAIT) < 0) refused++;
  }
  const dropped = await deviceDropped(stage.hostPort);
  expect(dropped).toBeGreaterThanOrEqual(50);
  for (let i = 0; i < 2; i++) {
    expect(sw.stats().hostPorts.default?.drops['receive-overflow']).toBe(dropped);
  }
});
