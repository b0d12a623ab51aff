/** Requests to the API, over its unix socket or TCP. */
import { Agent, type Dispatcher, request } from 'undici';
import { answeredError, unreachable } from './api-error.ts';

const DEFAULT_SOCKET = '/run/tapswitch/api.sock';
const CONNECT_TIMEOUT = 5000; // ms

export interface ClientOptions {
  /** Path of the daemon's unix socket (default TAPSWITCH_SOCKET, else /run/tapswitch/api.sock) */
  readonly socket?: string;
  /** Base URL of a TCP listener instead, such as http://127.0.0.1:8180 */
  readonly url?: string;
  /** Bearer token, which TCP listeners ask for */
  readonly token?: string;
}

export interface Call {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** Headers of an answer, names in lower case. */
export type Headers = Dispatcher.ResponseData['headers'];

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export class Transport {
  readonly headers: Readonly<Record<string, string>>;
  /** Socket or URL, for messages */
  readonly where: string;
  private readonly base: string;
  private readonly socket: string | undefined;
  private readonly agent: Agent;

  constructor({ socket, url, token }: ClientOptions) {
    this.socket = url === undefined ? (socket ?? process.env.TAPSWITCH_SOCKET ?? DEFAULT_SOCKET) : undefined;
    this.base = (url ?? 'http://localhost').replace(/\/+$/, '');
    this.where = this.socket ?? this.base;
    this.headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    // The daemon bounds each call itself; one that waits for a VM may take an hour.
    this.agent = new Agent({
      connect: {
        timeout: CONNECT_TIMEOUT,
        ...(this.socket === undefined ? {} : { socketPath: this.socket }),
      },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** URL of a WebSocket of the API. */
  webSocketUrl(path: string): string {
    return this.socket === undefined
      ? `${this.base.replace(/^http/, 'ws')}${path}`
      : `ws+unix:${this.socket}:${path}`;
  }

  /**
   * Asks, and reads the answer as JSON; undefined for an empty one.
   * @throws ApiError with the daemon's code, or DAEMON_UNREACHABLE
   */
  async call(method: Method, path: string, { query, body, signal }: Call = {}): Promise<unknown> {
    const [status, text] = await this.exchange(method, `${path}${queryText(query)}`, body, signal);
    if (status >= 400) throw answeredError(status, text);
    if (text === '') return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw answeredError(status, text);
    }
  }

  private async ask(
    method: Method,
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await request(`${this.base}${path}`, {
        method,
        dispatcher: this.agent,
        signal: signal ?? null,
        headers: {
          ...this.headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable(this.where, error);
    }
  }

  private async exchange(
    method: Method,
    path: string,
    body: unknown,
    signal: AbortSignal | undefined,
  ): Promise<[status: number, text: string]> {
    const answer = await this.ask(method, path, body, signal);
    try {
      return [answer.statusCode, await answer.body.text()];
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable(this.where, error);
    }
  }

  /**
   * Asks, and reads the answer piece by piece as it comes.
   * @param opened is called with the answer's headers before the first piece
   * @throws ApiError as {@link call}
   */
  async *stream(
    path: string,
    { query, signal }: Call,
    opened: (headers: Headers) => void,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const answer = await this.ask('GET', `${path}${queryText(query)}`, undefined, signal);
    if (answer.statusCode >= 400) throw answeredError(answer.statusCode, await answer.body.text());
    opened(answer.headers);
    try {
      yield* answer.body;
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable(this.where, error);
    }
  }

  /** Ends the connections that are kept open. */
  async close(): Promise<void> {
    await this.agent.destroy();
  }
}

export function queryText(query: Call['query'] = {}): string {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) given.append(key, String(value));
  }
  return given.size === 0 ? '' : `?${given}`;
}
