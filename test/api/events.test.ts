/** WS /v1/events: replay, live, clients that are too slow, and the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Stage, startStage, TOKEN } from './stage.ts';

let stage: Stage;
const sockets: WebSocket[] = [];

beforeEach(async () => {
  stage = await startStage();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await stage.close();
});

interface Following {
  readonly socket: WebSocket;
  readonly sequences: number[];
  readonly closed: Promise<{ code: number; reason: string }>;
}

function follow(query: string, url = `ws+unix://${stage.socket}:/v1/events${query}`): Promise<Following> {
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${TOKEN}` } });
  sockets.push(socket);
  const sequences: number[] = [];
  socket.on('message', (data, isBinary) => {
    expect(isBinary).toBe(false);
    sequences.push(JSON.parse(String(data)).sequence);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
  });
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve({ socket, sequences, closed }));
    socket.once('error', reject);
  });
}

function emit(count: number, detail = ''): void {
  for (let i = 0; i < count; i++) stage.plane.events.emit('vm1', detail);
}

function upTo(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

test('since -> replayed from there, then live, each once and in order', async () => {
  emit(10);
  const { sequences } = await follow('?since=4&run=run-1');
  emit(3);
  await expect.poll(() => sequences).toEqual(upTo(5, 13));
});

test('follow=false -> what there is, however much, then 1000', async () => {
  emit(1000, 'x'.repeat(1000));
  const { sequences, closed } = await follow('?since=1&follow=false');
  emit(3);
  expect(await closed).toMatchObject({ code: 1000 });
  expect(sequences).toEqual(upTo(2, 1000));
  const none = await follow('?since=1003&follow=false');
  expect(await none.closed).toMatchObject({ code: 1000 });
  expect(none.sequences).toEqual([]);
});

test('no since -> live only; since the newest -> the same', async () => {
  emit(3);
  const one = await follow('');
  const other = await follow('?since=3');
  emit(2);
  await expect.poll(() => one.sequences).toEqual([4, 5]);
  await expect.poll(() => other.sequences).toEqual([4, 5]);
});

test('another run, or one beyond what is kept -> all that is kept', async () => {
  emit(1200);
  const another = await follow('?since=1190&run=run-0');
  const old = await follow('?since=5');
  await expect.poll(() => another.sequences).toEqual(upTo(201, 1200));
  await expect.poll(() => old.sequences).toEqual(upTo(201, 1200));
});

test('a replay larger than the buffer -> whole', async () => {
  emit(1000, 'x'.repeat(5000));
  const { sequences } = await follow('?since=0');
  await expect.poll(() => sequences, { timeout: 5000 }).toEqual(upTo(1, 1000));
});

test('over TCP with the token -> the same', async () => {
  emit(1);
  const { sequences } = await follow('?since=0', `ws://127.0.0.1:${stage.port}/v1/events?since=0`);
  await expect.poll(() => sequences).toEqual([1]);
});

test('a client that does not read -> 1013 and nothing more is held for it; others get everything', async () => {
  const slow = await follow('');
  const quick = await follow('');
  slow.socket.pause();
  for (let i = 0; i < 40; i++) {
    emit(100, 'x'.repeat(2000));
    await sleep(5);
    await expect.poll(() => quick.sequences.length, { interval: 5 }).toBe((i + 1) * 100);
  }
  expect(stage.plane.events.listeners).toBe(1);
  slow.socket.resume();
  expect(await slow.closed).toEqual({ code: 1013, reason: 'too slow: events were lost' });
  expect(slow.sequences).toEqual(upTo(1, slow.sequences.length)); // without a gap
  expect(quick.socket.readyState).toBe(WebSocket.OPEN);
});

test('closing -> 1001 for all, also where one does not read, within a second', async () => {
  const reading = await follow('');
  const paused = await follow('');
  paused.socket.pause();
  const begun = Date.now();
  await stage.close();
  expect(Date.now() - begun).toBeLessThan(1000);
  expect(await reading.closed).toEqual({ code: 1001, reason: 'shutting down' });
  paused.socket.resume();
  expect((await paused.closed).code).toBe(1001);
});

test('a client that goes -> is forgotten; one that says much -> 1009', async () => {
  const { socket, closed } = await follow('');
  expect(stage.plane.events.listeners).toBe(1);
  socket.send('x'.repeat(5000));
  expect((await closed).code).toBe(1009);
  await expect.poll(() => stage.plane.events.listeners).toBe(0);
});
