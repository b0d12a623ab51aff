/** Events of the daemon, as they come over a WebSocket. */
import WebSocket from 'ws';
import type { Event } from '../resources/resources.ts';
import { ApiError, answeredError, unreachable } from './api-error.ts';
import { queryText, type Transport } from './transport.ts';

/** Events not yet read before the socket is paused, and the daemon feels it. */
const HIGH_WATER = 1024;
const NORMAL = [1000, 1001]; // asked for, or the daemon shuts down

export interface EventOptions {
  /** Begin after this sequence number (default with the next event) */
  readonly since?: number | undefined;
  /** The run that `since` belongs to */
  readonly run?: string | undefined;
  /** `false`: end after those there are (default true) */
  readonly follow?: boolean | undefined;
  /** Ends the stream, without an error */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The events, until there are no more to have, the reader stops, the signal comes or the daemon shuts down.
 * @throws ApiError DAEMON_UNREACHABLE, also where the connection breaks; what the daemon answers instead
 */
export async function* eventStream(
  transport: Transport,
  { since, run, follow, signal }: EventOptions = {},
): AsyncGenerator<Event, void, undefined> {
  if (signal?.aborted) return;
  const url = transport.webSocketUrl(`/v1/events${queryText({ since, run, follow })}`);
  const socket = new WebSocket(url, { headers: transport.headers, perMessageDeflate: false });
  const waiting: Event[] = [];
  let ended = false;
  let failure: unknown;
  let wake = () => {};
  const end = (error?: unknown) => {
    failure ??= error;
    ended = true;
    wake();
  };
  const aborted = () => end();

  socket.on('message', (data) => {
    waiting.push(JSON.parse(String(data)) as Event);
    if (waiting.length >= HIGH_WATER) socket.pause();
    wake();
  });
  socket.on('error', (error) => end(ended ? undefined : unreachable(transport.where, error)));
  socket.on('close', (code, reason) => {
    const text = `the stream of events ended with code ${code} ${reason}`.trimEnd();
    end(
      ended || NORMAL.includes(code)
        ? undefined
        : new ApiError('DAEMON_UNREACHABLE', text, 'Ask again, from the last sequence number seen.'),
    );
  });
  socket.on('unexpected-response', (_request, answer) => {
    let body = '';
    answer.setEncoding('utf8');
    answer.on('data', (piece: string) => {
      body += piece;
    });
    answer.on('end', () => end(answeredError(answer.statusCode ?? 0, body)));
  });
  signal?.addEventListener('abort', aborted);

  try {
    for (;;) {
      const event = waiting.shift();
      if (event !== undefined) {
        if (socket.isPaused && waiting.length === 0) socket.resume();
        yield event;
      } else if (ended) {
        if (failure !== undefined) throw failure;
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    ended = true;
    signal?.removeEventListener('abort', aborted);
    if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
    else socket.close(1000);
  }
}
