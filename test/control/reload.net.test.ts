/** A daemon that reads its configuration again: what has changed is done, and nothing else is touched. */
import { once } from 'node:events';
import { chmodSync, existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ConfigInput } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { addressOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 8000, interval: 50 };

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guest: NetnsGuest;
let client: Client;
let daemon: Daemon;
let socket: string;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  socket = join(files.path, 'api.sock');
  client = createClient({ socket });
  guest = await stage.guest(11);
  await stage.serve(guest.namespace, 'echo', 5300);
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await stage.end();
  files.remove();
});

const plain = (): ConfigInput => ({ networks: { default: stage.network() } });

async function up(config: ConfigInput): Promise<void> {
  const env = { TAPSWITCH_SOCKET: socket, TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, config, files, { env });
}

function write(content: ConfigInput | string): void {
  const path = daemon.child.spawnargs.find((word) => word.endsWith('.json')) as string;
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  files.file(path.slice(files.path.length + 1), text);
}

async function reload(config: ConfigInput) {
  write(config);
  return client.reload();
}

/** A connection through the VM's forward that has said something. */
async function talking(): Promise<Socket> {
  const connection = connect(16300, '127.0.0.1');
  await once(connection, 'connect');
  await say(connection);
  return connection;
}

async function say(connection: Socket): Promise<void> {
  connection.write('hello');
  await once(connection, 'data');
}

const request = { tap: 'vm11', ip: addressOf(11), forwards: ['16300:5300'] };
const hasInterface = (name: string) =>
  withRoutes(stage.host.path, (routes) => routes.linkByName(name) !== undefined);

test('SIGHUP: VM of the configuration added, then gone; a file that is wrong -> says so, nothing changes', async () => {
  await up(plain());
  write({ ...plain(), vms: { a: { tap: 'vm11', ip: addressOf(11) } } });
  daemon.child.kill('SIGHUP');
  await vi.waitFor(async () => expect((await client.vm('a')).state).toBe('up'), WAIT);
  write('{');
  await expect(client.reload()).rejects.toMatchObject({ code: 'CONFIG_SYNTAX' });
  expect((await client.vm('a')).state).toBe('up');
  const { changes, needRestart } = await reload({ ...plain(), workers: 1, guard: 'off' });
  expect(changes).toEqual(['vms.a: removed']);
  expect(needRestart.join()).toContain('guard: required -> off');
  expect(await client.vms()).toEqual([]);
});

test('rules, records and services of a network -> in force, its VMs` connections go on', async () => {
  await up(plain());
  await client.putVm('a', request);
  await stage.serve(stage.host.path, 'echo', 9000, '127.0.0.1');
  const connection = await talking();
  const gateway = '10.1.0.1';
  expect((await stage.probe(guest.namespace, gateway, 8080)).result).toBe('ECONNREFUSED');
  const dns = { records: { 'db.internal': '10.9.9.9' } };
  const { changes, needRestart } = await reload({
    networks: { default: stage.network({ hostServices: ['8080:9000'], dns }) },
  });
  expect(needRestart).toEqual([]);
  expect(changes.length).toBe(2);
  expect((await stage.probe(guest.namespace, gateway, 8080)).result).toBe('heard hello');
  await say(connection);
  connection.destroy();
});

test('limits of a network -> heeded at once: one connection more is refused and counted; raised -> it is had', async () => {
  const limits = { tcpFlows: 2 };
  await up({ networks: { default: stage.network({ limits }) } });
  await client.putVm('a', request);
  const [one, two] = [await talking(), await talking()];
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('ECONNRESET');
  expect((await client.vm('a')).counters.drops['flow-limit']).toBeGreaterThan(0);
  const { changes } = await reload({ networks: { default: stage.network({ limits: { tcpFlows: 3 } }) } });
  expect(changes).toEqual(['networks.default.limits.tcpFlows: 2 -> 3']);
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
  one.destroy();
  two.destroy();
});

test('host port comes and goes -> its interface as well, and the host reaches the guests meanwhile', async () => {
  await up(plain());
  await client.putVm('a', request);
  const connection = await talking();
  const hostPort = { name: 'tapsw7', address: '10.1.0.2' };
  await reload({ networks: { default: stage.network({ hostPort }) } });
  expect(hasInterface('tapsw7')).toBe(true);
  expect((await stage.probe(stage.host.path, addressOf(11), 5300)).result).toBe('heard hello');
  await reload({ networks: { default: stage.network({ hostPort: { ...hostPort, name: 'tapsw8' } }) } });
  expect([hasInterface('tapsw7'), hasInterface('tapsw8')]).toEqual([false, true]);
  expect((await stage.probe(stage.host.path, addressOf(11), 5300)).result).toBe('heard hello');
  await reload(plain());
  expect(hasInterface('tapsw8')).toBe(false);
  await say(connection);
  connection.destroy();
});

test('host port that cannot be had -> says so; a later reload without it, or with another -> works', async () => {
  await up(plain());
  await client.putVm('a', request);
  withRoutes(stage.host.path, (routes) => routes.createBridge('tapsw7'));
  const hostPort = { name: 'tapsw7', address: '10.1.0.2' };
  await expect(reload({ networks: { default: stage.network({ hostPort }) } })).rejects.toMatchObject({
    code: 'TAP_IN_USE',
  });
  expect(hasInterface('tapsw7')).toBe(true);
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
  withRoutes(stage.host.path, (routes) => routes.deleteLink(indexOf(routes, 'tapsw7')));
  await reload({ networks: { default: stage.network({ hostPort }) } });
  expect((await stage.probe(stage.host.path, addressOf(11), 5300)).result).toBe('heard hello');
});

test('networks new and gone -> their VMs come, wait, and come back; the other network`s connections go on', async () => {
  await up(plain());
  await client.putVm('a', request);
  const connection = await talking();
  const lab = { subnet: '10.2.0.0/24', gateway: '10.2.0.1' };
  await stage.guest(12);
  await reload({ networks: { default: stage.network(), lab } });
  expect(await client.putVm('b', { tap: 'vm12', network: 'lab', ip: '10.2.0.12' })).toMatchObject({
    state: 'up',
  });
  await reload(plain());
  expect(await client.vm('b')).toMatchObject({ state: 'absent', network: 'lab' });
  expect(await client.vm('b')).not.toHaveProperty('gateway');
  await reload({
    networks: { default: stage.network(), lab: { ...lab, subnet: '10.3.0.0/24', gateway: '10.3.0.1' } },
  });
  expect(await client.vm('b')).toMatchObject({ state: 'absent', gateway: '10.3.0.1' });
  await reload({ networks: { default: stage.network(), lab } });
  expect(await client.vm('b')).toMatchObject({ state: 'up', gateway: '10.2.0.1' });
  await say(connection);
  connection.destroy();
});

test('MTU of a network -> its VMs are attached again and reached', async () => {
  await up({ ...plain(), vms: { a: request } });
  await reload({ networks: { default: stage.network({ mtu: 1400 }) }, vms: { a: request } });
  expect(await client.vm('a')).toMatchObject({ state: 'up', mtu: 1400 });
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
});

test('listener that cannot be opened -> those there are stay; another -> it listens, connections of VMs go on', async () => {
  await up(plain());
  await client.putVm('a', request);
  const connection = await talking();
  const listen = { ...plain(), api: { listen: ['127.0.0.1:0'], tokenFile: join(files.path, 'missing') } };
  await reload(listen);
  await vi.waitFor(() => expect(daemon.log()).toContain('listeners stay as they were'), WAIT);
  expect(existsSync(socket)).toBe(true);
  chmodSync(files.file('token', 'a-token-of-some-length-0123456789'), 0o600);
  await reload({ ...plain(), api: { listen: ['127.0.0.1:0'], tokenFile: join(files.path, 'token') } });
  await vi.waitFor(() => expect(daemon.log()).toMatch(/http:\/\/127\.0\.0\.1:\d+/), WAIT);
  await vi.waitFor(async () => expect((await client.vm('a')).state).toBe('up'), WAIT);
  await say(connection);
  connection.destroy();
});

test('capture limits -> hold for captures to come, those that run go on', async () => {
  await up(plain());
  const captures = [1, 2].map(() => client.capture()[Symbol.asyncIterator]());
  for (const capture of captures) await capture.next();
  const { changes, needRestart } = await reload({ ...plain(), capture: { maximum: 2 } });
  expect([changes, needRestart]).toEqual([['capture.maximum: 8 -> 2'], []]);
  const third = () => client.capture({ count: 1, duration: 1 })[Symbol.asyncIterator]().next();
  await expect(third()).rejects.toMatchObject({ code: 'CAPTURE_LIMIT' });
  await captures[0]?.return?.();
  await vi.waitFor(async () => expect((await third()).value).toBeInstanceOf(Uint8Array), WAIT);
  await captures[1]?.return?.();
});
