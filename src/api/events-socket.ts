/**
 * `WS /v1/events`: what happened, from a sequence number on, then what happens.
 *
 * Each socket is a cursor into the events that the plane keeps, with no queue of its own: while little of what was sent
 * is unacknowledged by the system, the next events are read and sent. So replay and live events are one, memory is
 * bounded by MAX_BUFFERED per socket, and a client that is too slow is one whose next event is no longer kept: it is
 * closed with 1013, and may come back with the sequence number it has seen last. One that does not want to follow is
 * closed with 1000 once it has what there was when it came.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { EventSource } from '../control/contract.ts';
import { TapswitchError } from '../errors.ts';
import type { Event } from '../resources/resources.ts';
import { problemOf } from './problem.ts';
import { refuseSocket } from './raw-answer.ts';

export const EVENTS_PATH = '/v1/events';

export const MAX_BUFFERED = 262_144; // bytes
const MAX_SOCKETS = 256;
const KNOWN = ['since', 'run', 'follow'];
const MAX_MESSAGE = 1024; // bytes; clients have nothing to say
const PING_MS = 20_000;

const NORMAL = 1000; // RFC 6455, section 7.4.1
const GOING_AWAY = 1001;
const TRY_AGAIN_LATER = 1013; // IANA's registry of close codes

/** Takes an upgrade; false where the path is none of its own, and nothing was done. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;

export interface EventsSocket {
  readonly upgrade: UpgradeHandler;
  /** Closes every socket with 1001, and takes no more. */
  close(): void;
  /** Ends the sockets that have not answered the close. */
  terminate(): void;
}

interface Wanted {
  /** Sequence number to begin after; undefined for what happens from now on */
  readonly since: number | undefined;
  readonly follow: boolean;
}

class Follower {
  readonly #socket: WebSocket;
  readonly #events: EventSource;
  readonly #unsubscribe: () => void;
  /** Sequence number of the last event sent */
  #cursor: number;
  /** Sequence number after which it has all that it wants */
  readonly #until: number;
  #isAlive = true;

  constructor(socket: WebSocket, events: EventSource, { since, follow }: Wanted) {
    this.#socket = socket;
    this.#events = events;
    const first = since === undefined ? undefined : events.since(since)[0];
    // Events before the first kept are gone before this client came: it sees that by the number of the first it gets.
    this.#cursor = first === undefined ? events.last : first.sequence - 1;
    this.#until = follow ? Number.POSITIVE_INFINITY : events.last;
    this.#unsubscribe = events.subscribe((event) => this.#heard(event));
    const pings = setInterval(() => this.#ping(), PING_MS);
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('error', () => socket.terminate()); // of the connection or the protocol; 'close' follows
    socket.on('close', () => {
      clearInterval(pings);
      this.#unsubscribe();
    });
    this.#pump();
  }

  #ping(): void {
    if (!this.#isAlive) {
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#socket.ping();
  }

  get #hasRoom(): boolean {
    return this.#socket.readyState === this.#socket.OPEN && this.#socket.bufferedAmount < MAX_BUFFERED;
  }

  #send(event: Event): void {
    this.#cursor = event.sequence;
    this.#socket.send(JSON.stringify(event), () => {
      if (this.#cursor < this.#events.last) this.#pump();
    });
  }

  #heard(event: Event): void {
    if (event.sequence === this.#cursor + 1 && event.sequence < this.#until && this.#hasRoom)
      this.#send(event);
    else if (event.sequence > this.#cursor) this.#pump();
  }

  #pump(): void {
    const next = this.#events.since(this.#cursor);
    if (next.length > 0 && next[0].sequence !== this.#cursor + 1) {
      this.#unsubscribe();
      this.#socket.close(TRY_AGAIN_LATER, 'too slow: events were lost');
      return;
    }
    for (const event of next) {
      if (this.#cursor >= this.#until || !this.#hasRoom) break;
      this.#send(event);
    }
    if (this.#cursor < this.#until) return;
    this.#unsubscribe();
    this.#socket.close(NORMAL);
  }
}

/** Throws BAD_REQUEST. */
function wanted(query: URLSearchParams, run: string): Wanted {
  for (const key of query.keys()) {
    if (KNOWN.includes(key)) continue;
    throw new TapswitchError('BAD_REQUEST', 'Unknown query parameter', `Known here: ${KNOWN.join(', ')}.`);
  }
  const follow = query.get('follow') ?? 'true';
  if (follow !== 'true' && follow !== 'false') {
    throw new TapswitchError('BAD_REQUEST', 'follow must be true or false', 'Leave it out for true.');
  }
  return { since: beginning(query, run), follow: follow === 'true' };
}

function beginning(query: URLSearchParams, run: string): number | undefined {
  const since = query.get('since');
  if (since === null) return undefined;
  if (!/^\d{1,15}$/.test(since)) {
    throw new TapswitchError('BAD_REQUEST', 'since must be a whole number', 'Give the last one seen, or 0.');
  }
  const isOfThisRun = (query.get('run') ?? run) === run;
  return isOfThisRun ? Number(since) : 0;
}

export function eventsSocket(events: EventSource): EventsSocket {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE, perMessageDeflate: false });
  let isClosed = false;

  function accept(request: IncomingMessage, socket: Duplex, head: Buffer, query: URLSearchParams): void {
    const what = wanted(query, events.run);
    if (isClosed) {
      throw new TapswitchError('SWITCH_CLOSED', 'tapswitch is shutting down', 'Ask again once it is up.');
    }
    if (server.clients.size >= MAX_SOCKETS) {
      throw new TapswitchError('API_BUSY', `${MAX_SOCKETS} clients follow the events`, 'Close one of them.');
    }
    server.handleUpgrade(request, socket, head, (opened) => new Follower(opened, events, what));
  }

  return {
    upgrade(request, socket, head) {
      const [path, query] = (request.url ?? '').split('?', 2);
      if (path !== EVENTS_PATH) return false;
      try {
        accept(request, socket, head, new URLSearchParams(query));
      } catch (error) {
        refuseSocket(socket, problemOf(error));
      }
      return true;
    },
    close() {
      isClosed = true;
      for (const socket of server.clients) socket.close(GOING_AWAY, 'shutting down');
    },
    terminate() {
      for (const socket of server.clients) socket.terminate();
    },
  };
}
