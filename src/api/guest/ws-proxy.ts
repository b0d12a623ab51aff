/**
 * WebSockets to a service of WebSockets in the VM: `/v1/vms/{id}/http/{port}/*`.
 *
 * Both sides end here: messages pass whole, and a guest that vanishes is told to the browser with a code of ours, where
 * a tunnel would have handed on the bare end of the connection. The guest is asked first, so that its refusal is an
 * HTTP status, and the subprotocol is its choice.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { type Closing, closeWith, FAILED, passedOn, TOO_BIG, toldGuest } from './closing.ts';
import { invalid, serviceFailed } from './failure.ts';
import { MAX_MESSAGE, sendFrom, startHeartbeat } from './flow.ts';
import { toGuest } from './headers.ts';
import type { Target } from './target.ts';

/** Time the guest has to answer the upgrade, `ms` */
export const HANDSHAKE_MS = 30_000;

const KEY = /^[+/0-9A-Za-z]{22}==$/; // 16 bytes in base64
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/; // RFC 9110, section 5.6.2

function subprotocols(request: IncomingMessage): string[] {
  const offered = request.headers['sec-websocket-protocol'];
  return offered === undefined ? [] : offered.split(',').map((name) => name.trim());
}

/**
 * Whether a request is a handshake of WebSockets, before anything is opened for it: RFC 6455, section 4.2.1.
 * @throws TapswitchError BAD_REQUEST
 */
export function checkUpgrade(request: IncomingMessage): void {
  const { headers, method } = request;
  if (headers.upgrade?.toLowerCase() !== 'websocket' || method !== 'GET') {
    throw invalid('Only a GET can be upgraded, and only to websocket', 'Leave the Upgrade header out.');
  }
  const key = headers['sec-websocket-key'] ?? '';
  if (!KEY.test(key) || headers['sec-websocket-version'] !== '13') {
    throw invalid('The handshake has no key, or another version than 13', 'Use a client of RFC 6455.');
  }
  const offered = subprotocols(request);
  if (!offered.every((name) => TOKEN.test(name)) || new Set(offered).size < offered.length) {
    throw invalid('Sec-WebSocket-Protocol is no list of different tokens', 'Correct it.');
  }
}

function headersFor(request: IncomingMessage, target: Target): Record<string, string> {
  const pairs = toGuest(request, target).filter(([name]) => !/^sec-websocket-/i.test(name));
  return Object.fromEntries(pairs);
}

/**
 * Opens a WebSocket to the guest over `stream`; it is paused until it is joined.
 * @throws TapswitchError SERVICE_FAILED where the guest refuses, or does not answer in time
 */
export function openGuestSocket(
  stream: Duplex,
  request: IncomingMessage,
  target: Target,
  signal: AbortSignal,
): Promise<WebSocket> {
  const { id, port } = target;
  return new Promise((resolve, reject) => {
    const address = `ws://guest${target.path === '' ? '/' : target.path}${target.query}`;
    const socket = new WebSocket(address, subprotocols(request), {
      createConnection: () => stream as never, // any Duplex will do, the types say Socket
      headers: headersFor(request, target),
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE,
      skipUTF8Validation: true, // the browser checks what it is given
    });
    const fail = (what: string, cause?: unknown) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', gone);
      reject(serviceFailed(id, port, what, cause));
      stream.destroy();
    };
    const gone = () => fail('nobody waits for it any more');
    const timer = setTimeout(() => fail('the service did not answer the upgrade in time'), HANDSHAKE_MS);
    signal.addEventListener('abort', gone);
    socket.on('error', (error) => fail(`the service refused the upgrade (${error.message})`, error));
    socket.once('unexpected-response', (_request, answer) => {
      fail(`the service answered the upgrade with ${answer.statusCode}`);
    });
    socket.once('open', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', gone);
      socket.pause();
      resolve(socket);
    });
  });
}

/** The close a browser sees when `error` ended the guest's side; ws has told the guest already. */
function faultOf(error: unknown): Closing {
  const tooBig = (error as { code?: string }).code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
  if (tooBig) return { code: TOO_BIG, reason: 'the message is too big' };
  return { code: FAILED, reason: 'the service broke the protocol of WebSockets' };
}

/**
 * Joins both sides until either ends, and passes its close code on to the other.
 * @param stream what the guest's `socket` runs over
 */
export function joinWebSockets(browser: WebSocket, socket: WebSocket, stream: Duplex, pingMs: number): void {
  const unanswered = { code: FAILED, reason: 'no answer to pings' };
  const browserBeat = startHeartbeat(browser, pingMs, () => closeWith(browser, unanswered));
  const guestBeat = startHeartbeat(socket, pingMs, () => {
    closeWith(browser, unanswered);
    socket.terminate();
  });

  socket.on('message', (data, binary) => sendFrom(socket, browser, data, binary, browserBeat.alive));
  browser.on('message', (data, binary) => sendFrom(browser, socket, data, binary, guestBeat.alive));
  socket.on('error', (error) => closeWith(browser, faultOf(error)));
  browser.on('error', (error) => closeWith(socket, faultOf(error)));
  socket.once('close', (code, reason) => {
    closeWith(browser, passedOn(code, reason.toString(), stream.errored));
  });
  browser.once('close', (code, reason) => {
    const told = toldGuest(code, reason.toString());
    socket.resume();
    if (told === undefined) socket.close();
    else closeWith(socket, told);
  });
  socket.resume();
}
