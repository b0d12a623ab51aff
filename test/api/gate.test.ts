/** Who is answered at the TCP listener, and what of it gets into the log. */
import { chmodSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readToken, tcpGate } from '../../src/api/gate.ts';
import { type Stage, startStage, TOKEN } from './stage.ts';

let stage: Stage;
const right = { authorization: `Bearer ${TOKEN}` };

beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());

test.each([
  ['none', {}, 401],
  ['empty', { authorization: 'Bearer ' }, 401],
  ['wrong', { authorization: 'Bearer sesame-0123456789abcdeg' }, 401],
  ['its beginning', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }, 401],
  ['another scheme', { authorization: `Basic ${TOKEN}` }, 401],
  ['right', right, 200],
  ['right, scheme in small letters', { authorization: `bearer ${TOKEN}` }, 200],
])('token: %s -> %s', async (_what, headers, expected) => {
  for (const path of ['/v1/vms', '/healthz', '/metrics', '/openapi.json', '/services/forwarder/all']) {
    const answer = await stage.askTcp('GET', path, { headers: headers as Record<string, string> });
    expect(answer.status).toBe(expected);
    if (expected !== 401) continue;
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="tapswitch"');
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.json.code).toBe('UNAUTHORIZED');
  }
});

test('the unix socket -> asks for no token and no name', async () => {
  expect((await stage.ask('GET', '/v1/vms', { headers: { host: 'anything' } })).status).toBe(200);
});

test.each([
  ['evil.example', 421],
  ['evil.example:80', 421],
  ['localhost.evil.example', 421],
  ['127.0.0.1.evil.example', 421],
  ['192.0.2.1', 421],
  ['127.0.0.1', 200],
  ['127.9.9.9:1234', 200],
  ['LocalHost:80', 200],
  ['[::1]:80', 200],
  ['box.example', 200],
])('Host %j -> %i', async (host, expected) => {
  const { status, json } = await stage.askTcp('GET', '/v1/vms', { headers: { ...right, host } });
  expect(status).toBe(expected);
  if (expected === 421) expect(json.code).toBe('HOST_REFUSED');
});

test('another name -> refused before the token is looked at', async () => {
  const { status } = await stage.askTcp('GET', '/v1/vms', { headers: { host: 'evil.example' } });
  expect(status).toBe(421);
});

function upgrade(headers: Record<string, string>, path = '/v1/events'): Promise<number> {
  return new Promise((resolve, reject) => {
    const websocket = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
    const key = { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const where = { host: '127.0.0.1', port: stage.port, path };
    const asked = request({ ...where, headers: { ...websocket, ...key, ...headers } });
    asked.on('response', (response) => {
      response.resume();
      resolve(response.statusCode as number);
    });
    asked.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on('error', reject);
    asked.end();
  });
}

test('upgrades -> pass the same gate', async () => {
  const host = '127.0.0.1:1';
  expect(await upgrade({})).toBe(401);
  expect(await upgrade({ ...right, host: 'evil.example' })).toBe(421);
  expect(await upgrade({ ...right, host, origin: 'http://evil.example' })).toBe(403);
  expect(await upgrade({ ...right, host, origin: 'http://127.0.0.1:2' })).toBe(403);
  expect(await upgrade({ ...right, host, origin: 'null' })).toBe(403);
  expect(await upgrade({ ...right, host, origin: 'http://127.0.0.1:1' })).toBe(101);
  expect(await upgrade(right)).toBe(101);
  expect(await upgrade(right, '/v1/other')).toBe(404);
  expect(await upgrade(right, '/v1/events?since=x')).toBe(400);
  expect(await upgrade(right, '/v1/events?from=1')).toBe(400);
});

test('the token -> in no line of the log, whatever happened', async () => {
  stage.plane.failure = new Error('broken');
  await stage.askTcp('POST', '/v1/reload', { headers: right });
  stage.plane.failure = undefined;
  await stage.askTcp('PUT', '/v1/vms/vm1', { headers: right, raw: '{' });
  await expect.poll(() => stage.log.join('')).toContain('"statusCode":400');
  expect(stage.log.join('')).toContain('broken');
  expect(stage.log.join('')).not.toContain('sesame');
  expect(stage.log.join('').toLowerCase()).not.toContain('authorization');
});

describe('the token file', () => {
  test.each([0o640, 0o604, 0o620])('mode %o -> TOKEN_UNREADABLE', (mode) => {
    const path = join(stage.directory, 'loose');
    writeFileSync(path, TOKEN);
    chmodSync(path, mode);
    expect(() => readToken(path)).toThrow(expect.objectContaining({ code: 'TOKEN_UNREADABLE' }));
  });

  test('missing, a directory, short -> TOKEN_UNREADABLE, without what is in it', () => {
    const short = join(stage.directory, 'short');
    writeFileSync(short, 'hunter2', { mode: 0o600 });
    for (const path of [join(stage.directory, 'none'), stage.directory, short]) {
      expect(() => readToken(path)).toThrow(expect.objectContaining({ code: 'TOKEN_UNREADABLE' }));
      expect(() => readToken(path)).not.toThrow(/hunter2/);
    }
  });

  test('TCP without one -> the API does not start', async () => {
    const tokenFile = join(stage.directory, 'none');
    await expect(startStage({ tokenFile })).rejects.toMatchObject({ code: 'TOKEN_UNREADABLE' });
  });
});

test('a listener on all addresses -> is known by the address that was asked', () => {
  const gate = tcpGate(TOKEN, '0.0.0.0', []);
  const socket = { localAddress: '::ffff:192.0.2.7' };
  const asked = (host: string) => ({ headers: { ...right, host }, socket }) as never;
  expect(() => gate(asked('192.0.2.7:80'))).not.toThrow();
  for (const host of ['192.0.2.8:80', '', ':80']) {
    expect(() => gate(asked(host))).toThrow(expect.objectContaining({ code: 'HOST_REFUSED' }));
  }
});
