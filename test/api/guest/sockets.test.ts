import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { MAX_SOCKETS_PER_VM } from '../../../src/api/guest/open-sockets.ts';
import {
  ask,
  browser,
  closeOf,
  failed,
  opened,
  problemIn,
  refusal,
  type Stage,
  serve,
  serveTcp,
  stage,
} from './fixtures.ts';

const WS = '/v1/vms/vm1/http/8080/agent?x=1';
const TCP = '/v1/vms/vm1/ws/5900';
const MB = 1024 * 1024;
const TIMES = { pingMs: 50, idleMs: 60_000 };

type Accept = (socket: WebSocket, request: IncomingMessage) => void;

async function withSocketService(accept: Accept, options: ServerOptions = {}): Promise<Stage> {
  const it = await stage();
  const server = createServer();
  const sockets = new WebSocketServer({ server, ...options });
  sockets.on('connection', (socket, request) => {
    socket.on('error', () => {});
    accept(socket, request);
  });
  await serve(it.plane, 8080, server);
  return it;
}

async function withTcpService(
  accept: (socket: Socket) => void,
  times: Parameters<typeof stage>[0] = {},
): Promise<Stage> {
  const it = await stage(times);
  await serveTcp(it.plane, 5900, accept);
  return it;
}

function echo(socket: WebSocket): void {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
}

/** Sends until nothing more is taken for a while. Returns bytes that were handed to the kernel. */
async function pushed(socket: WebSocket, bytes: number): Promise<number> {
  for (let sent = 0; sent < bytes; sent += MB) socket.send(Buffer.alloc(MB));
  let before = -1;
  while (socket.bufferedAmount !== before) {
    before = socket.bufferedAmount;
    await sleep(300);
  }
  return bytes - before;
}

async function receivedBytes(socket: WebSocket, bytes: number): Promise<void> {
  let received = 0;
  await new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      received += data.length;
      if (received === bytes) resolve();
    });
    socket.resume();
  });
}

describe('WebSocket to a WebSocket', () => {
  test('text and binary -> echoed as they were; a stream that is no socket does too', async () => {
    for (const bareStreams of [false, true]) {
      const it = await withSocketService(echo);
      it.plane.bareStreams = bareStreams;
      const socket = await opened(it.port, WS);
      for (const [data, binary] of [
        ['häh?', false],
        [Buffer.from([0, 255]), true],
      ] as const) {
        socket.send(data);
        const [got, isBinary] = await once(socket, 'message');
        expect([got, isBinary]).toEqual([Buffer.from(data), binary]);
      }
    }
  });

  test('1,000 messages both ways -> all, in order', async () => {
    const { port } = await withSocketService(echo);
    const socket = await opened(port, WS);
    const got: string[] = [];
    socket.on('message', (data) => got.push(String(data)));
    const sent = Array.from({ length: 1000 }, (_, index) => `${index}${'x'.repeat(index)}`);
    for (const text of sent) socket.send(text);
    while (got.length < sent.length) await once(socket, 'message');
    expect(got).toEqual(sent);
  });

  test('messages right behind the handshake, on either side -> none lost', async () => {
    const { port } = await withSocketService((socket) => {
      for (let count = 0; count < 10; count++) socket.send(String(count));
    });
    const socket = browser(port, WS);
    const got: string[] = [];
    socket.on('message', (data) => got.push(String(data)));
    while (got.length < 10) await once(socket, 'message');
    expect(got.join('')).toBe('0123456789');
  });

  test('the guest chooses the subprotocol', async () => {
    const { port } = await withSocketService(echo, { handleProtocols: () => 'b' });
    expect((await opened(port, WS, ['a', 'b'])).protocol).toBe('b');
  });

  test('the upgrade -> the guest sees path, cookies and Origin, not what is ours', async () => {
    let seen: IncomingMessage | undefined;
    const { port } = await withSocketService((_socket, request) => {
      seen = request;
    });
    const headers = {
      authorization: 'Bearer secret',
      cookie: 'tapswitch-link=secret; a=b',
      host: 'vm1.test',
    };
    const socket = browser(port, `${WS}&tapswitch-link=secret`, [], { headers, origin: 'http://vm1.test' });
    await once(socket, 'open');
    expect(JSON.stringify([seen?.url, seen?.headers])).not.toContain('secret');
    expect(seen?.url).toBe('/agent?x=1');
    expect(seen?.headers).toMatchObject({ cookie: 'a=b', origin: 'http://vm1.test', host: 'vm1.test' });
    expect(seen?.headers['sec-websocket-extensions']).toBeUndefined();
  });

  test('a browser that stops reading -> the guest is held back; nothing is lost', async () => {
    let guest: WebSocket | undefined;
    const { port } = await withSocketService((socket) => {
      guest = socket;
    });
    const socket = await opened(port, WS);
    socket.pause();
    const taken = await pushed(guest as WebSocket, 60 * MB);
    expect(taken).toBeLessThan(40 * MB); // the kernel's buffers, and a few messages
    await receivedBytes(socket, 60 * MB);
  }, 20_000);

  test('a guest that stops reading -> the browser is held back', async () => {
    const { port } = await withSocketService((socket) => socket.pause());
    expect(await pushed(await opened(port, WS), 60 * MB)).toBeLessThan(40 * MB);
  }, 20_000);
});

describe('WebSocket to TCP', () => {
  test('bytes -> both ways, in binary frames; binary if it is offered', async () => {
    for (const bareStreams of [false, true]) {
      const it = await withTcpService((socket) => socket.pipe(socket));
      it.plane.bareStreams = bareStreams;
      const socket = await opened(it.port, TCP, ['binary', 'base64']);
      expect(socket.protocol).toBe('binary');
      socket.send(Buffer.from('RFB'));
      expect(await once(socket, 'message')).toEqual([Buffer.from('RFB'), true]);
      expect((await opened(it.port, TCP)).protocol).toBe('');
    }
  });

  test('a server that speaks first -> nothing lost', async () => {
    const { port } = await withTcpService((socket) => socket.write('RFB 003.008\n'));
    const [greeting] = await once(browser(port, TCP), 'message');
    expect(String(greeting)).toBe('RFB 003.008\n');
  });

  test('a reader that stops, on either side -> the other is held back; nothing is lost', async () => {
    const accepted: Socket[] = [];
    const { port } = await withTcpService((socket) => void accepted.push(socket.pause()));
    const socket = await opened(port, TCP);
    expect(await pushed(socket, 60 * MB)).toBeLessThan(40 * MB);
    let received = 0;
    accepted[0]?.on('data', (chunk) => {
      received += chunk.length;
    });
    accepted[0]?.resume();
    while (received < 60 * MB) await sleep(20);

    const other = await opened(port, TCP);
    other.pause();
    const guest = accepted[1] as Socket;
    for (let count = 0; count < 60; count++) guest.write(Buffer.alloc(MB));
    await sleep(1000);
    expect(guest.writableLength).toBeGreaterThan(20 * MB);
    await receivedBytes(other, 60 * MB);
  }, 30_000);

  test('the browser closes -> the guest gets all of it, then the end', async () => {
    let text = '';
    const { port } = await withTcpService((socket) => {
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('end', () => socket.end());
    });
    const socket = await opened(port, TCP);
    for (const part of ['a', 'b', 'c']) socket.send(Buffer.from(part));
    socket.close();
    expect((await closeOf(socket)).code).toBe(1005);
    while (text !== 'abc') await sleep(5);
  });

  test('plain GET -> 400', async () => {
    const { port } = await stage();
    expect((await ask(port, TCP)).status).toBe(400);
  });
});

describe('closes: no path ends in 1006', () => {
  const kill = (socket: WebSocket) => socket.terminate();
  const reset = (_socket: WebSocket, request: IncomingMessage) => request.socket.resetAndDestroy();
  const paths: [string, Accept, number, string][] = [
    ['guest closes normally', (socket) => socket.close(1000, 'done'), 1000, 'done'],
    ['guest closes without a code', (socket) => socket.close(), 1000, ''],
    ['guest closes with a code of its own', (socket) => socket.close(4321, 'own'), 4321, 'own'],
    ['guest goes away', (socket) => socket.close(1001), 1001, ''],
    ['guest fails', (socket) => socket.close(1011, 'oops'), 1011, 'oops'],
    ['guest process killed', kill, 1011, 'the connection into the VM broke'],
    ['guest connection reset', reset, 1011, 'the connection into the VM broke'],
    [
      'guest breaks the protocol',
      (_socket, request) => request.socket.write(Buffer.from('ffff', 'hex')),
      1011,
      'the service broke the protocol of WebSockets',
    ],
    [
      'guest sends too big a message',
      (socket) => socket.send(Buffer.alloc(17 * MB)),
      1009,
      'the message is too big',
    ],
  ];
  test.each(paths)('WebSocket: %s', async (_name, act, code, reason) => {
    const { port } = await withSocketService((socket, request) => {
      setTimeout(() => act(socket, request), 20);
    });
    expect(await closeOf(browser(port, WS))).toEqual({ code, reason });
  });

  const streams: [string, (socket: Socket) => unknown, number][] = [
    ['guest closes', (socket) => socket.end('bye'), 1000],
    ['guest process killed', (socket) => socket.destroy(), 1000], // its kernel sends FIN
    ['guest connection reset', (socket) => socket.resetAndDestroy(), 1011],
  ];
  test.each(streams)('TCP: %s', async (_name, act, code) => {
    const { port } = await withTcpService((socket) => {
      setTimeout(() => act(socket), 20);
    });
    expect((await closeOf(browser(port, TCP))).code).toBe(code);
  });

  test.each([
    ['FLOW_LIMIT', 1013],
    ['SWITCH_CLOSED', 1001],
    ['TAP_DOWN', 1011],
  ] as const)('the stream ends with %s -> %i, for both kinds', async (code, close) => {
    const it = await withSocketService(() => {});
    await serveTcp(it.plane, 5900, () => {});
    for (const path of [WS, TCP]) {
      const socket = await opened(it.port, path);
      for (const stream of it.plane.sockets) stream.destroy(failed(code));
      expect((await closeOf(socket)).code).toBe(close);
    }
  });

  test('the stream breaks as soon as it is there -> 1011, and 502 for a service of WebSockets', async () => {
    const it = await withSocketService(() => {});
    await serveTcp(it.plane, 5900, () => {});
    const dial = it.plane.dial.bind(it.plane);
    it.plane.dial = async (...args) => {
      const stream = await dial(...args);
      process.nextTick(() => stream.destroy(new Error('reset')));
      return stream;
    };
    expect((await closeOf(browser(it.port, TCP))).code).toBe(1011);
    expect((await refusal(browser(it.port, WS))).status).toBe(502);
  });

  test('shutdown -> 1001 for both kinds, 503 for one that waits', async () => {
    const it = await withSocketService(() => {});
    await serveTcp(it.plane, 5900, () => {});
    const open = [await opened(it.port, WS), await opened(it.port, TCP)];
    it.plane.dial = (_id, _port, options) =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      });
    const waiting = refusal(browser(it.port, TCP));
    await sleep(50);
    const codes = Promise.all(open.map(closeOf));
    await it.routes.close();
    const reason = 'tapswitch is shutting down';
    expect(await codes).toEqual([
      { code: 1001, reason },
      { code: 1001, reason },
    ]);
    const answer = await waiting;
    expect([answer.status, problemIn(answer).code]).toEqual([503, 'SWITCH_CLOSED']);
    expect((await refusal(browser(it.port, TCP))).status).toBe(503);
  });

  test.each(['vm-removed', 'vm-down', 'tap-absent'] as const)('%s -> 1011, of this VM only', async (type) => {
    const it = await withSocketService(echo);
    await serveTcp(it.plane, 5900, () => {});
    const ours = [await opened(it.port, WS), await opened(it.port, TCP)];
    const other = await opened(it.port, WS.replace('vm1', 'vm2'));
    const codes = Promise.all(ours.map(closeOf));
    it.plane.say({ type, vm: 'vm1' });
    expect((await codes).map(({ code }) => code)).toEqual([1011, 1011]);
    other.send('x');
    await once(other, 'message');
  });

  test('text to TCP -> 1003', async () => {
    const { port } = await withTcpService(() => {});
    const socket = await opened(port, TCP);
    socket.send('text');
    expect((await closeOf(socket)).code).toBe(1003);
  });

  test('idle TCP -> 1001; not while bytes pass', async () => {
    const it = await withTcpService((socket) => socket.pipe(socket), { idleMs: 800 });
    const socket = await opened(it.port, TCP);
    const closed = closeOf(socket);
    const begin = performance.now();
    for (let count = 0; count < 6; count++) {
      socket.send(Buffer.from('x'));
      await sleep(200);
    }
    expect(await closed).toEqual({ code: 1001, reason: 'idle for too long' });
    expect(performance.now() - begin).toBeGreaterThan(1500);
  });

  test('a guest that answers no ping -> 1011; a browser that does not -> 1011, once it reads again', async () => {
    const it = await stage(TIMES);
    const server = createServer();
    new WebSocketServer({ server, autoPong: false });
    await serve(it.plane, 8080, server);
    await serveTcp(it.plane, 5900, () => {});
    expect((await closeOf(browser(it.port, WS))).code).toBe(1011);
    const mute = browser(it.port, TCP, [], { autoPong: false });
    expect(await closeOf(mute)).toEqual({ code: 1011, reason: 'no answer to pings' });
  });

  test('pings answered -> stays open', async () => {
    const it = await stage(TIMES);
    await serveTcp(it.plane, 5900, () => {});
    const socket = await opened(it.port, TCP);
    await sleep(400);
    expect(socket.readyState).toBe(socket.OPEN);
  });

  test('the browser vanishes -> the guest sees 1001, and nothing stays open', async () => {
    let closed: Promise<{ code: number }> | undefined;
    const it = await withSocketService((socket) => {
      closed = closeOf(socket);
    });
    (await opened(it.port, WS)).terminate();
    expect((await closed)?.code).toBe(1001);
  });

  test.each([
    [1000, 1000],
    [4000, 4000],
    [undefined, 1005],
  ])('the browser closes with %s -> the guest sees %i', async (code, seen) => {
    let closed: Promise<{ code: number }> | undefined;
    const it = await withSocketService((socket) => {
      closed = closeOf(socket);
    });
    (await opened(it.port, WS)).close(code);
    expect((await closed)?.code).toBe(seen);
  });
});

describe('refused before the upgrade', () => {
  test.each([
    ['VM_UNKNOWN', undefined, 404, 'vm'],
    ['TAP_DOWN', undefined, 502, 'tap'],
    ['GUEST_SILENT', undefined, 502, 'guest'],
    ['PORT_REFUSED', undefined, 502, 'port'],
    ['VM_NOT_READY', 'GUEST_SILENT', 504, 'guest'],
    ['FLOW_LIMIT', undefined, 503, undefined],
    ['SWITCH_CLOSED', undefined, 503, undefined],
  ] as const)('%s (%s) -> %i, hop %s, for both kinds', async (code, cause, status, hop) => {
    const { port, plane } = await stage();
    for (const [path, guestPort] of [
      [WS, 8080],
      [TCP, 5900],
    ] as const) {
      plane.failures.set(guestPort, failed(code, cause));
      const answer = await refusal(browser(port, path));
      expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/problem+json']);
      expect([problemIn(answer).code, problemIn(answer).hop]).toEqual([code, hop]);
    }
  });

  test('the guest answers otherwise, or speaks something else -> 502 that says so', async () => {
    const { port, plane } = await stage();
    await serve(
      plane,
      8080,
      createServer((_request, response) => response.writeHead(401).end()),
    );
    await serveTcp(plane, 5900, (socket) => socket.write('RFB 003.008\n'));
    const answer = problemIn(await refusal(browser(port, WS)));
    expect(answer).toMatchObject({ status: 502, code: 'SERVICE_FAILED', hop: 'port' });
    expect(answer.detail).toContain('401');
    expect((await refusal(browser(port, TCP.replace('/ws/', '/http/')))).status).toBe(502);
  });

  test.each([
    ['another upgrade than to websocket', { upgrade: 'h2c' }],
    ['no key', { 'sec-websocket-key': 'x' }],
    ['another version', { 'sec-websocket-version': '7' }],
    ['a subprotocol twice', { 'sec-websocket-protocol': 'a, a' }],
    ['a subprotocol that is no token', { 'sec-websocket-protocol': 'a b' }],
  ])('%s -> 400, nothing dialled', async (_name, wrong) => {
    const { port, plane } = await stage();
    const right = {
      connection: 'upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
    };
    const answer = await ask(port, WS, { headers: { ...right, ...wrong } });
    expect([answer.status, problemIn(answer).code]).toEqual([400, 'BAD_REQUEST']);
    expect(plane.dials).toEqual([]);
  });

  test('more sockets than a VM may have -> 503; one fewer, and it may again', async () => {
    const { port } = await withTcpService((socket) => socket.resume());
    const all = await Promise.all(Array.from({ length: MAX_SOCKETS_PER_VM }, () => opened(port, TCP)));
    const answer = await refusal(browser(port, TCP));
    expect([answer.status, problemIn(answer).code]).toEqual([503, 'FLOW_LIMIT']);
    all[0]?.close();
    await closeOf(all[0] as WebSocket);
    await sleep(50);
    await opened(port, TCP);
  });
});

test('the browser gives up while the VM is waited for -> so does the dial', async () => {
  const it = await stage();
  let aborted = false;
  it.plane.dial = (_id, _port, options) =>
    new Promise((_resolve, reject) => {
      options?.signal?.addEventListener('abort', () => {
        aborted = true;
        reject(new Error('aborted'));
      });
    });
  const socket = browser(it.port, TCP);
  await sleep(50);
  socket.terminate();
  while (!aborted) await sleep(10);
});
