/** The listeners: the socket's file, what has its place, many idle connections, and the end. */
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { startApi } from '../../src/api/server.ts';
import { FakePlane } from './fake-plane.ts';
import { ask, makeDirectory, type Stage, startStage } from './stage.ts';

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function stageOf(...parameters: Parameters<typeof startStage>): Promise<Stage> {
  const stage = await startStage(...parameters);
  ending.push(() => stage.close());
  return stage;
}

function directoryOf(): string {
  const directory = makeDirectory();
  ending.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function startAt(socket: string, group?: string | number) {
  const config = { socket, listen: [], hosts: [], ...(group !== undefined && { group }) };
  const log = pino({ level: 'silent' });
  const api = await startApi({ plane: new FakePlane(), config, log, version: '1' });
  ending.push(() => api.close());
  return api;
}

function listenAt(path: string): Promise<Server> {
  const server = createServer();
  ending.push(() => new Promise((resolve) => server.close(resolve)));
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', reject);
    ending.push(() => socket.destroy());
  });
}

describe('the socket', () => {
  test('mode -> its owner alone, or the group too; nothing else is left in the directory', async () => {
    const directory = directoryOf();
    const path = join(directory, 'api.sock');
    const api = await startAt(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['api.sock']);
    await api.close();
    expect(existsSync(path)).toBe(false);
    await startAt(path, process.getgid?.());
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(statSync(path).gid).toBe(process.getgid?.());
  });

  test('an abandoned one -> replaced', async () => {
    const path = join(directoryOf(), 'api.sock');
    const { spawnSync } = await import('node:child_process');
    const script = `require('net').createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(lstatSync(path).isSocket()).toBe(true);
    await startAt(path);
    expect((await ask({ socketPath: path }, 'GET', '/healthz')).status).toBe(200);
  });

  test('a live one, or another file -> API_IN_USE, and it stays', async () => {
    const directory = directoryOf();
    await listenAt(join(directory, 'live'));
    writeFileSync(join(directory, 'file'), 'mine');
    for (const name of ['live', 'file']) {
      await expect(startAt(join(directory, name))).rejects.toMatchObject({ code: 'API_IN_USE' });
    }
    expect(readdirSync(directory).sort()).toEqual(['file', 'live']);
    await connected(join(directory, 'live'));
  });

  test('its directory: missing -> made; that one missing too -> API_UNAVAILABLE', async () => {
    const directory = directoryOf();
    await startAt(join(directory, 'run', 'api.sock'));
    expect(statSync(join(directory, 'run')).mode & 0o777).toBe(0o755);
    const deep = join(directory, 'a', 'b', 'api.sock');
    await expect(startAt(deep)).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
  });

  test('an unknown group, a long path -> API_UNAVAILABLE', async () => {
    const directory = directoryOf();
    const unknown = startAt(join(directory, 's'), 'no-such-group');
    await expect(unknown).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
    mkdirSync(join(directory, 'x'.repeat(100)));
    const long = startAt(join(directory, 'x'.repeat(100), 's'));
    await expect(long).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
  });
});

test('a TCP address in use -> API_IN_USE, and the socket is gone again', async () => {
  const stage = await stageOf();
  const socket = join(directoryOf(), 'second.sock');
  const config = { socket, listen: [{ host: '127.0.0.1', port: stage.port }] };
  await expect(startStage(config)).rejects.toMatchObject({ code: 'API_IN_USE' });
  expect(existsSync(socket)).toBe(false);
});

test('the log -> has the addresses that were bound', async () => {
  const stage = await stageOf();
  expect(stage.log.join('')).toContain(`"http://127.0.0.1:${stage.port}"`);
  expect(stage.log.join('')).toContain(`unix:${stage.socket}`);
});

test('no HTTP -> 400 as a problem', async () => {
  const { socket: path } = await stageOf();
  const socket = await connected(path);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.write('\x16\x03\x01\x02\x00\r\n\r\n');
  await expect.poll(() => text).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"BAD_REQUEST"/);
});

test('1,000 idle connections and a request that waits -> others are answered, and it closes in a second', async () => {
  const stage = await stageOf();
  await stage.plane.putVm('vm1', {});
  const idle = Array.from({ length: 1000 }, () => connected(stage.socket));
  await Promise.all(idle);
  expect((await stage.ask('GET', '/v1/vms')).status).toBe(200);
  const waiting = stage.ask('GET', '/v1/vms/vm1/wait?port=9');
  await expect.poll(() => stage.plane.calls).toContainEqual(['wait', 'vm1', 9, 30_000]);
  const begun = Date.now();
  await stage.close();
  expect(Date.now() - begun).toBeLessThan(1000);
  expect(await waiting).toMatchObject({ status: 503, json: { code: 'SWITCH_CLOSED' } });
});

test('routes of guests -> on the unix socket, not over TCP', async () => {
  const guestRoutes = {
    request: (request: IncomingMessage, response: ServerResponse) => {
      if (request.url !== '/guest') return false;
      response.end('from the guest');
      return true;
    },
    upgrade: () => false,
  };
  const stage = await stageOf({}, { guestRoutes });
  expect((await stage.ask('GET', '/guest')).text).toBe('from the guest');
  expect((await stage.ask('GET', '/v1/vms')).status).toBe(200);
  const headers = { authorization: 'Bearer sesame-0123456789abcdef' };
  expect((await stage.askTcp('GET', '/guest', { headers })).status).toBe(404);
});
