/** Datagrams a guest's or the host's kernel has left to be cut (UDP GSO, "USO"): whole on their way, right at their end. */
import { randomBytes } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { close, ioctlValue } from '../../src/sys/libc.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import { GSO_UDP_L4 } from '../../src/wire/vnet.ts';
import { listenUdp, receiveDatagrams, sendUdpSegments } from '../lib/engine-datagrams.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, macOf, Stage } from '../lib/engine-stage.ts';
import { startTapGuest, type TapGuest } from '../lib/engine-tap-wire.ts';
import { checksumErrors } from '../lib/engine-transfer.ts';
import { macBytes } from '../lib/frames.ts';

const TUNSETOFFLOAD = 0x400454d0;
const TUN_F_CSUM_USO = 0x61;
const WAIT = { timeout: 5000, interval: 10 };
const PORT = 9;
const SEGMENT = 1200;
const DATAGRAMS = 41;
const LAST_BYTES = 500;
const BYTES = (DATAGRAMS - 1) * SEGMENT + LAST_BYTES;
/** Ethernet, IPv4 and UDP headers */
const HEADERS = 42;
/** Frames that guests' kernels and the gateway may send unasked beside a test's own: far fewer than datagrams */
const UNASKED = 16;

let stage: Stage;
let one: NetnsGuest;
let sw: Switch;

beforeEach(async ({ skip }) => {
  stage = new Stage();
  const { fd, release } = stage.holdTap('probe');
  const known = ioctlValue(fd, TUNSETOFFLOAD, TUN_F_CSUM_USO) >= 0;
  release();
  skip(!known, 'virtio-net headers know UDP segmentation since Linux 6.2');
  one = await stage.guest(11);
});

afterEach(() => stage.end());

async function start(fastPath: 'auto' | 'off' = 'off'): Promise<void> {
  const hostPort = {
    name: stage.hostPort,
    address: HOST_ADDRESS,
    netns: stage.host.path,
    allowFromGuests: [`udp/${PORT}`],
  };
  sw = await stage.start({ fastPath, networks: { default: stage.network({ hostPort }) } });
  await sw.attach('a', stage.vm(11));
}

function cutUp(data: Buffer): Buffer[] {
  return Array.from({ length: DATAGRAMS }, (_, i) => data.subarray(i * SEGMENT, (i + 1) * SEGMENT));
}

function listenIn(namespace: string): number {
  const fd = listenUdp(namespace, PORT);
  stage.atEnd(() => close(fd));
  return fd;
}

/** Expects the datagrams of `data` at a socket, in order and none twice. */
async function expectDatagrams(socket: number, data: Buffer): Promise<void> {
  const got: Buffer[] = [];
  await vi.waitFor(() => {
    got.push(...receiveDatagrams(socket));
    expect(got.map(({ length }) => length)).toEqual(cutUp(data).map(({ length }) => length));
  }, WAIT);
  expect(Buffer.concat(got).equals(data)).toBe(true);
}

/** Waits until every VM that is attached has its carrier. */
async function carriersUp(): Promise<void> {
  await vi.waitFor(() => {
    for (const { carrier } of Object.values(sw.stats().vms)) expect(carrier).toBe(true);
  }, WAIT);
}

/** Expects datagrams handed over in one piece to arrive as those they stand for. */
async function expectPassage(from: string, to: string, address: string): Promise<void> {
  await carriersUp();
  const socket = listenIn(to);
  const data = randomBytes(BYTES);
  sendUdpSegments(from, address, PORT, data, SEGMENT);
  await expectDatagrams(socket, data);
  expect(await checksumErrors(to)).toBe(0);
}

async function startWire(): Promise<TapGuest> {
  const addresses = { ip: addressOf(20), prefix: 24, gateway: GATEWAY };
  const guest = await startTapGuest(stage.host.path, 't20', addresses);
  stage.atEnd(() => guest.stop());
  await sw.attach('t', { tap: 't20', netns: stage.host.path, ip: addressOf(20) });
  return guest;
}

test('two guests with offloads: -> pass as one frame', async () => {
  await start();
  const two = await stage.guest(12);
  await sw.attach('b', stage.vm(12));
  await expectPassage(one.namespace, two.namespace, addressOf(12));
  const { a, b } = sw.stats().vms;
  expect(a?.rxBytes).toBeGreaterThanOrEqual(HEADERS + BYTES);
  expect(b?.txBytes).toBeGreaterThanOrEqual(HEADERS + BYTES);
  expect(a?.rxFrames).toBeLessThan(UNASKED);
  expect(b?.txFrames).toBeLessThan(UNASKED);
});

test.each(['off', 'auto'] as const)(
  'guest with offloads, TAP whose VMM has none, fast path %s: -> each way, cut and finished before the VMM',
  async (fastPath) => {
    await start(fastPath);
    const guest = await startWire();
    await expectPassage(one.namespace, guest.namespace, addressOf(20));
    expect(await guest.stats()).toMatchObject({ offloaded: 0, longest: HEADERS + SEGMENT });
    await expectPassage(guest.namespace, one.namespace, addressOf(11));
  },
);

test('host port and guest with offloads: -> each way, as one frame', async () => {
  await start();
  await expectPassage(stage.host.path, one.namespace, addressOf(11));
  await expectPassage(one.namespace, stage.host.path, HOST_ADDRESS);
  const port = sw.stats().hostPorts.default;
  for (const bytes of [port?.rxBytes, port?.txBytes]) expect(bytes).toBeGreaterThanOrEqual(HEADERS + BYTES);
  expect(port?.rxFrames).toBeLessThan(UNASKED);
  expect(port?.txFrames).toBeLessThan(UNASKED);
});

test('host port with offloads, TAP whose VMM has none: -> cut and finished before the VMM', async () => {
  await start();
  const guest = await startWire();
  await expectPassage(stage.host.path, guest.namespace, addressOf(20));
  expect(await guest.stats()).toMatchObject({ offloaded: 0, longest: HEADERS + SEGMENT });
});

/** Waits for the frame to be cut at the descriptor of a TAP, whatever else comes there. */
async function readWhole(fd: number): Promise<Buffer> {
  const room = Buffer.alloc(70_000);
  return vi.waitFor(() => {
    const length = readSync(fd, room); // EAGAIN is an error, and tried again
    expect(room[1]).toBe(GSO_UDP_L4);
    return Buffer.from(room.subarray(0, length));
  }, WAIT);
}

test('TAP whose VMM cuts datagrams: -> it gets the one frame, and sends one that the other guest gets as datagrams', async () => {
  inNamespace(stage.host.path, () => createPersistentTap('t1'));
  const { fd } = stage.holdTap('t1');
  await start();
  await sw.attach('t', { tap: 't1', netns: stage.host.path, ip: addressOf(20), mac: macOf(20) });
  await carriersUp();
  const data = randomBytes(BYTES);
  sendUdpSegments(one.namespace, addressOf(20), PORT, data, SEGMENT);
  const frame = await readWhole(fd);
  expect(frame.readUInt16LE(4)).toBe(SEGMENT);
  expect(frame.subarray(10 + HEADERS).equals(data)).toBe(true);

  const socket = listenIn(one.namespace);
  const answer = Buffer.from(frame);
  answer.set(frame.subarray(16, 22), 10);
  answer.set(macBytes(macOf(20)), 16);
  answer.set(frame.subarray(40, 44), 36); // the addresses change places, which leaves every sum as it was
  answer.set(frame.subarray(36, 40), 40);
  writeSync(fd, answer);
  await expectDatagrams(socket, data);
  expect(await checksumErrors(one.namespace)).toBe(0);
});
