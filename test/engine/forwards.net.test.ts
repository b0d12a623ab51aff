/** Forwards, leases and what else a VM gets at its attach, as the control thread sees it; no traffic. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { withRoutes } from '../../src/lab/netns-guest.ts';
import { enterNamespace } from '../../src/sys/netns.ts';
import { forwardsOf, listens, refusalOf } from '../forward/fixtures.ts';
import { addressOf, openDescriptors, Stage } from '../lib/engine-stage.ts';

const WAIT = { timeout: 5000, interval: 10 };

let stage: Stage;

beforeEach(async () => {
  stage = new Stage();
  await stage.guest(11);
  await stage.guest(12);
  // Forwards listen where the process is.
  const leave = enterNamespace(stage.host.path);
  stage.atEnd(leave);
});

afterEach(() => stage.end());

test('VM with forwards: attach -> listened to; detach -> no more, nothing left open', async () => {
  const sw = await stage.start();
  const before = openDescriptors();
  await sw.attach('a', stage.vm(11, { forwards: ['16080:6080', '0:7000/udp'] }));
  const forwards = sw.forwards('a');
  expect(forwards.map(({ host, guestPort }) => [host, guestPort])).toEqual([
    ['127.0.0.1:16080', 6080],
    [expect.stringMatching(/^127\.0\.0\.1:2\d{4}$/), 7000],
    [`${sw.stats().vms.a?.loopback}:6080`, 6080],
    [`${sw.stats().vms.a?.loopback}:7000`, 7000],
  ]);
  expect(sw.stats().vms.a?.forwards).toEqual(forwards);
  for (const { host, protocol } of forwards) {
    if (protocol === 'tcp') expect(await listens(host)).toBe(true);
  }
  await sw.detach('a');
  expect(await listens('127.0.0.1:16080')).toBe(false);
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
  expect(await refusalOf(() => sw.forwards('a'))).toMatch(/^VM_UNKNOWN/);
});

test('VM with the shipped profile: attach -> its ports are listened to, each at a port of its own', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11, { profile: 'browser-vm' }));
  await sw.attach('b', stage.vm(12, { profile: 'browser-vm' }));
  for (const id of ['a', 'b']) {
    const chosen = sw.forwards(id).filter(({ host }) => host.startsWith('127.0.0.1:'));
    expect(chosen.map(({ guestPort }) => guestPort)).toEqual([6080, 8080]);
    for (const { host } of chosen) expect(await listens(host)).toBe(true);
  }
  expect(await refusalOf(() => sw.attach('c', stage.vm(13, { profile: 'browser' })))).toMatch(
    /^PROFILE_UNKNOWN/,
  );
});

test('forward that cannot be had: attach -> refused, nothing left; without it -> attached', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11, { forwards: ['16080:6080'] }));
  const before = openDescriptors();
  const input = stage.vm(12, { forwards: ['17080:6080', '192.0.2.1:80:80'] });
  expect(await refusalOf(() => sw.attach('b', input))).toMatch(/^FORWARD_UNAVAILABLE: VM b: /);
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
  expect(Object.keys(sw.stats().vms)).toEqual(['a']);
  await sw.attach('b', stage.vm(12, { forwards: ['17080:6080'] }));
});

test('TAP that is not there: attach with a forward -> its listener is closed again', async () => {
  const sw = await stage.start();
  const before = openDescriptors();
  const input = { ...stage.vm(11), tap: 'nothere', forwards: ['16080:6080'] };
  expect(await refusalOf(() => sw.attach('a', input))).toMatch(/^TAP_MISSING/);
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('running VM: addForward, removeForward -> there, then gone; another VM may have it then', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  const before = openDescriptors();
  const [added] = await sw.addForward('a', '0:6080');
  expect(await listens(added?.host as string)).toBe(true);
  await sw.addForward('a', '16080:6080');
  const taken = stage.vm(12, { forwards: ['16080:1'] });
  expect(await refusalOf(() => sw.attach('b', taken))).toMatch(/^FORWARD_IN_USE: .*already leads to a$/);
  await sw.removeForward('a', '16080:6080', { reset: true });
  await sw.removeForward('a', `${added?.host}:6080`, { reset: true });
  expect(sw.forwards('a')).toEqual([]);
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
  await sw.attach('b', taken);
  expect(await refusalOf(() => sw.addForward('c', '1:1'))).toMatch(/^VM_UNKNOWN/);
});

test('switch with forwards: close -> nothing is listened to or open', async () => {
  const before = openDescriptors();
  const sw = await stage.start({ workers: 2 });
  await sw.attach('a', stage.vm(11, { forwards: forwardTexts(16000, 50) }));
  await sw.attach('b', stage.vm(12, { forwards: forwardTexts(17000, 50) }));
  await sw.close();
  expect(await listens('127.0.0.1:16049')).toBe(false);
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

function forwardTexts(first: number, count: number): string[] {
  const text = `${first}-${first + count - 1}:${first}-${first + count - 1}`;
  expect(forwardsOf(text)).toHaveLength(count);
  return [text];
}

test('worker that dies: -> replaced, forwards are there, can be removed and added', async () => {
  const sw = await stage.start({ workers: 1 });
  await sw.attach('a', stage.vm(11, { forwards: ['16080:6080'] }));
  const before = openDescriptors();
  sw.crashWorker(0);
  await vi.waitFor(
    () => expect(stage.log.some(({ msg }) => msg.includes('worker replaced'))).toBe(true),
    WAIT,
  );
  expect(await listens('127.0.0.1:16080')).toBe(true);
  await sw.removeForward('a', '16080:6080', { reset: true });
  await sw.addForward('a', '16080:6080');
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('worker that dies with a connection held: -> it ends, nothing is left; the next is taken again', async () => {
  const sw = await stage.start({ workers: 1 });
  await sw.attach('a', stage.vm(11, { forwards: ['16080:6080'] }));
  const before = openDescriptors();
  for (let death = 1; death <= 2; death++) {
    const client = connect(16080, '127.0.0.1').on('error', () => {});
    const closed = new Promise((resolve) => client.once('close', resolve)); // after an error, too
    await once(client, 'connect');
    // The client's end and the worker's.
    await vi.waitFor(() => expect(openDescriptors()).toHaveLength(before.length + 2), WAIT);
    sw.crashWorker(0);
    await closed;
    await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
  }
});

test('TAP that goes and comes back: -> its forwards stay', async () => {
  const sw = await stage.start();
  const guest = await stage.guest(13);
  await sw.attach('c', stage.vm(13, { forwards: ['16080:6080'] }));
  await guest.stop();
  await vi.waitFor(() => expect(sw.stats().vms.c?.plugged).toBe(false), WAIT);
  expect(await listens('127.0.0.1:16080')).toBe(true);
  await stage.guest(13);
  await vi.waitFor(() => expect(sw.stats().vms.c?.carrier).toBe(true), WAIT);
});

test('VM without an address: attach -> one is set aside for it; who is configured with it has it', async () => {
  const sw = await stage.start();
  const { ip: _, ...plain } = stage.vm(11);
  await sw.attach('a', plain);
  const leased = sw.stats().vms.a?.leased as string;
  expect(leased).toMatch(/^10\.1\.0\.\d+$/);
  expect(sw.stats().vms.a?.ip).toBeUndefined();
  await sw.detach('a');
  await sw.attach('a', plain);
  expect(sw.stats().vms.a?.leased).toBe(leased);
  await sw.attach('b', stage.vm(12, { ip: leased }));
  expect(sw.stats().vms.b).toMatchObject({ ip: leased });
  expect(sw.stats().vms.b?.leased).toBeUndefined();
  const moved = sw.stats().vms.a?.leased;
  expect(moved).toMatch(/^10\.1\.0\.\d+$/);
  expect(moved).not.toBe(leased);
});

test('clones: attach with the same addresses -> each has its own identity', async () => {
  const clones = { subnet: '10.1.0.0/24', gateway: '10.1.0.1', clones: true };
  const sw = await stage.start({ networks: { default: clones } });
  const ip = addressOf(9);
  const mac = '06:00:00:00:00:09';
  await sw.attach('a', stage.vm(11, { ip, mac, forwards: ['0:80'] }));
  await sw.attach('b', stage.vm(12, { ip, mac, forwards: ['0:80'] }));
  const { a, b } = sw.stats().vms;
  expect([a?.ip, b?.ip]).toEqual([ip, ip]);
  expect(a?.loopback).not.toBe(b?.loopback);
  expect(a?.forwards).toHaveLength(2);
  expect(b?.forwards).toHaveLength(2);
});

test('IPv6 address of another VM: attach -> ADDRESS_IN_USE', async () => {
  const networks = { default: stage.network({ subnet6: 'fd00::/64' }) };
  const sw = await stage.start({ networks });
  await sw.attach('a', stage.vm(11, { ip6: 'fd00::11' }));
  const same = stage.vm(12, { ip6: 'fd00::11' });
  expect(await refusalOf(() => sw.attach('b', same))).toMatch(/^ADDRESS_IN_USE/);
});

test('address the host gets later: -> no error in the log, all goes on', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(11));
  withRoutes(stage.host.path, (routes) => {
    routes.addAddress(routes.linkByName('lo')?.index as number, '198.51.100.7/32');
  });
  await new Promise((resolve) => setTimeout(resolve, 5500));
  expect(stage.log.filter(({ level }) => level >= 50)).toEqual([]);
  expect(sw.stats().vms.a?.carrier).toBe(true);
});
