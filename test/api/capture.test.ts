/** Captures over the API: an answer that goes on until either end has enough. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { type Stage, startStage } from './stage.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.plane.putVm('vm1', { ip: '192.168.0.14' });
  stage.plane.calls = [];
});

async function begin(path: string): Promise<IncomingMessage> {
  const asked = request({ socketPath: stage.socket, path, agent: false });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return answer;
}

const ended = () => vi.waitFor(() => expect(stage.plane.captures.size).toBe(0));

test('query -> what the switch is asked; the first bytes come at once; the client goes -> it ends', async () => {
  const answer = await begin('/v1/capture?vms=vm1&filter=tcp%20port%2080&snaplen=96&duration=5&count=7');
  expect(answer.headers['content-type']).toBe('application/x-pcapng');
  expect(String((await once(answer, 'data'))[0])).toBe('first');
  const asked = { vms: ['vm1'], filter: 'tcp port 80', snaplen: 96, durationMs: 5000, count: 7 };
  expect(stage.plane.calls).toEqual([['capture', asked]]);
  expect(stage.plane.captures.size).toBe(1);
  answer.destroy();
  await ended();
});

test('of one VM -> that VM', async () => {
  const answer = await begin('/v1/vms/vm1/capture');
  await once(answer, 'data');
  expect(stage.plane.calls).toMatchObject([['capture', { vms: ['vm1'] }]]);
  answer.destroy();
  await ended();
});

test.each([
  ['/v1/vms/vm9/capture', 404, 'VM_UNKNOWN'],
  ['/v1/capture?vms=vm1,,vm2', 400, 'BAD_REQUEST'],
  ['/v1/capture?snaplen=-1', 400, 'BAD_REQUEST'],
  ['/v1/capture?duration=0', 400, 'BAD_REQUEST'],
  ['/v1/capture?count=many', 400, 'BAD_REQUEST'],
  ['/v1/capture?vm=vm1', 400, 'BAD_REQUEST'],
])('%s -> %i %s, nothing runs', async (path, status, code) => {
  const answer = await stage.ask('GET', path);
  expect([answer.status, answer.json.code]).toEqual([status, code]);
  expect(stage.plane.captures.size).toBe(0);
});

test('client -> the pieces; leaving the loop or the signal ends it', async () => {
  const client = createClient({ socket: stage.socket });
  for await (const piece of client.capture({ vms: ['vm1'] })) {
    expect(String(piece)).toBe('first');
    break;
  }
  await ended();
  const over = new AbortController();
  const pieces: string[] = [];
  for await (const piece of client.capture({ signal: over.signal })) {
    pieces.push(String(piece));
    over.abort();
  }
  expect(pieces).toEqual(['first', 'last']);
  await ended();
  await expect(
    client
      .capture({ vms: ['vm9'] })
      [Symbol.asyncIterator]()
      .next(),
  ).rejects.toMatchObject({ code: 'VM_UNKNOWN' });
  await client.close();
});

test('DELETE by the id of the answer -> it comes to its end; then, and by another id, there is none', async () => {
  const answer = await begin('/v1/capture');
  const path = `/v1/captures/${answer.headers['tapswitch-capture']}`;
  expect((await stage.ask('DELETE', path)).status).toBe(204);
  let text = '';
  for await (const piece of answer) text += piece;
  expect(text).toBe('firstlast');
  await vi.waitFor(async () => {
    expect((await stage.ask('DELETE', path)).json).toMatchObject({ code: 'NOT_FOUND', status: 404 });
  });
  expect((await stage.ask('DELETE', '/v1/captures/1')).status).toBe(404);
});

test('a signal before the answer -> it ends at once, without an error', async () => {
  const client = createClient({ socket: stage.socket });
  const over = new AbortController();
  const first = client.capture({ signal: over.signal })[Symbol.asyncIterator]().next();
  over.abort();
  expect(await first).toEqual({ done: true, value: undefined });
  await ended();
  await client.close();
});

test('the API closes -> the capture comes to its end', async () => {
  const other = await startStage();
  const client = createClient({ socket: other.socket });
  let text = '';
  for await (const piece of client.capture()) {
    text += piece;
    if (text === 'first') void other.close();
  }
  expect(text).toBe('firstlast');
  await client.close();
});
