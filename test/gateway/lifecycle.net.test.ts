/** Flows of VMs that go, of forwards that are taken away, of workers that die. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { listens, refusalOf } from '../forward/fixtures.ts';
import { GATEWAY, openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage, type Peer } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 5000, interval: 20 };

let stage: GatewayStage;
let guest: NetnsGuest;
let sw: Switch;
let server: Peer;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  await stage.guest(3);
  sw = await stage.start({ workers: 1, networks: { default: stage.network({ hostServices: ['5400'] }) } });
  server = await stage.serve(guest.namespace, 'witness', 5300);
  await stage.serve(guest.namespace, 'echo', 5301);
});

afterEach(() => stage.end());

const attachA = () => sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));

/** A connection that has carried data, and how it ends: `end` or an error's code. */
async function open(port: number): Promise<{ socket: Socket; ended: Promise<string> }> {
  const socket = connect({ port, host: '127.0.0.1' });
  stage.atEnd(() => socket.destroy());
  await once(socket, 'connect');
  server.said.length = 0;
  socket.write('hello');
  await vi.waitFor(() => expect(server.said).toContain('data 5'), WAIT);
  socket.resume();
  const ended = once(socket, 'end').then(
    () => 'end',
    ({ code }) => code as string,
  );
  return { socket, ended: Promise.race([ended, delay(3000, 'nothing', { ref: false })]) };
}

test('VM with a flow: detach -> reset on both sides, no listener, nothing open', async () => {
  const before = openDescriptors();
  await attachA();
  const { socket, ended } = await open(15300);
  await sw.detach('a');
  expect(await ended).toBe('ECONNRESET');
  await vi.waitFor(() => expect(server.said).toContain('error ECONNRESET'), WAIT);
  expect(await listens('127.0.0.1:15300')).toBe(false);
  if (!socket.closed) await once(socket, 'close');
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('switch with flows: close -> reset on the host, no listener, nothing open', async () => {
  const before = openDescriptors();
  const second = await stage.start({ networks: { default: stage.network() } });
  await second.attach('b', stage.vm(2, { forwards: ['16300:5300'] }));
  const { socket, ended } = await open(16300);
  await second.close();
  expect(await ended).toBe('ECONNRESET');
  expect(await listens('127.0.0.1:16300')).toBe(false);
  if (!socket.closed) await once(socket, 'close');
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('forward removed: its flow goes on; removed with reset -> the flow is reset', async () => {
  await attachA();
  const { socket } = await open(15300);
  await sw.removeForward('a', '15300:5300');
  socket.write('goes on');
  await vi.waitFor(() => expect(server.said).toContain('data 7'), WAIT);
  await sw.addForward('a', '15300:5300');
  const other = await open(15300);
  await sw.removeForward('a', '15300:5300', { reset: true });
  expect(await other.ended).toBe('ECONNRESET');
  socket.write('still on');
  await vi.waitFor(() => expect(server.said).toContain('data 8'), WAIT);
  socket.end();
  await vi.waitFor(() => expect(server.said).toContain('end'), WAIT);
});

test('VM that wants the forward of another: attach -> FORWARD_IN_USE, nothing is left, the other is served', async () => {
  await attachA();
  const before = openDescriptors();
  const input = stage.vm(3, { forwards: ['16300:5300', '15301:5301'] });
  expect(await refusalOf(() => sw.attach('b', input))).toMatch(/^FORWARD_IN_USE/);
  expect(await listens('127.0.0.1:16300')).toBe(false);
  expect(Object.keys(sw.stats().vms)).toEqual(['a']);
  expect(openDescriptors()).toEqual(before);
  expect((await stage.probe(stage.host.path, '127.0.0.1', 15301)).result).toBe('heard hello');
});

test('worker that dies: -> its flows are reset, nothing stays open, forwards and services work again', async () => {
  await attachA();
  await stage.serve(stage.host.path, 'echo', 5400);
  expect((await stage.probe(guest.namespace, GATEWAY, 5400)).result).toBe('heard hello');
  const before = openDescriptors();
  const { socket, ended } = await open(15300);
  sw.crashWorker(0);
  expect(await ended).toBe('ECONNRESET');
  await vi.waitFor(() => expect(sw.stats().workers[0]?.replaced).toBe(1), WAIT);
  expect((await stage.probe(stage.host.path, '127.0.0.1', 15301)).result).toBe('heard hello');
  expect((await stage.probe(guest.namespace, GATEWAY, 5400)).result).toBe('heard hello');
  if (!socket.closed) await once(socket, 'close');
  await vi.waitFor(() => expect(openDescriptors()).toEqual(before), WAIT);
});

test('worker that dies: first segment the guest sends on an old flow -> reset', async () => {
  await attachA();
  await stage.serve(stage.host.path, 'echo', 5400);
  const script = `exec 3<>/dev/tcp/${GATEWAY}/5400; echo up; sleep 1.5; echo anybody >&3; sleep 0.2; echo still >&3 && echo kept`;
  const client = runIn(guest.namespace, ['bash', '-c', script]);
  await delay(300);
  sw.crashWorker(0);
  const { stdout, stderr } = await client;
  expect(stdout).toBe('up\n');
  expect(stderr).toMatch(/reset|Broken pipe/i);
});

test('VM that loses its carrier: -> its flows are reset at once', async () => {
  await attachA();
  const { ended } = await open(15300);
  await runIn(guest.namespace, ['ip', 'link', 'set', 'eth0', 'down']);
  expect(await ended).toBe('ECONNRESET');
});
