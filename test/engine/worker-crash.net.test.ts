import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { addressOf, GATEWAY, openDescriptors, ping, Stage } from '../lib/engine-stage.ts';

/** A worker starts in 0.1 s on an idle machine */
const WAIT = { timeout: 5000, interval: 10 };

let stage: Stage;
let one: NetnsGuest;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
  await stage.guest(12);
});

afterEach(() => stage.end());

async function startAttached(workers = 1) {
  const sw = await stage.start({ workers });
  await sw.attach('a', stage.vm(11));
  await sw.attach('b', stage.vm(12));
  expect((await ping(one.namespace, addressOf(12), 1)).received).toBe(1);
  return sw;
}

const replacements = () => stage.log.filter(({ msg }) => msg.startsWith('datapath worker replaced'));

test('worker that throws: -> replaced within a second, traffic flows again, and the log says so', async () => {
  const sw = await startAttached();
  const pinging = runIn(one.namespace, ['ping', '-n', '-c', '40', '-i', '0.05', '-W', '1', addressOf(12)]);
  await vi.waitFor(() => expect(sw.stats().vms.a?.rxFrames).toBeGreaterThan(8), WAIT);
  sw.crashWorker(0);
  const lost = 40 - Number(/(\d+) received/.exec((await pinging).stdout)?.[1]);
  expect(lost * 0.05).toBeLessThan(1);
  expect(sw.stats().workers).toMatchObject([{ replaced: 1 }]);
  expect(stage.log.find(({ msg }) => msg === 'datapath worker died; replacing it')).toMatchObject({
    level: 50,
    ports: 3,
    worker: 0,
    err: { message: 'crashed on request' },
  });
  expect(replacements()).toMatchObject([{ level: 40, ports: 3, worker: 0 }]);
});

test('worker that throws: -> counters and learned addresses are those from before', async () => {
  const sw = await stage.start({ workers: 1 });
  await sw.attach('a', { tap: 'vm11', netns: stage.host.path });
  await ping(one.namespace, GATEWAY);
  const { rxFrames = 0, mac, ip } = sw.stats().vms.a ?? {};
  expect({ mac, ip }).toEqual({ mac: expect.any(String), ip: addressOf(11) });
  sw.crashWorker(0);
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(1), WAIT);
  expect(sw.stats().vms.a).toMatchObject({ mac, ip, plugged: true, carrier: true });
  expect(sw.stats().vms.a?.rxFrames).toBeGreaterThanOrEqual(rxFrames);
  expect((await ping(one.namespace, GATEWAY)).received).toBe(3);
});

test('several deaths in a row: -> replaced each time, and attach, detach and close still work', async () => {
  const before = openDescriptors();
  const sw = await startAttached();
  for (let death = 1; death <= 4; death++) {
    sw.crashWorker(0);
    await vi.waitFor(() => expect(replacements()).toHaveLength(death), WAIT);
  }
  expect((await ping(one.namespace, addressOf(12))).received).toBe(3);
  await sw.detach('b');
  await sw.attach('b', stage.vm(12));
  expect((await ping(one.namespace, addressOf(12))).received).toBe(3);
  await sw.close();
  expect(openDescriptors()).toEqual(before);
});

test('dead worker, its replacement not yet there: attach and close -> done, nothing left', async () => {
  const before = openDescriptors();
  const sw = await startAttached();
  sw.crashWorker(0);
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(1), WAIT);
  sw.crashWorker(0);
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(2), WAIT);
  await sw.detach('b');
  sw.crashWorker(0);
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(3), WAIT);
  await sw.close();
  expect(openDescriptors()).toEqual(before);
});

test('two workers: -> both directions pass, also after either has been replaced', async () => {
  const sw = await startAttached(2);
  for (const worker of [0, 1]) {
    sw.crashWorker(worker);
    await vi.waitFor(() => expect(replacements().some((line) => line.worker === worker)).toBe(true), WAIT);
    expect((await ping(one.namespace, addressOf(12))).received).toBe(3);
    expect((await ping(stage.host.path, addressOf(11))).received).toBe(3);
  }
  expect(sw.stats().workers).toMatchObject([{ replaced: 1 }, { replaced: 1 }]);
});

test('interface that comes while the worker is dead: -> plugged in once it is replaced', async () => {
  const sw = await startAttached();
  await one.stop();
  await vi.waitFor(() => expect(sw.stats().vms.a?.plugged).toBe(false), WAIT);
  sw.crashWorker(0);
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(1), WAIT);
  sw.crashWorker(0);
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(2), WAIT);
  const again = await stage.guest(11);
  await vi.waitFor(() => expect(sw.stats().vms.a?.carrier).toBe(true), WAIT);
  expect((await ping(again.namespace, addressOf(12))).received).toBe(3);
});

test('switch without VMs whose worker is dead and not yet replaced: close -> done', async () => {
  const before = openDescriptors();
  const sw = await stage.start({ workers: 1 });
  for (const death of [1, 2]) {
    sw.crashWorker(0);
    await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(death), WAIT);
  }
  await sw.close();
  expect(openDescriptors()).toEqual(before);
});
