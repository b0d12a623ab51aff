/** Connections to a VM that is not there yet. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { runIn } from '../../src/lab/process.ts';
import { addressOf, macOf, openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 5000, interval: 20 };
const LATE_MS = 1500;

let stage: GatewayStage;
let sw: Switch;

beforeEach(() => {
  stage = new GatewayStage();
});

afterEach(() => stage.end());

/** Connections given up, by reason. */
function failures(): Record<string, number> {
  const drops = Object.entries(sw.stats().vms.a?.drops ?? {});
  return Object.fromEntries(drops.filter(([reason]) => reason.startsWith('forward-')));
}

/** What the log says of connections given up. */
function logged() {
  return stage.log
    .filter(({ reason }) => reason !== undefined)
    .map(({ vm, host, guestPort, reason, msg }) => ({ vm, host, guestPort, reason, msg }));
}

const PLACE = { vm: 'a', host: '127.0.0.1:15301', guestPort: 5301 };

const forwards = [
  { listen: '15300:5300', wait: 10 },
  { listen: '15301:5301', wait: 1 },
];

test('guest that listens late: connection made before -> answered as soon as it does', async () => {
  const guest = await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const probe = stage.probe(stage.host.path, '127.0.0.1', 15300, 10_000);
  await delay(LATE_MS);
  await stage.serve(guest.namespace, 'name', 5300, 'late');
  const { result, ms } = await probe;
  expect(result).toBe('heard late');
  expect(ms).toBeLessThan(LATE_MS + 1500);
  expect(failures()).toEqual({});
});

test('guest that never listens: wait of a second -> reset after it, counted as forward-refused', async () => {
  await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const before = openDescriptors();
  const { result, ms } = await stage.probe(stage.host.path, '127.0.0.1', 15301);
  expect(result).toBe('ECONNRESET');
  expect(ms).toBeGreaterThan(900);
  expect(ms).toBeLessThan(2000);
  expect(failures()).toEqual({ 'forward-refused': 1 });
  expect(logged()).toEqual([
    { ...PLACE, reason: 'forward-refused', msg: 'connection reset: nothing listened in the VM' },
  ]);
  expect(openDescriptors()).toEqual(before);
});

test('guest whose kernel drops every SYN: -> reset after the wait, counted as forward-unanswered', async () => {
  const guest = await stage.guest(2);
  await runIn(guest.namespace, ['ip', 'addr', 'del', `${addressOf(2)}/24`, 'dev', 'eth0']);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { mac: macOf(2), forwards }));
  const { result, ms } = await stage.probe(stage.host.path, '127.0.0.1', 15301);
  expect(result).toBe('ECONNRESET');
  expect(ms).toBeLessThan(2000);
  expect(failures()).toEqual({ 'forward-unanswered': 1 });
  expect(logged()).toEqual([
    { ...PLACE, reason: 'forward-unanswered', msg: 'connection reset: the VM did not answer' },
  ]);
});

test('guest without an address: -> reset after the wait, counted as forward-no-address', async () => {
  const guest = await stage.guest(2);
  await runIn(guest.namespace, ['ip', 'addr', 'del', `${addressOf(2)}/24`, 'dev', 'eth0']);
  await runIn(guest.namespace, ['sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=1']);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const { result } = await stage.probe(stage.host.path, '127.0.0.1', 15301);
  expect(result).toBe('ECONNRESET');
  expect(failures()).toEqual({ 'forward-no-address': 1 });
  expect(logged()).toEqual([
    {
      ...PLACE,
      reason: 'forward-no-address',
      msg: 'connection reset: the address or the MAC of the VM did not become known',
    },
  ]);
});

test('TAP nobody holds: -> reset after the wait, counted as forward-no-carrier; held in time -> answered', async () => {
  const guest = await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  await stage.serve(guest.namespace, 'name', 5300, 'a');
  await runIn(guest.namespace, ['ip', 'link', 'set', 'eth0', 'down']);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(false), WAIT);
  const held = stage.probe(stage.host.path, '127.0.0.1', 15300, 10_000);
  const { result, ms } = await stage.probe(stage.host.path, '127.0.0.1', 15301);
  expect([result, ms > 900, ms < 2000]).toEqual(['ECONNRESET', true, true]);
  expect(failures()).toEqual({ 'forward-no-carrier': 1 });
  expect(logged()).toEqual([
    { ...PLACE, reason: 'forward-no-carrier', msg: 'connection reset: nobody held the TAP of the VM' },
  ]);
  await runIn(guest.namespace, ['ip', 'link', 'set', 'eth0', 'up']);
  expect((await held).result).toBe('heard a');
});

async function held(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  stage.atEnd(() => socket.destroy());
  await once(socket, 'connect');
  await delay(150);
  return socket;
}

test('client that resets while it is held: -> nothing is left of it at once', async () => {
  await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const before = openDescriptors();
  (await held(15300)).resetAndDestroy();
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), { timeout: 1000, interval: 20 });
  expect(failures()).toEqual({});
});

test('client that closes while it is held: -> taken for one that awaits an answer, until the wait is over', async () => {
  await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const before = openDescriptors();
  (await held(15301)).destroy();
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
  expect(failures()).toEqual({ 'forward-refused': 1 });
});

test('client that sends and ends while it is held: guest listens -> gets both, and is answered', async () => {
  const guest = await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const push = stage.call(stage.host.path, 'push', '127.0.0.1', 15300, 1);
  await delay(300);
  await stage.serve(guest.namespace, 'digest', 5300);
  expect(await push).toMatch(/^same /);
});

test('detached while connections are held: -> reset at once, nothing is left', async () => {
  await stage.guest(2);
  sw = await stage.start();
  const before = openDescriptors();
  await sw.attach('a', stage.vm(2, { forwards }));
  const probe = stage.probe(stage.host.path, '127.0.0.1', 15300, 9000);
  await vi.waitFor(async () => expect(await stage.run('ss', '-tnH', 'sport', '15300')).not.toBe(''), WAIT);
  const since = performance.now();
  await sw.detach('a');
  expect((await probe).result).toBe('ECONNRESET');
  expect(performance.now() - since).toBeLessThan(1000);
  expect(openDescriptors()).toEqual(before);
});

test('VM that restarts while a connection is held: carrier lost and back -> still held, answered', async () => {
  const guest = await stage.guest(2);
  sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards }));
  const probe = stage.probe(stage.host.path, '127.0.0.1', 15300, 9000);
  await vi.waitFor(async () => expect(await stage.run('ss', '-tnH', 'sport', '15300')).not.toBe(''), WAIT);
  await runIn(guest.namespace, ['ip', 'link', 'set', 'eth0', 'down']);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(false), WAIT);
  await runIn(guest.namespace, ['ip', 'link', 'set', 'eth0', 'up']);
  await stage.serve(guest.namespace, 'name', 5300, 'a');
  expect((await probe).result).toBe('heard a');
});
