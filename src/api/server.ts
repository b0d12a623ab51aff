/**
 * The API's listeners: a unix socket, and TCP where configured. Each is an HTTP server of its own with its gate before
 * the one application; upgrades pass the same gate. All that a client can hold on to has a bound: how long it may
 * take for its headers and its request, how long a connection may idle, how many there are.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { ApiConfig, ListenAddress } from '../config/service.ts';
import type { ControlPlane } from '../control/contract.ts';
import { TapswitchError } from '../errors.ts';
import { makeApp, requestHandler } from './app.ts';
import { eventsSocket, type UpgradeHandler } from './events-socket.ts';
import { checkOrigin, type Gate, openGate, readToken, tcpGate } from './gate.ts';
import type { LinkRoutesOptions } from './guest/link-routes.ts';
import { listening } from './listening.ts';
import { planeMetrics } from './metrics.ts';
import { notFound, problemOf } from './problem.ts';
import { answerProblem, refuseSocket } from './raw-answer.ts';
import { listenAtPath } from './unix-listener.ts';

const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000; // to receive it; an answer may take longer
const KEEP_ALIVE_MS = 60_000;
const CHECK_MS = 5_000;
const MAX_HEADER_BYTES = 16_384;
const MAX_CONNECTIONS = 16_384; // of each listener
const CLOSE_MS = 500; // that answers and close codes have to get out

/** The ways into VMs, which the unix socket has beside the API. */
export interface GuestRoutes {
  /** Answers a request of a path of its own; false where it is none, and nothing was done */
  request(request: IncomingMessage, response: ServerResponse): boolean;
  readonly upgrade: UpgradeHandler;
}

export interface ApiOptions {
  readonly plane: ControlPlane;
  readonly config: ApiConfig;
  readonly log: Logger;
  readonly version: string;
  /** Who made them closes them, before the API */
  readonly guestRoutes?: GuestRoutes;
  /** What links into VMs are made with; none are made where absent */
  readonly links?: Omit<LinkRoutesOptions, 'plane'>;
}

export interface Api {
  /** Where it listens, `unix:PATH` or `http://ADDRESS:PORT` */
  readonly addresses: string[];
  /** Ends all connections, WebSockets with 1001; takes a second at most. */
  close(): Promise<void>;
}

interface Handlers {
  readonly request: (request: IncomingMessage, response: ServerResponse) => void;
  readonly upgrades: readonly UpgradeHandler[];
}

function makeServer(gate: Gate, { request: answer, upgrades }: Handlers): Server {
  const server = createServer({
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('request', (request, response) => {
    try {
      gate(request);
    } catch (error) {
      answerProblem(response, problemOf(error));
      return;
    }
    answer(request, response);
  });
  server.on('upgrade', (request, socket: Duplex, head) => {
    socket.on('error', () => socket.destroy());
    try {
      gate(request);
      checkOrigin(request);
      if (upgrades.some((upgrade) => upgrade(request, socket, head))) return;
      throw notFound('WebSocket at this path');
    } catch (error) {
      refuseSocket(socket, problemOf(error));
    }
  });
  server.on('clientError', (error, socket) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNRESET') socket.destroy();
    else refuseSocket(socket, problemOf({ statusCode: 400, message: `This is no HTTP request (${code})` }));
  });
  return server;
}

async function listenAtAddress(server: Server, { host, port }: ListenAddress): Promise<string> {
  try {
    await listening(server, { host, port, ipv6Only: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const where = `api.listen ${host} port ${port}`;
    throw code === 'EADDRINUSE'
      ? new TapswitchError(
          'API_IN_USE',
          `${where}: in use`,
          'End who listens there, or choose another.',
          error,
        )
      : new TapswitchError('API_UNAVAILABLE', `${where}: ${code}`, 'Use an address of this host.', error);
  }
  const { address, port: bound } = server.address() as AddressInfo;
  return address.includes(':') ? `http://[${address}]:${bound}` : `http://${address}:${bound}`;
}

/** Servers, with every connection of theirs: those that were upgraded are no longer known to the servers. */
class Listeners {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  add(server: Server): Server {
    this.#servers.push(server);
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    return server;
  }

  /** Takes no more connections; resolves once those there are have ended, after CLOSE_MS by force. */
  async close(): Promise<void> {
    const ended = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    for (const server of this.#servers) server.closeIdleConnections();
    const force = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSE_MS);
    await Promise.all(ended);
    clearTimeout(force);
  }
}

/** The gate of each TCP listener; none is without a token. */
function tcpGates({ listen, tokenFile, hosts }: ApiConfig): Gate[] {
  if (listen.length === 0) return [];
  if (tokenFile === undefined) {
    throw new TapswitchError('CONFIG_INVALID', 'api.listen: there is no token', 'Configure api.tokenFile.');
  }
  const token = readToken(tokenFile);
  return listen.map(({ host }) => tcpGate(token, host, hosts));
}

/**
 * Starts the API on all its listeners.
 * @throws TapswitchError API_IN_USE, API_UNAVAILABLE, TOKEN_UNREADABLE; nothing listens then
 */
export async function startApi({
  plane,
  config,
  log,
  version,
  guestRoutes,
  links,
}: ApiOptions): Promise<Api> {
  const gates = tcpGates(config);
  const closing = new AbortController();
  const metrics = planeMetrics(plane, version);
  const linking = links && { ...links, plane };
  const app = await makeApp({ plane, metrics, closing: closing.signal }, { log, version, linking });
  const events = eventsSocket(plane.events);
  const answer = requestHandler(app, log);
  const overTcp: Handlers = { request: answer, upgrades: [events.upgrade] };
  const overUnix: Handlers = guestRoutes
    ? {
        request: (request, response) => {
          if (!guestRoutes.request(request, response)) answer(request, response);
        },
        upgrades: [events.upgrade, guestRoutes.upgrade],
      }
    : overTcp;
  const listeners = new Listeners();
  let removeFile = () => {};

  async function close(): Promise<void> {
    closing.abort();
    removeFile();
    events.close();
    await listeners.close();
    events.terminate();
    await app.close();
  }

  const addresses: string[] = [];
  try {
    const unix = listeners.add(makeServer(openGate, overUnix));
    removeFile = await listenAtPath(unix, config.socket, config.group);
    addresses.push(`unix:${config.socket}`);
    for (const [index, address] of config.listen.entries()) {
      const server = listeners.add(makeServer(gates[index], overTcp));
      addresses.push(await listenAtAddress(server, address));
    }
  } catch (error) {
    await close();
    throw error;
  }
  log.info({ addresses }, 'The API listens');
  return { addresses, close };
}
