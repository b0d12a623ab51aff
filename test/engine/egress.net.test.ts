import { writeSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { close } from '../../src/sys/libc.ts';
import { macBytes } from '../../src/sys/link.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import { GSO_TCPV4, GSO_UDP } from '../../src/wire/vnet.ts';
import {
  addressOf,
  ethernetFrame,
  macOfGuest,
  packetSocketIn,
  ping,
  receiveFrames,
  Stage,
  sendFrame,
} from '../lib/engine-stage.ts';

const WAIT = { timeout: 5000, interval: 10 };
const TAP_MAC = '06:00:00:00:00:14';

let stage: Stage;
let one: NetnsGuest;
let two: NetnsGuest;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
  two = await stage.guest(12);
});

afterEach(() => stage.end());

function socketOf(guest: NetnsGuest): number {
  const fd = packetSocketIn(guest.namespace, 'eth0');
  stage.atEnd(() => close(fd));
  return fd;
}

async function startAttached() {
  const sw = await stage.start({ workers: 1 });
  await sw.attach('a', stage.vm(11));
  await sw.attach('b', stage.vm(12));
  await ping(two.namespace, addressOf(11), 1);
  return sw;
}

function setMtu(namespace: string, name: string, mtu: number): void {
  withRoutes(namespace, (routes) => routes.changeLink(indexOf(routes, name), { mtu }));
}

test('frames too long for the egress among others: -> those counted too-big, the others arrive in order', async () => {
  setMtu(stage.host.path, 'vm11', 9000);
  setMtu(one.namespace, 'eth0', 9000);
  const sw = await startAttached();
  const [from, to] = [socketOf(one), socketOf(two)];
  const [source, destination] = [macOfGuest(one.namespace), macOfGuest(two.namespace)];
  for (let i = 0; i < 60; i++) {
    sendFrame(from, ethernetFrame(destination, source, i % 3 === 1 ? 4000 : 100, i));
  }
  await vi.waitFor(() => expect(sw.stats().vms.b?.drops['too-big']).toBe(20), WAIT);
  const marks = receiveFrames(to)
    .filter((frame) => frame.readUInt16BE(12) === 0x88b5)
    .map((frame) => frame[20]);
  expect(marks).toEqual(Array.from({ length: 60 }, (_, i) => i).filter((i) => i % 3 !== 1));
  expect(sw.stats().vms.a?.drops).toEqual({});
});

test.each([
  ['that is no TCP but says so', GSO_TCPV4, 'b', 'send-refused'],
  ['to be segmented as nothing a packet socket can name', GSO_UDP, 't', 'bad-offload'],
] as const)(
  'frames of a VMM %s, which its TAP takes, among others: -> those counted, the others arrive in order',
  async (_, gsoType, countedAt, reason) => {
    inNamespace(stage.host.path, () => createPersistentTap('t1'));
    const { fd } = stage.holdTap('t1');
    const sw = await startAttached();
    await sw.attach('t', { tap: 't1', netns: stage.host.path, mac: TAP_MAC });
    await vi.waitFor(() => expect(sw.stats().vms.t?.carrier).toBe(true), WAIT);
    const to = socketOf(two);
    const header = Buffer.from([0, gsoType, 0, 0, 20, 0, 0, 0, 0, 0]);
    for (let i = 0; i < 60; i++) {
      const frame = ethernetFrame(macOfGuest(two.namespace), macBytes(TAP_MAC), 100, i);
      writeSync(fd, Buffer.concat([i % 3 === 1 ? header : Buffer.alloc(10), frame]));
    }
    const arrived: (number | undefined)[] = [];
    await vi.waitFor(() => {
      const frames = receiveFrames(to).filter((frame) => frame.readUInt16BE(12) === 0x88b5);
      arrived.push(...frames.map((frame) => frame[20]));
      expect(arrived).toEqual(Array.from({ length: 60 }, (_, i) => i).filter((i) => i % 3 !== 1));
    }, WAIT);
    const { t, b } = sw.stats().vms;
    expect({ t: t?.drops, b: b?.drops }).toEqual({ t: {}, b: {}, [countedAt]: { [reason]: 20 } });
  },
);

test('TAP whose VMM does not read: -> queue-full counted, another VM undisturbed', async () => {
  inNamespace(stage.host.path, () => createPersistentTap('t1'));
  stage.holdTap('t1');
  const sw = await startAttached();
  await sw.attach('t', { tap: 't1', netns: stage.host.path, mac: TAP_MAC });
  await vi.waitFor(() => expect(sw.stats().vms.t?.carrier).toBe(true), WAIT);
  const from = socketOf(one);
  const frame = ethernetFrame(macBytes(TAP_MAC), macOfGuest(one.namespace), 100);
  const pinging = ping(two.namespace, addressOf(11), 50);
  for (let burst = 0; burst < 40; burst++) {
    for (let i = 0; i < 100; i++) sendFrame(from, frame);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await vi.waitFor(() => {
    const { txFrames = 0, drops } = sw.stats().vms.t ?? {};
    expect(txFrames + (drops?.['queue-full'] ?? 0)).toBeGreaterThanOrEqual(4000);
    expect(drops?.['queue-full']).toBeGreaterThanOrEqual(2900);
  }, WAIT);
  expect((await pinging).received).toBe(50);
});

test('frame longer than a slot: -> counted too-long, the next one passes', async () => {
  await one.run('ip link set eth0 gso_max_size 150000');
  const sw = await startAttached();
  const [from, to] = [socketOf(one), socketOf(two)];
  const [source, destination] = [macOfGuest(one.namespace), macOfGuest(two.namespace)];
  const header = Buffer.alloc(10);
  header.set([1, 4]); // checksum unfinished, TCP over IPv6
  header.writeUInt16LE(74, 2); // headers
  header.writeUInt16LE(1428, 4); // segment
  header.writeUInt16LE(54, 6); // checksum from, and
  header.writeUInt16LE(16, 8); // where to
  const frame = ethernetFrame(destination, source, 70_000);
  frame.writeUInt16BE(0x86dd, 12);
  frame.set([0x60, 0, 0, 0, 0, 0, 6, 64], 14); // a jumbogram: no length, TCP
  frame[66] = 0x50; // TCP header of 20 bytes
  sendFrame(from, frame, header);
  sendFrame(from, ethernetFrame(destination, source, 100, 7));
  await vi.waitFor(() => expect(sw.stats().vms.a?.drops).toMatchObject({ 'too-long': 1 }), WAIT);
  await vi.waitFor(() => expect(receiveFrames(to).some((got) => got[20] === 7)).toBe(true), WAIT);
});

test.each([
  ['802.1Q', 0x8100],
  ['802.1ad', 0x88a8],
])(
  '%s frames, whose tag the kernel takes out of their bytes: -> counted vlan, none arrives',
  async (_, type) => {
    const sw = await startAttached();
    const [from, to] = [socketOf(one), socketOf(two)];
    const [source, destination] = [macOfGuest(one.namespace), macOfGuest(two.namespace)];
    const plain = ethernetFrame(destination, source, 100, 7);
    const tag = Buffer.from([type >> 8, type & 0xff, 0, 7]);
    for (let i = 0; i < 3; i++) {
      sendFrame(from, Buffer.concat([plain.subarray(0, 12), tag, plain.subarray(12)]));
    }
    sendFrame(from, ethernetFrame(destination, source, 100, 8));
    await vi.waitFor(() => expect(sw.stats().vms.a?.drops).toEqual({ vlan: 3 }), WAIT);
    let marks: (number | undefined)[] = [];
    await vi.waitFor(() => {
      marks = [...marks, ...receiveFrames(to).map((frame) => frame[20])];
      expect(marks).toContain(8);
    }, WAIT);
    expect(marks).not.toContain(7);
  },
);

test('frames faster than the switch takes them: -> the kernel`s losses counted receive-overflow', async () => {
  const sw = await startAttached();
  const from = socketOf(one);
  const frame = ethernetFrame(macOfGuest(two.namespace), macOfGuest(one.namespace), 1500);
  sw.crashWorker(0);
  for (let i = 0; i < 20_000; i++) sendFrame(from, frame);
  await vi.waitFor(() => {
    const { rxFrames = 0, drops } = sw.stats().vms.a ?? {};
    expect(rxFrames + (drops?.['receive-overflow'] ?? 0)).toBeGreaterThanOrEqual(20_000);
  }, WAIT);
  expect(sw.stats().vms.a?.drops['receive-overflow']).toBeGreaterThan(0);
});
