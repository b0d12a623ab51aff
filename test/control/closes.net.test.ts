/** Every way in which a WebSocket into a VM can end, with the real daemon and guest: never by 1006 while the daemon lives. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { MAX_SOCKETS_PER_VM } from '../../src/api/guest/open-sockets.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { addressOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const SERVER = fileURLToPath(new URL('../lib/net-ws-server.mjs', import.meta.url));
const WEB = 6080;
const TCP = 6081;
/** The two ways in: a service of WebSockets, and a TCP port */
const WAYS = [`/v1/vms/a/http/${WEB}/`, `/v1/vms/a/ws/${TCP}`] as const;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guest: NetnsGuest;
let client: Client;
let daemon: Daemon;
let server: ReturnType<typeof spawnIn>;
let socket: string;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  socket = join(files.path, 'api.sock');
  client = createClient({ socket });
  guest = await stage.guest(11);
  server = spawnIn(guest.namespace, [process.execPath, SERVER, String(WEB)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(server.stdout as NodeJS.EventEmitter, 'data');
  const env = { TAPSWITCH_SOCKET: socket, TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, { networks: { default: stage.network() } }, files, { env });
  await client.putVm('a', { tap: 'vm11', ip: addressOf(11) });
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  server.kill('SIGKILL');
  await stage.end();
  files.remove();
});

interface Open {
  readonly ws: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
}

/** A WebSocket by one of the ways, over which something has been said. */
async function open(way: string): Promise<Open> {
  const ws = new WebSocket(`ws+unix:${socket}:${way}`);
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(ws, 'open');
  ws.send(Buffer.from('hello'));
  await once(ws, 'message');
  return { ws, closed };
}

function residentBytes(): number {
  const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

const both = () => Promise.all(WAYS.map(open));
const codes = async (opened: readonly Open[]) =>
  (await Promise.all(opened.map(({ closed }) => closed))).map(({ code }) => code);

/** What an upgrade is answered that is not to be: status and code. */
async function refusal(way: string, wait = '0'): Promise<[number | undefined, string]> {
  const ws = new WebSocket(`ws+unix:${socket}:${way}`, { headers: { 'x-tapswitch-wait': wait } });
  const [request, answer] = (await once(ws, 'unexpected-response')) as [ClientRequest, IncomingMessage];
  const { code } = JSON.parse(await text(answer));
  request.destroy();
  return [answer.statusCode, code];
}

test('no VM, no service, TAP down, not in time -> a status and a code instead of a WebSocket', async () => {
  for (const way of ['http/6099/', 'ws/6099']) {
    expect(await refusal(`/v1/vms/b/${way}`)).toEqual([404, 'VM_UNKNOWN']);
    expect(await refusal(`/v1/vms/a/${way}`)).toEqual([502, 'PORT_REFUSED']);
    expect(await refusal(`/v1/vms/a/${way}`, '1')).toEqual([504, 'VM_NOT_READY']);
  }
  withRoutes(stage.host.path, (routes) => routes.changeLink(indexOf(routes, 'vm11'), { up: false }));
  await vi.waitFor(async () => expect((await client.vm('a')).state).toBe('down'));
  for (const way of WAYS) expect(await refusal(way)).toEqual([502, 'TAP_DOWN']);
});

test('more than a VM may have -> 503, those that are open stay, and one that ends makes room', async () => {
  const [, way] = WAYS;
  const opened: Open[] = [];
  while (opened.length < MAX_SOCKETS_PER_VM) {
    opened.push(...(await Promise.all(Array.from({ length: 32 }, () => open(way)))));
  }
  for (const one of WAYS) expect(await refusal(one)).toEqual([503, 'FLOW_LIMIT']);
  const [first, second] = opened as [Open, Open];
  first.ws.close(1000);
  await first.closed;
  const next = await open(way);
  for (const { ws } of [next, second]) {
    ws.send(Buffer.from('again'));
    const [answer] = (await once(ws, 'message')) as [Buffer];
    expect(answer.toString()).toBe('again');
  }
});

test('service ends the connection, resets it, or closes with a code -> told', async () => {
  const told = async (way: string, word: string) => {
    const { ws, closed } = await open(way);
    ws.send(Buffer.from(word));
    return (await closed).code;
  };
  const [web, tcp] = WAYS;
  expect(await told(web, 'code 4001')).toBe(4001);
  expect(await told(web, 'end')).toBe(1011);
  expect(await told(web, 'reset')).toBe(1011);
  expect(await told(tcp, 'end')).toBe(1000);
  expect(await told(tcp, 'reset')).toBe(1011);
});

test('service killed -> both are told', async () => {
  const opened = await both();
  server.kill('SIGKILL');
  expect(await codes(opened)).toEqual([1011, 1000]);
});

test('TAP down -> 1011 at once, with a reason', async () => {
  const opened = await both();
  withRoutes(stage.host.path, (routes) => routes.changeLink(indexOf(routes, 'vm11'), { up: false }));
  for (const { closed } of opened)
    expect(await closed).toMatchObject({ code: 1011, reason: expect.stringMatching(/\w/) });
});

test('VM removed, and snapshot restored -> 1011', async () => {
  const before = await both();
  await client.newGeneration('a');
  expect(await codes(before)).toEqual([1011, 1011]);
  const opened = await both();
  await client.deleteVm('a');
  expect(await codes(opened)).toEqual([1011, 1011]);
});

test('daemon asked to stop -> 1001, those that do not read included', async () => {
  const opened = await both();
  const stuck = await both();
  for (const { ws } of stuck) {
    ws.send(Buffer.from('flood'));
    ws.pause();
  }
  await delay(1000);
  daemon.child.kill('SIGTERM');
  expect(await codes(opened)).toEqual([1001, 1001]);
  expect(await daemon.ended).toBe(0);
});

test('reader that stops -> the guest is held back, memory is bounded, others go on; it goes on -> all of it arrives', async () => {
  const [stuck] = await both();
  const [, other] = await both();
  const { ws } = stuck as Open;
  const before = residentBytes();
  ws.send(Buffer.from('flood'));
  ws.pause();
  await delay(2000);
  // A VM that floods fills gigabytes in that time.
  expect(residentBytes() - before).toBeLessThan(128 << 20);
  const { ws: lively } = other as Open;
  lively.send(Buffer.from('still here'));
  const [answer] = (await once(lively, 'message')) as [Buffer];
  expect(answer.toString()).toBe('still here');
  let bytes = 0;
  ws.on('message', (data: Buffer) => {
    bytes += data.length;
  });
  ws.resume();
  await vi.waitFor(() => expect(bytes).toBeGreaterThan(8 << 20), { timeout: 10_000 });
  expect(ws.readyState).toBe(WebSocket.OPEN);
  ws.terminate();
});
