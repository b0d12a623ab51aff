/** Requests to what a VM serves: `/v1/vms/{id}/http/{port}/*`. Bodies stream both ways; nothing is kept of them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher } from 'undici';
import { redirect } from './answer.ts';
import type { Connection, Connections } from './connections.ts';
import { codeOf, serviceFailed } from './failure.ts';
import { fromGuest, toGuest, waitOf } from './headers.ts';
import type { Target } from './target.ts';

const PERMANENT_REDIRECT = 308;
/** May be sent again where a connection that was idle turns out to be closed (RFC 9110, section 9.2.2) */
const REPEATABLE = ['GET', 'HEAD', 'OPTIONS'];

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Aborted once the browser has gone before its answer was complete. */
function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

function whatFailed(error: unknown): string {
  const code = (error as { code?: string }).code ?? '';
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'the service did not answer in time';
  if (code.startsWith('HPE_')) return 'the service does not speak HTTP';
  return 'the service ended the connection without an answer';
}

export class HttpProxy {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /**
   * Answers `request` with what the guest answers.
   * @throws TapswitchError as `ControlPlane.dial`; BAD_REQUEST, SERVICE_FAILED, FLOW_LIMIT; none once the browser
   * has gone
   */
  async handle(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    if (target.path === '') {
      // Relative addresses of the page need the slash.
      redirect(response, PERMANENT_REDIRECT, `${target.prefix}/${target.query}`);
      return;
    }
    const signal = goneSignal(response);
    try {
      const [connection, answer] = await this.#ask(request, target, signal);
      await this.#pass(connection, answer, request, response, target);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      // Read to its end, or a browser that sends before it reads would never see the answer.
      if (!request.complete) request.unpipe().resume();
    }
  }

  async #ask(
    request: IncomingMessage,
    target: Target,
    signal: AbortSignal,
  ): Promise<[Connection, Dispatcher.ResponseData]> {
    const { id, port } = target;
    const waitMs = waitOf(request);
    const options = { signal, ...(waitMs !== undefined && { waitMs }) };
    // What fails destroys the body it was given: the request itself would take its connection with it.
    const body = hasBody(request) ? request.pipe(new PassThrough()) : null;
    const repeatable = body === null && REPEATABLE.includes(request.method as string);
    const connection = await this.#connections.take(id, port, options, !repeatable);
    try {
      return [connection, await send(connection, request, target, body, signal)];
    } catch (error) {
      this.#connections.drop(connection);
      if (signal.aborted || codeOf(error) !== undefined) throw error;
      if (!connection.used) throw serviceFailed(id, port, whatFailed(error), error);
    }
    const second = await this.#connections.take(id, port, options, true);
    try {
      return [second, await send(second, request, target, null, signal)];
    } catch (error) {
      this.#connections.drop(second);
      throw serviceFailed(id, port, whatFailed(error), error);
    }
  }

  /** Ends the browser's connection where the guest's ends early, so that nobody takes the half for the whole. */
  async #pass(
    connection: Connection,
    answer: Dispatcher.ResponseData,
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
  ): Promise<void> {
    try {
      const raw = answer.headers as unknown as string[];
      response.writeHead(answer.statusCode, fromGuest(raw, request.headers.host, target));
      response.flushHeaders();
      await pipeline(answer.body, response);
      this.#connections.giveBack(connection);
    } catch (error) {
      answer.body.on('error', () => {}).destroy();
      this.#connections.drop(connection);
      if (response.headersSent) response.destroy();
      else throw serviceFailed(target.id, target.port, 'the answer has headers that are none', error);
    }
  }
}

function send(
  { client }: Connection,
  request: IncomingMessage,
  target: Target,
  body: Readable | null,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  return client.request({
    path: `${target.path}${target.query}`,
    method: request.method as Dispatcher.HttpMethod,
    headers: toGuest(request, target).flat(),
    body,
    signal,
    responseHeaders: 'raw',
  });
}
