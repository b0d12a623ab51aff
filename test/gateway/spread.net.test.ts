/** The flows of one VM at several workers: what a user sees of it is that nothing is different. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WORKERS = 2;
const CONNECTIONS = 10;
const WAIT = { timeout: 5000, interval: 20 };

let stage: GatewayStage;
let guest: NetnsGuest;
let sw: Switch;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const networks = { default: stage.network({ hostServices: ['5400'] }) };
  sw = await stage.start({ networks, workers: WORKERS });
  await stage.serve(guest.namespace, 'echo', 5300);
});

afterEach(() => stage.end());

const attach = () => sw.attach('a', stage.vm(2, { forwards: ['15300:5300'] }));

/** A connection that has carried data, and how it ended so far. */
async function open(): Promise<{ socket: Socket; ended: () => string | undefined }> {
  const socket = connect({ port: 15300, host: '127.0.0.1' });
  stage.atEnd(() => socket.destroy());
  let ended: string | undefined;
  socket.on('error', ({ code }: NodeJS.ErrnoException) => {
    ended = code;
  });
  socket.on('end', () => {
    ended = 'end';
  });
  await once(socket, 'connect');
  await says(socket, 'hello');
  return { socket, ended: () => ended };
}

async function says(socket: Socket, text: string): Promise<void> {
  socket.write(text);
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(5000) });
  expect(String(answer)).toBe(text);
}

async function openMany() {
  const made = [];
  for (let i = 0; i < CONNECTIONS; i++) made.push(await open());
  return made;
}

test.each([0, 1])(
  "worker %i dies: -> some of the VM's connections are reset, the others go on",
  async (worker) => {
    await attach();
    const connections = await openMany();
    sw.crashWorker(worker);
    await vi.waitFor(() => expect(sw.stats().workers[worker]?.replaced).toBe(1), WAIT);
    await delay(200);
    const left = connections.filter(({ ended }) => ended() === undefined);
    expect(left.length).toBeGreaterThanOrEqual(2);
    expect(left.length).toBeLessThanOrEqual(CONNECTIONS - 2);
    for (const { socket } of left) await says(socket, 'still here');
    const next = await openMany();
    expect(next.filter(({ ended }) => ended() !== undefined)).toEqual([]);
  },
);

test('forward removed with reset: -> every connection is reset, whichever worker had it', async () => {
  await attach();
  const before = openDescriptors();
  const connections = await openMany();
  await sw.removeForward('a', '15300:5300', { reset: true });
  await vi.waitFor(
    () => expect(connections.map(({ ended }) => ended())).toEqual(Array(CONNECTIONS).fill('ECONNRESET')),
    WAIT,
  );
  await sw.addForward('a', '15300:5300');
  for (const { socket } of connections) if (!socket.closed) await once(socket, 'close');
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('VM detached: -> every connection is reset, nothing stays open', async () => {
  const before = openDescriptors();
  await attach();
  const connections = await openMany();
  await sw.detach('a');
  await vi.waitFor(() => expect(connections.filter(({ ended }) => ended() === undefined)).toEqual([]), WAIT);
  for (const { socket } of connections) if (!socket.closed) await once(socket, 'close');
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('connections the guest begins: -> served by whichever worker gets them', async () => {
  await attach();
  await stage.serve(stage.host.path, 'echo', 5400);
  for (let i = 0; i < CONNECTIONS; i++) {
    expect((await stage.probe(guest.namespace, '10.1.0.1', 5400)).result).toBe('heard hello');
  }
});

test('four transfers at once: -> each is the same at the other end', async () => {
  await attach();
  await stage.serve(guest.namespace, 'digest', 5301);
  await sw.addForward('a', '15301:5301');
  const pushed = Array.from({ length: 4 }, () => stage.call(stage.host.path, 'push', '127.0.0.1', 15301, 64));
  for (const said of await Promise.all(pushed)) expect(said).toMatch(/^same /);
});
