/** How connections through a forward end, in order and otherwise. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 5000, interval: 20 };

let stage: GatewayStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300'] }));
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
