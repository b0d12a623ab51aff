/** The daemon as its users meet it: the command, its socket, real interfaces and guests with kernels of their own. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConfigInput } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, createClient } from '../../src/client/client.ts';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap, removePersistentTap } from '../../src/sys/tun.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { addressOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 8000, interval: 50 };
const CONFLICT = 5;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guest: NetnsGuest;
let client: Client;
const daemons: Daemon[] = [];

const socket = () => join(files.path, 'api.sock');

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  guest = await stage.guest(11);
  client = createClient({ socket: socket() });
});

afterEach(async () => {
  for (const daemon of daemons.splice(0)) await kill(daemon);
  await stage.end();
  files.remove();
});

async function up(more: Partial<ConfigInput> = {}): Promise<Daemon & { ready: string }> {
  const config = { networks: { default: stage.network() }, ...more };
  const env = { TAPSWITCH_SOCKET: socket(), TAPSWITCH_STATE: join(files.path, 'state') };
  const daemon = await startUp(stage.host.path, config, files, { env });
  daemons.push(daemon);
  return daemon;
}

async function kill(daemon: Daemon): Promise<void> {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
}

const request = { tap: 'vm11', ip: addressOf(11), forwards: ['16300:5300'] };
const types = async () => {
  const seen: string[] = [];
  const stop = AbortSignal.timeout(1500);
  try {
    for await (const { type } of client.events({ since: 0, signal: stop })) seen.push(type);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
  return seen;
};

const hasInterface = (name: string) =>
  withRoutes(stage.host.path, (routes) => routes.linkByName(name) !== undefined);

test('VM put -> attached; the same again -> nothing changes; another forward -> that one alone', async () => {
  await up();
  await stage.serve(guest.namespace, 'echo', 5300);
  const vm = await client.putVm('a', request);
  expect(vm).toMatchObject({ id: 'a', state: 'up', origin: 'api', ip: addressOf(11) });
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
  await client.putVm('a', request);
  expect((await types()).filter((type) => type === 'vm-changed')).toEqual([]);
  const open = connect(16300, '127.0.0.1');
  await once(open, 'connect');
  await client.putVm('a', { ...request, forwards: ['16301:5300'] });
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16301)).result).toBe('heard hello');
  expect((await client.vm('a')).forwards.some(({ host }) => host === '127.0.0.1:16300')).toBe(false);
  // What came by the one before goes on.
  open.write('hello');
  expect(String(await once(open, 'data'))).toBe('hello');
  open.destroy();
  const taken = createServer().listen(16302, '127.0.0.1');
  await once(taken, 'listening');
  await expect(
    client.putVm('a', { ...request, forwards: ['16303:5300', '16302:5300'] }),
  ).rejects.toMatchObject({
    code: 'FORWARD_IN_USE',
  });
  taken.close();
  const asked = (await client.vm('a')).forwards.filter(({ identity }) => !identity);
  expect(asked.map(({ host }) => host)).toEqual(['127.0.0.1:16301']);
});

test('createTap -> the TAP is there before the answer is, and goes with the VM', async () => {
  await up();
  const vm = await client.putVm('b', { createTap: { owner: 1000 }, profile: 'browser-vm' });
  expect(vm).toMatchObject({ tap: 'fc-b', state: 'down', profile: 'browser-vm' });
  expect(vm.forwards.filter(({ identity }) => !identity).map(({ guestPort }) => guestPort)).toEqual([
    6080, 8080,
  ]);
  expect(hasInterface('fc-b')).toBe(true);
  await client.deleteVm('b');
  expect(hasInterface('fc-b')).toBe(false);
  await expect(client.vm('b')).rejects.toMatchObject({ code: 'VM_UNKNOWN' });
});

test('TAP missing, or another VM has it: -> refused, nothing kept', async () => {
  await up();
  await expect(client.putVm('c', { tap: 'nothere' })).rejects.toMatchObject({ code: 'TAP_MISSING' });
  await client.putVm('a', request);
  await expect(client.putVm('c', { tap: 'vm11' })).rejects.toMatchObject({ code: 'TAP_IN_USE' });
  expect((await client.vms()).map(({ id }) => id)).toEqual(['a']);
});

test('change that cannot be had -> refused, the VM is as it was', async () => {
  await up();
  await client.putVm('a', request);
  await expect(client.putVm('a', { ...request, tap: 'nothere' })).rejects.toMatchObject({
    code: 'TAP_MISSING',
  });
  expect(await client.vm('a')).toMatchObject({ tap: 'vm11', state: 'up' });
});

test('kill -9, started again -> the same addresses, identities and host ports; traffic flows', async () => {
  const daemon = await up();
  await stage.serve(guest.namespace, 'echo', 5300);
  await client.putVm('a', { ...request, forwards: ['0:5300'] });
  await client.addForward('a', '16302:5300');
  const seen = ({ forwards, loopback, ip, tap }: Awaited<ReturnType<Client['vm']>>) => ({
    forwards: forwards.map(({ host, guestPort }) => `${host} ${guestPort}`).sort(),
    loopback,
    ip,
    tap,
  });
  const before = seen(await client.vm('a'));
  await kill(daemon);
  await up();
  await vi.waitFor(async () => expect((await client.vm('a')).state).toBe('up'), WAIT);
  expect(seen(await client.vm('a'))).toEqual(before);
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16302)).result).toBe('heard hello');
});

test('VM of the state whose TAP is gone: the daemon starts; the TAP comes -> attached', async () => {
  const daemon = await up();
  await client.putVm('a', request);
  await kill(daemon);
  await guest.stop();
  await up();
  expect(await client.vm('a')).toMatchObject({ state: 'absent', tap: 'vm11' });
  guest = await stage.guest(11);
  await vi.waitFor(async () => expect((await client.vm('a')).state).toBe('up'), WAIT);
});

test('two daemons on one state -> the second ends with STATE_IN_USE, the first goes on', async () => {
  await up();
  const second = await startUp(stage.host.path, { networks: { default: stage.network() } }, files, {
    env: { TAPSWITCH_SOCKET: join(files.path, 'other.sock'), TAPSWITCH_STATE: join(files.path, 'state') },
  });
  expect(await second.ended).toBe(CONFLICT);
  expect(second.log()).toMatch(/^tapswitch: STATE_IN_USE: /);
  expect((await client.health()).status).toBe('ok');
});

test('VM of the configuration -> the API may show it, not change it', async () => {
  const said = { tap: 'vm11', ip: addressOf(11), ip6: 'fd00:1::11', profile: 'browser-vm' };
  await up({ networks: { default: stage.network({ subnet6: 'fd00:1::/64' }) }, vms: { a: said } });
  expect(await client.vm('a')).toMatchObject({ ...said, origin: 'config', state: 'up' });
  await expect(client.putVm('a', request)).rejects.toMatchObject({ code: 'VM_CONFIGURED' });
  await expect(client.deleteVm('a')).rejects.toMatchObject({ code: 'VM_CONFIGURED' });
});

test('interface that fits a pattern: comes -> a VM; goes -> none; another -> left alone', async () => {
  await up({ autoAttach: [{ match: 'vm2?' }] });
  const second = await stage.guest(20);
  await vi.waitFor(async () => expect((await client.vms()).map(({ id }) => id)).toEqual(['vm20']), WAIT);
  expect(await client.vm('vm20')).toMatchObject({ origin: 'auto', state: 'up' });
  await second.stop();
  await vi.waitFor(async () => expect(await client.vms()).toEqual([]), WAIT);
});

test('TAPs that fit a pattern and go again at once -> none stays; the last stays -> plugged in', async () => {
  await up({ autoAttach: [{ match: 'auto*' }] });
  const change = (work: (name: string) => unknown, name: string) =>
    inNamespace(stage.host.path, () => void work(name));
  for (let i = 0; i < 30; i++) {
    change(createPersistentTap, `auto${i}`);
    await delay(i);
    change(removePersistentTap, `auto${i}`);
  }
  change(createPersistentTap, 'auto0');
  await vi.waitFor(async () => {
    expect((await client.vms()).map(({ id, state }) => `${id} ${state}`)).toEqual(['auto0 down']);
  }, WAIT);
});

test('one port of a range, and one of the profile, removed -> they are gone, after kill -9 as well; put again -> back', async () => {
  const daemon = await up();
  const asked = {
    tap: 'vm11',
    ip: addressOf(11),
    profile: 'browser-vm',
    forwards: ['16300-16302:5300-5302'],
  };
  await client.putVm('a', asked);
  const ports = async () => {
    const { forwards } = await client.vm('a');
    return forwards
      .filter(({ identity }) => !identity)
      .map(({ guestPort }) => guestPort)
      .sort();
  };
  expect(await ports()).toEqual([5300, 5301, 5302, 6080, 8080]);
  await client.removeForward('a', '16301:5301');
  await client.removeForward('a', '0:8080');
  expect(await ports()).toEqual([5300, 5302, 6080]);
  await kill(daemon);
  await up();
  expect(await ports()).toEqual([5300, 5302, 6080]);
  await client.putVm('a', asked);
  expect(await ports()).toEqual([5300, 5301, 5302, 6080, 8080]);
});

test('ports of the profile removed and used otherwise -> so they stay after kill -9, whatever the profile has by then', async () => {
  await stage.guest(12);
  const profileOf = (...forwards: string[]) => ({ profiles: { p: { forwards } } });
  const first = await up(profileOf('16400:5400', '16401:5401'));
  await client.putVm('b', { tap: 'vm12' });
  await client.putVm('a', { tap: 'vm11', profile: 'p' });
  await client.removeForward('a', '16400-16401:5400-5401');
  await client.addForward('b', '16400:5400');
  await client.addForward('a', '16401:5500');
  const expectKept = async () => {
    for (const [id, lines] of [
      ['a', ['16401 5500']],
      ['b', ['16400 5400']],
    ] as const) {
      const { forwards, state } = await client.vm(id);
      const own = forwards.filter(({ identity }) => !identity);
      const seen = own.map(({ host, guestPort }) => `${host.split(':')[1]} ${guestPort}`);
      expect([id, state, seen]).toEqual([id, 'up', lines]);
    }
  };
  await expectKept();
  await kill(first);
  const second = await up(profileOf('16400:5400', '16401:5401'));
  await expectKept();
  await kill(second);
  await up(profileOf('16401:5401'));
  await expectKept();
});

test('port that answers, refuses, VM that is silent or has no carrier -> wait says which', async () => {
  await up();
  await client.putVm('a', request);
  const code = (port: number) =>
    client.wait('a', port, { timeout: 1 }).then(
      () => 'reached',
      (error: { code: string }) => error.code,
    );
  expect(await code(5300)).toBe('VM_NOT_READY');
  await stage.serve(guest.namespace, 'echo', 5300);
  expect(await client.wait('a', 5300, { timeout: 5 })).toMatchObject({ vm: 'a', port: 5300 });
  expect(await types()).toEqual(
    expect.arrayContaining(['vm-added', 'vm-up', 'first-frame', 'first-arp', 'port-reachable']),
  );
  withRoutes(guest.namespace, (routes) => routes.changeLink(indexOf(routes, 'eth0'), { up: false }));
  await vi.waitFor(async () => expect((await client.vm('a')).state).toBe('down'), WAIT);
  expect(await code(5300)).toBe('VM_NOT_READY');
});

test('new generation -> open connections are reset on the host at once, forwards stay', async () => {
  await up();
  await stage.serve(guest.namespace, 'echo', 5300);
  await client.putVm('a', request);
  const open = connect(16300, '127.0.0.1');
  open.on('error', () => {});
  await once(open, 'connect');
  open.write('hello');
  await once(open, 'data');
  expect(await client.flows('a')).toMatchObject([{ protocol: 'tcp', direction: 'in', state: 'established' }]);
  const ended = new Promise((resolve) => open.once('close', resolve));
  expect(await client.newGeneration('a')).toMatchObject({ generation: 1, reset: 1 });
  await ended;
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
});

test('WebSocket to a TCP port of the guest -> bytes both ways, 1000 when the service ends it', async () => {
  await up();
  const server = await stage.serve(guest.namespace, 'echo', 5300);
  await client.putVm('a', request);
  const ws = new WebSocket(`ws+unix:${socket()}:/v1/vms/a/ws/5300`);
  await once(ws, 'open');
  ws.send(Buffer.from('hello'));
  const [answer] = (await once(ws, 'message')) as [Buffer];
  expect(answer.toString()).toBe('hello');
  const closed = once(ws, 'close') as Promise<[number]>;
  await server.kill();
  const [status] = await closed;
  expect([1000, 1011]).toContain(status);
});
