import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap, removePersistentTap } from '../../src/sys/tun.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, openDescriptors, ping, Stage } from '../lib/engine-stage.ts';

const WAIT = { timeout: 5000, interval: 10 };

let stage: Stage;
let one: NetnsGuest;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
});

afterEach(() => stage.end());

const createTap = (name: string) => inNamespace(stage.host.path, () => createPersistentTap(name));
const deleteLink = (name: string) =>
  withRoutes(stage.host.path, (routes) => routes.deleteLink(indexOf(routes, name)));
const setUp = (name: string, up: boolean) =>
  withRoutes(stage.host.path, (routes) => routes.changeLink(indexOf(routes, name), { up }));

test.each(['off', 'auto'] as const)(
  'veth that disappears, fast path %s: -> its port down, another VM without loss; recreated -> back, guarded',
  async (fastPath) => {
    const two = await stage.guest(12);
    const sw = await stage.start({ fastPath });
    await sw.attach('a', stage.vm(11));
    await sw.attach('b', stage.vm(12));
    const other = runIn(one.namespace, ['ping', '-n', '-c', '50', '-i', '0.02', '-W', '1', GATEWAY]);
    await two.stop();
    await vi.waitFor(() => expect(sw.stats().vms.b).toMatchObject({ plugged: false, carrier: false }), WAIT);
    const again = await stage.guest(12);
    await vi.waitFor(() => expect(sw.stats().vms.b).toMatchObject({ plugged: true, carrier: true }), WAIT);
    expect((await other).stdout).toContain('50 received');
    expect((await ping(again.namespace, addressOf(11))).received).toBe(3);
    const ruleset = await stage.run('nft', 'list', 'ruleset');
    expect(ruleset).toMatch(/device "vm12" .* policy drop/);
    expect(stage.log.map(({ msg }) => msg)).toContain('interface gone');
  },
);

test('TAP that disappears and comes back held: -> followed, addresses configured kept', async () => {
  createTap('t1');
  const sw = await stage.start();
  await sw.attach('t', { tap: 't1', netns: stage.host.path, ip: addressOf(20), mac: '06:00:00:00:00:14' });
  expect(sw.stats().vms.t).toMatchObject({ plugged: true, carrier: false });
  inNamespace(stage.host.path, () => removePersistentTap('t1'));
  await vi.waitFor(() => expect(sw.stats().vms.t).toMatchObject({ plugged: false }), WAIT);
  stage.holdTap('t1');
  await vi.waitFor(() => expect(sw.stats().vms.t).toMatchObject({ plugged: true, carrier: true }), WAIT);
  expect(sw.stats().vms.t).toMatchObject({ ip: addressOf(20), mac: '06:00:00:00:00:14' });
});

test('TAP deleted and made again many times over: -> plugged in, and no descriptor more', async () => {
  const sw = await stage.start();
  createTap('t1');
  await sw.attach('t', { tap: 't1', netns: stage.host.path });
  const before = openDescriptors();
  for (let i = 0; i < 10; i++) {
    deleteLink('t1');
    createTap('t1');
  }
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
  await vi.waitFor(() => expect(sw.stats().vms.t?.plugged).toBe(true), WAIT);
  const { fd: _, release } = stage.holdTap('t1');
  await vi.waitFor(() => expect(sw.stats().vms.t?.carrier).toBe(true), WAIT);
  release();
  await vi.waitFor(() => expect(sw.stats().vms.t?.carrier).toBe(false), WAIT);
});

test('TAP, opened and closed by its VMM: -> carrier follows, learned addresses are forgotten with it', async () => {
  createTap('t1');
  const sw = await stage.start();
  await sw.attach('t', { tap: 't1', netns: stage.host.path });
  for (let boot = 0; boot < 3; boot++) {
    expect(sw.stats().vms.t?.carrier).toBe(false);
    const vmm = stage.holdTap('t1');
    await vi.waitFor(() => expect(sw.stats().vms.t?.carrier).toBe(true), WAIT);
    vmm.release();
    await vi.waitFor(() => expect(sw.stats().vms.t?.carrier).toBe(false), WAIT);
  }
});

test('guest whose link goes down and up: -> learned MAC and IP forgotten, then learned again', async () => {
  const sw = await stage.start();
  await sw.attach('a', { tap: 'vm11', netns: stage.host.path });
  await ping(one.namespace, GATEWAY, 1);
  expect(sw.stats().vms.a).toMatchObject({ ip: addressOf(11) });
  const guestLink = (up: boolean) =>
    withRoutes(one.namespace, (routes) => routes.changeLink(indexOf(routes, 'eth0'), { up }));
  guestLink(false);
  await vi.waitFor(() => expect(sw.stats().vms.a).not.toHaveProperty('mac'), WAIT);
  expect(sw.stats().vms.a).not.toHaveProperty('ip');
  guestLink(true);
  await ping(one.namespace, addressOf(11), 1);
  await ping(one.namespace, HOST_ADDRESS, 1);
  await vi.waitFor(() => expect(sw.stats().vms.a).toMatchObject({ ip: addressOf(11), carrier: true }), WAIT);
});

test('interface set down by the administrator: -> port down; up again -> traffic', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  setUp('vm11', false);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(false), WAIT);
  setUp('vm11', true);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(true), WAIT);
  expect((await ping(one.namespace, GATEWAY)).received).toBe(3);
});

test('VM without carrier: host pings it -> unreachable within a second, and works once it is back', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  expect((await ping(stage.host.path, addressOf(11))).received).toBe(3);
  const guestLink = (up: boolean) =>
    withRoutes(one.namespace, (routes) => routes.changeLink(indexOf(routes, 'eth0'), { up }));
  guestLink(false);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(false), WAIT);
  const begun = performance.now();
  const { output, received } = await ping(stage.host.path, addressOf(11), 1);
  expect(performance.now() - begun).toBeLessThan(1000);
  expect(output).toContain('Destination Host Unreachable');
  expect(received).toBe(0);
  guestLink(true);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(true), WAIT);
  // Its MAC is known again once it has been asked for it: that costs the first packet.
  expect((await ping(stage.host.path, addressOf(11))).received).toBeGreaterThanOrEqual(2);
});

test('VM that never had a carrier: host pings its configured address -> unreachable within a second', async () => {
  createTap('t1');
  const sw = await stage.start();
  await sw.attach('t', { tap: 't1', netns: stage.host.path, ip: addressOf(20) });
  const begun = performance.now();
  const { output } = await ping(stage.host.path, addressOf(20), 1);
  expect(performance.now() - begun).toBeLessThan(1000);
  expect(output).toContain('Destination Host Unreachable');
});

test('host port deleted by hand: -> made again with its address, no busy loop, VMs without loss', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  const pinging = ping(one.namespace, GATEWAY, 50);
  deleteLink(stage.hostPort);
  await vi.waitFor(
    () => expect(stage.log.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('made again')),
    WAIT,
  );
  expect((await pinging).received).toBe(50);
  expect((await ping(stage.host.path, addressOf(11))).received).toBe(3);
  expect(sw.stats().hostPorts.default).toMatchObject({ plugged: true, carrier: true });
  const before = sw.stats().workers[0]?.heartbeat ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect((sw.stats().workers[0]?.heartbeat ?? 0) - before).toBeLessThan(50);
});

test('many VMs attached at once, some of which cannot be: -> the others are, and the worker lives', async () => {
  const sw = await stage.start();
  const names = Array.from({ length: 20 }, (_, i) => `t${i}`);
  for (const [i, name] of names.entries()) if (i % 2) createTap(name);
  const results = await Promise.allSettled(
    names.map((name) => sw.attach(name, { tap: name, netns: stage.host.path })),
  );
  expect(results.map(({ status }) => status)).toEqual(
    names.map((_, i) => (i % 2 ? 'fulfilled' : 'rejected')),
  );
  stage.holdTap('t1');
  await vi.waitFor(() => expect(sw.stats().vms.t1?.carrier).toBe(true), WAIT);
  expect(sw.stats().workers.filter(({ replaced }) => replaced > 0)).toEqual([]);
});

test('switch closed while a VM is being attached: -> nothing left open', async () => {
  const before = openDescriptors();
  const sw = await stage.start();
  const attaching = sw.attach('a', stage.vm(11)).catch((error) => error.code);
  await sw.close();
  expect(['SWITCH_CLOSED', undefined]).toContain(await attaching);
  expect(openDescriptors()).toEqual(before);
});
