/** Many connections of real kernels through a forward, and how they end. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { GATEWAY, openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 5000, interval: 20 };
const PAUSE_MS = 3000;
const MEBIBYTES = 16;

let stage: GatewayStage;
let guest: NetnsGuest;
let sw: Switch;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  sw = await stage.start({ networks: { default: stage.network({ hostServices: ['5400', '5401'] }) } });
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
});

afterEach(() => stage.end());

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  stage.atEnd(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** How a socket ends, by an error's code or `end`. */
async function endOf(socket: Socket): Promise<string> {
  socket.resume();
  return Promise.race([
    once(socket, 'end').then(
      () => 'end',
      ({ code }) => code as string,
    ),
    delay(5000, 'nothing', { ref: false }),
  ]);
}

test('1,000 connections open at once: -> each hears its own line; ended -> no descriptor stays open', async () => {
  await stage.serve(guest.namespace, 'echo', 5300);
  const before = openDescriptors();
  const result = await stage.call(stage.host.path, 'crowd', '127.0.0.1', 15300, 1000);
  expect(JSON.parse(result)).toEqual({ good: 1000, errors: [] });
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('20,000 connections, 16 at a time, a byte each: -> every one is answered', async () => {
  await stage.serve(guest.namespace, 'echo', 5300);
  const before = openDescriptors();
  const result = await stage.call(stage.host.path, 'churn', '127.0.0.1', 15300, 20_000, 16);
  expect(JSON.parse(result)).toEqual({ good: 20_000, bad: {} });
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('2,000 connections out, 16 at a time, a byte each: -> every one is answered', async () => {
  await stage.serve(stage.host.path, 'echo', 5400);
  const before = openDescriptors();
  const result = await stage.call(guest.namespace, 'churn', GATEWAY, 5400, 2000, 16);
  expect(JSON.parse(result)).toEqual({ good: 2000, bad: {} });
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('client that ends writing: -> the server hears the end, and its answer still comes', async () => {
  await stage.serve(guest.namespace, 'digest', 5300, 300);
  const socket = await open(15300);
  socket.end('hello');
  let heard = '';
  socket.setEncoding('utf8').on('data', (text) => {
    heard += text;
  });
  expect(await endOf(socket)).toBe('end');
  expect(heard).toBe('5 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
});

test('server in the guest killed: -> the client sees an end or a reset', async () => {
  const server = await stage.serve(guest.namespace, 'witness', 5300);
  const socket = await open(15300);
  await vi.waitFor(() => expect(server.said).toContain('open'), WAIT);
  const ended = endOf(socket);
  await server.kill();
  expect(await ended).toMatch(/^(end|ECONNRESET)$/);
});

test('server in the guest killed with data unread: -> the client sees a reset', async () => {
  const server = await stage.serve(guest.namespace, 'digest', 5300, 60_000);
  const socket = await open(15300);
  socket.write(Buffer.alloc(1 << 20));
  await delay(300);
  const ended = endOf(socket);
  await server.kill();
  expect(await ended).toBe('ECONNRESET');
});

test('client resets: -> the server in the guest sees a reset', async () => {
  const server = await stage.serve(guest.namespace, 'witness', 5300);
  const socket = await open(15300);
  socket.write('hello');
  await vi.waitFor(() => expect(server.said).toContain('data 5'), WAIT);
  socket.resetAndDestroy();
  await vi.waitFor(() => expect(server.said).toContain('error ECONNRESET'), WAIT);
});

test('client closes: -> the server in the guest hears the end', async () => {
  const server = await stage.serve(guest.namespace, 'witness', 5300);
  const socket = await open(15300);
  await vi.waitFor(() => expect(server.said).toContain('open'), WAIT);
  socket.destroy();
  await vi.waitFor(() => expect(server.said).toContain('end'), WAIT);
});

test(`host that stops reading for ${PAUSE_MS} ms: -> gets every byte`, async () => {
  await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
  await stage.serve(stage.host.path, 'digest', 5400, PAUSE_MS);
  const expected = await stage.call(stage.host.path, 'expect', MEBIBYTES);
  const [fetched, pushed] = await Promise.all([
    stage.call(stage.host.path, 'fetch', '127.0.0.1', 15301, PAUSE_MS),
    stage.call(guest.namespace, 'push', GATEWAY, 5400, MEBIBYTES),
  ]);
  expect(fetched).toBe(expected);
  expect(pushed).toBe(`same ${expected}`);
});

test(`guest that stops reading for ${PAUSE_MS} ms: -> gets every byte`, async () => {
  await stage.serve(guest.namespace, 'digest', 5300, PAUSE_MS);
  await stage.serve(stage.host.path, 'blob', 5401, MEBIBYTES);
  const expected = await stage.call(stage.host.path, 'expect', MEBIBYTES);
  const [pushed, fetched] = await Promise.all([
    stage.call(stage.host.path, 'push', '127.0.0.1', 15300, MEBIBYTES),
    stage.call(guest.namespace, 'fetch', GATEWAY, 5401, PAUSE_MS),
  ]);
  expect(pushed).toBe(`same ${expected}`);
  expect(fetched).toBe(expected);
});

/** The guest's kernel forgets its connections without a word, as a reboot does. */
async function forgetConnections(): Promise<void> {
  const script = `
    ip neigh replace ${GATEWAY} lladdr 02:00:00:00:00:99 dev eth0 nud permanent
    ss -K -t dst ${GATEWAY} > /dev/null 2>&1
    ip neigh del ${GATEWAY} dev eth0
    ss -tnH state established`;
  expect(await runIn(guest.namespace, ['sh', '-c', script])).toEqual({ status: 0, stdout: '', stderr: '' });
}

test('guest that rebooted: first segment of an old connection -> its client sees a reset at once', async () => {
  const server = await stage.serve(guest.namespace, 'witness', 5300);
  const socket = await open(15300);
  await vi.waitFor(() => expect(server.said).toContain('open'), WAIT);
  const ended = endOf(socket);
  await forgetConnections();
  expect(await Promise.race([ended, delay(300, 'nothing')])).toBe('nothing');
  const since = performance.now();
  socket.write('anybody there?');
  expect(await ended).toBe('ECONNRESET');
  expect(performance.now() - since).toBeLessThan(1000);
});
