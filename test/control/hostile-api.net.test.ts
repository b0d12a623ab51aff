/** The daemon's API under hostile use: connections without end, requests that are wrong, and a token that must stay secret. */
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { withRoutes } from '../../src/lab/netns-guest.ts';
import { ask } from '../api/stage.ts';
import { oddRequests, routesOf } from '../api/wrong-requests.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 20_000, interval: 200 };
const TOKEN = 'a-token-that-nobody-may-see-0123456789';
const IDLE = 10_000;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let client: Client;
let daemon: Daemon;
let socketPath: string;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  socketPath = join(files.path, 'api.sock');
  client = createClient({ socket: socketPath });
  const tokenFile = files.file('token', TOKEN);
  chmodSync(tokenFile, 0o600);
  const api = { listen: ['127.0.0.1:8083'], tokenFile };
  const env = { TAPSWITCH_SOCKET: socketPath, TAPSWITCH_STATE: join(files.path, 'state') };
  const guestAccess = { listen: '127.0.0.1:8084', domain: 'vms.localhost' };
  const config = { networks: { default: stage.network() }, api, guestAccess };
  daemon = await startUp(stage.host.path, config, files, { env, args: ['--log-level', 'trace'] });
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await stage.end();
  files.remove();
});

const interfaces = () => withRoutes(stage.host.path, (routes) => routes.links().map(({ name }) => name));

/** Connections that say nothing, as many of `count` as there is room for here. */
async function idle(count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(200, count - sockets.length) }, () => connect(socketPath));
    await Promise.all(
      some.map((one) => new Promise((resolve) => one.once('connect', resolve).once('error', resolve))),
    );
    sockets.push(...some);
  }
  for (const one of sockets) one.on('error', () => {});
  return sockets;
}

test(`${IDLE} idle connections -> others are answered, a VM can be put, and all is well when they end`, async ({
  skip,
}) => {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
  skip(limit < IDLE + 1000, `${limit} descriptors are not enough`);
  await stage.guest(11);
  const sockets = await idle(IDLE);
  const others = createClient({ socket: socketPath });
  expect((await others.health()).status).toBe('ok');
  expect(await others.putVm('a', { tap: 'vm11' })).toMatchObject({ state: 'up' });
  for (const one of sockets) one.destroy();
  await vi.waitFor(async () => expect((await others.health()).status).toBe('ok'), WAIT);
  await others.close();
}, 120_000);

test('ids of every kind, paths with dots, bodies that are too large or no JSON -> a status and a code each, nothing made', async () => {
  const where = { socketPath };
  const body = { tap: 'vm11' };
  const ids = [
    'ü',
    '..',
    '.',
    'a/b',
    '%00',
    'a b',
    `x${'y'.repeat(300)}`,
    '\\u0000',
    '<script>',
    'vm;rm',
    '__proto__',
  ];
  for (const id of ids) {
    const { status, json } = await ask(where, 'PUT', `/v1/vms/${encodeURIComponent(id)}`, { body });
    expect([400, 404, 422], id).toContain(status);
    expect(json.code, id).toMatch(/^[A-Z_]+$/);
  }
  for (const path of [
    '/v1/../../etc/passwd',
    '/v1/vms/..%2f..%2fetc',
    '//v1/vms',
    '/docs/static/%2e%2e/%2e%2e/package.json',
  ]) {
    const { status } = await ask(where, 'GET', path);
    expect([400, 404], path).toContain(status);
  }
  const large = await ask(where, 'PUT', '/v1/vms/a', { raw: JSON.stringify({ tap: 'x'.repeat(280_000) }) });
  expect([large.status, large.json.code]).toEqual([413, 'BODY_TOO_LARGE']);
  for (const raw of [
    '{',
    '[]',
    '"a"',
    '{"tap":1}',
    '{"tap":"vm11","forwards":"1:2"}',
    '{"tap":"vm11","__proto__":{}}',
    '{"tap":"vm11","mac":"x"}',
  ]) {
    const { status, json } = await ask(where, 'PUT', '/v1/vms/a', { raw });
    expect(status, raw).toBe(400);
    expect(json.code, raw).toMatch(/^(BAD_REQUEST|CONFIG_INVALID)$/);
  }
  expect(await client.vms()).toEqual([]);
  expect((await client.health()).status).toBe('ok');
});

test('requests derived from the OpenAPI document, odd in one place -> none is a bug, all is well afterwards', async () => {
  const where = { socketPath };
  const { json: document } = await ask(where, 'GET', '/openapi.json');
  for (const { method, path, body, isWrong } of oddRequests(routesOf(document))) {
    const { status, json } = await ask(where, method, path, body === undefined ? {} : { body });
    const what = `${method} ${path} ${JSON.stringify(body)}`;
    expect(`${what}: ${status} ${json?.code}`).not.toMatch(/: 500 /);
    if (isWrong) expect(status, what).toBeLessThan(500);
    if (isWrong) expect(status, what).toBeGreaterThanOrEqual(400);
  }
  for (const { id } of await client.vms()) await client.deleteVm(id);
  expect(interfaces().filter((name) => name.startsWith('fc-'))).toEqual([]);
  expect((await client.health()).status).toBe('ok');
}, 120_000);

test('token: right, wrong, in every place -> never in the log, at any level', async () => {
  const where = { host: '127.0.0.1', port: 8083 };
  const authorized = { authorization: `Bearer ${TOKEN}` };
  expect((await ask(where, 'GET', '/v1/vms', { headers: authorized })).status).toBe(200);
  expect((await ask(where, 'GET', '/v1/vms')).status).toBe(401);
  expect(
    (await ask(where, 'GET', '/v1/vms', { headers: { authorization: `Bearer ${TOKEN}x` } })).status,
  ).toBe(401);
  expect((await ask(where, 'GET', `/v1/vms?token=${TOKEN}`, { headers: authorized })).status).toBeLessThan(
    500,
  );
  expect((await ask(where, 'PUT', '/v1/vms/a', { headers: authorized, raw: '{' })).status).toBe(400);
  expect(
    (await ask(where, 'GET', '/v1/vms', { headers: { ...authorized, host: 'evil.example' } })).status,
  ).toBe(421);
  await vi.waitFor(() => expect(daemon.log()).toContain('Answered'), WAIT);
  expect(daemon.log()).not.toContain(TOKEN);
});

test('link, token and cookie at the guest access -> never in the log either', async () => {
  await stage.guest(11);
  await client.putVm('a', { tap: 'vm11' });
  const { url } = await client.createLink('a', { port: 6080 });
  const { host: name, pathname, search, searchParams } = new URL(url);
  const secret = searchParams.get('tapswitch-link') as string;
  expect(secret.length).toBeGreaterThan(20);
  const where = { host: '127.0.0.1', port: 8084 };
  const led = await ask(where, 'GET', `${pathname}${search}`, { headers: { host: name } });
  const cookie = led.headers['set-cookie']?.[0]?.split(';')[0] as string;
  expect([led.status, cookie]).toEqual([302, expect.stringContaining(secret)]);
  const wait = { host: name, 'x-tapswitch-wait': '0' };
  expect((await ask(where, 'GET', pathname, { headers: { ...wait, cookie } })).status).toBe(502);
  const authorization = `Bearer ${TOKEN}`;
  expect((await ask(where, 'GET', pathname, { headers: { ...wait, authorization } })).status).toBe(502);
  expect((await ask(where, 'GET', pathname, { headers: wait })).status).toBe(401);
  await client.deleteVm('a'); // the last of the log, so that the rest is there
  await vi.waitFor(() => expect(daemon.log()).toContain('DELETE'), WAIT);
  for (const one of [secret, TOKEN]) expect(daemon.log()).not.toContain(one);
});
