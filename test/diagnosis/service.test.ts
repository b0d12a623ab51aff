/** What is said of a port: real servers on the loopback, and errors of those that open connections. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { askService } from '../../src/diagnosis/service.ts';
import { TapswitchError } from '../../src/errors.ts';

const open: { server: Server; sockets: Set<Socket> }[] = [];

afterEach(() => {
  for (const { server, sockets } of open.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

/** A server's port, as what dials it. */
async function serving(take: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    take(socket);
  });
  open.push({ server, sockets });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  return async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
}

const services: [string, (socket: Socket) => void, object][] = [
  ['banner', (socket) => socket.write('RFB 003.008\n'), { said: 'RFB 003.008' }],
  [
    'HTTP',
    (socket) => socket.once('data', () => socket.end('HTTP/1.1 404 Not Found\r\n\r\n')),
    { said: 'HTTP/1.1 404 Not Found', webSocket: false },
  ],
  [
    'WebSocket',
    (socket) =>
      socket.once('data', (request) => {
        const upgraded = /^Upgrade: websocket\r$/m.test(String(request));
        socket.end(upgraded ? 'HTTP/1.1 101 Switching Protocols\r\n\r\n' : 'HTTP/1.0 200 OK\r\n\r\n');
      }),
    { said: 'HTTP/1.0 200 OK', webSocket: true },
  ],
  ['bytes no terminal should see', (socket) => socket.write('\x1b[2Jx\n'), { said: '?[2Jx' }],
  ['a line without an end', (socket) => socket.write('y'.repeat(500)), { said: 'y'.repeat(60) }],
  ['the end at once', (socket) => socket.end(), { ended: true }],
  [
    'a reset at the request',
    (socket) => socket.once('data', () => socket.resetAndDestroy()),
    { ended: true },
  ],
  ['nothing', (socket) => socket.resume(), {}],
];

test.each(services)('%s -> seen', async (_name, take, seen) => {
  const dial = await serving(take);
  expect(await askService(dial, 80)).toEqual({ port: 80, outcome: 'open', ...seen });
});

test.each([
  ['PORT_REFUSED', 'refused'],
  ['GUEST_SILENT', 'silent'],
  ['FLOW_LIMIT', 'flow-limit'],
  ['SWITCH_CLOSED', 'failed'],
] as const)('%s -> %s', async (code, outcome) => {
  const dial = () => Promise.reject(new TapswitchError(code, 'no', 'none'));
  expect(await askService(dial, 80)).toEqual({ port: 80, outcome });
});
