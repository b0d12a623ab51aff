/** A control plane whose VMs are local servers, and the routes into them behind a real HTTP server. */
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { type GuestRoutes, type GuestRoutesOptions, guestRoutes } from '../../../src/api/guest/routes.ts';
import type { ControlPlane, DialOptions } from '../../../src/control/contract.ts';
import { type ErrorCode, TapswitchError } from '../../../src/errors.ts';
import type { Event, Problem } from '../../../src/resources/resources.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Runs at the end of the test, the last first. */
export function atEnd(end: () => Promise<unknown>): void {
  ends.push(end);
}

/** A stream that is no Socket, as the daemon's need not be. */
function bare(socket: Socket): Duplex {
  const duplex = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, () => done()),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk) => {
    if (!duplex.push(chunk)) socket.pause();
  });
  socket.on('end', () => duplex.push(null));
  socket.on('error', (error) => duplex.destroy(error));
  socket.on('close', () => duplex.destroy());
  return duplex;
}

export class FakePlane {
  readonly ports = new Map<number, number>();
  /** What dial throws, by port of the guest */
  readonly failures = new Map<number, TapswitchError>();
  readonly dials: { port: number; options: DialOptions | undefined }[] = [];
  readonly sockets = new Set<Socket>();
  readonly #heard = new Set<(event: Event) => void>();
  bareStreams = false;
  readonly events = {
    subscribe: (heard: (event: Event) => void) => {
      this.#heard.add(heard);
      return () => void this.#heard.delete(heard);
    },
  };

  get plane(): ControlPlane {
    return this as unknown as ControlPlane;
  }

  vm(id: string): unknown {
    if (id.startsWith('gone')) throw new TapswitchError('VM_UNKNOWN', `there is no VM ${id}`, 'Add it.');
    return { id };
  }

  say(event: Partial<Event>): void {
    for (const heard of this.#heard) heard(event as Event);
  }

  async dial(id: string, port: number, options?: DialOptions): Promise<Duplex> {
    this.dials.push({ port, options });
    this.vm(id);
    const failure = this.failures.get(port);
    if (failure !== undefined) throw failure;
    const socket = connect({ port: this.ports.get(port) as number, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    return this.bareStreams ? bare(socket) : socket;
  }
}

export function failed(code: ErrorCode, cause?: ErrorCode): TapswitchError {
  const why = cause === undefined ? undefined : failed(cause);
  return new TapswitchError(code, `it was ${code}`, 'See.', why);
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A server of the guest's; ends with the test, its connections too. */
export async function serve(plane: FakePlane, port: number, server: Server): Promise<void> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  plane.ports.set(port, await listening(server));
  atEnd(async () => {
    for (const socket of open) socket.destroy();
    server.close();
  });
}

export function serveTcp(plane: FakePlane, port: number, accept: (socket: Socket) => void): Promise<void> {
  return serve(
    plane,
    port,
    createTcpServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      accept(socket);
    }),
  );
}

export interface Stage {
  readonly plane: FakePlane;
  readonly routes: GuestRoutes;
  /** Port of the server in front */
  readonly port: number;
}

/** The routes without the listener's checks, as on the API's unix socket. */
export async function stage(times: GuestRoutesOptions['times'] = {}): Promise<Stage> {
  const plane = new FakePlane();
  const routes = guestRoutes({ plane: plane.plane, log: silentLogger(), times });
  const server = createServer((request, response) => {
    if (!routes.request(request, response)) response.writeHead(404).end();
  });
  server.on('upgrade', (request, socket, head) => {
    if (!routes.upgrade(request, socket, head)) socket.destroy();
  });
  const port = await listening(server);
  atEnd(async () => {
    const closed = once(server, 'close');
    server.close();
    await routes.close();
    server.closeAllConnections();
    await closed;
  });
  return { plane, routes, port };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export async function bodyOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Sends a request without agent, and reads the whole answer. */
export async function ask(
  port: number,
  path: string,
  options: RequestOptions = {},
  body?: string | Buffer,
): Promise<Answer> {
  const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, ...options });
  request.end(body);
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  request.on('error', () => {}); // an answer may come before all was sent, and the connection end then
  return { status: answer.statusCode as number, headers: answer.headers, body: await bodyOf(answer) };
}

export function problemIn({ body }: Answer): Problem {
  return JSON.parse(body.toString()) as Problem;
}

/** A browser's WebSocket that is being opened. */
export function browser(
  port: number,
  path: string,
  protocols: string[] = [],
  options: ClientOptions = {},
): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, options);
  atEnd(async () => socket.terminate());
  socket.on('error', () => {});
  return socket;
}

export async function opened(port: number, path: string, protocols: string[] = []): Promise<WebSocket> {
  const socket = browser(port, path, protocols);
  await once(socket, 'open');
  return socket;
}

/** What an upgrade is answered with in place of 101. */
export async function refusal(socket: WebSocket): Promise<Answer> {
  const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  return { status: answer.statusCode as number, headers: answer.headers, body: await bodyOf(answer) };
}

export async function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}
