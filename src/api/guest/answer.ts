/** Our own answers, as opposed to those of guests: problems and redirects, on a response or a bare socket. */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Problem } from '../../resources/resources.ts';

/** Nothing of ours is to be shown in a frame, kept, guessed at, or told to where a link leads. */
const OWN_HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
} as const;

const UNAUTHORIZED = 401;

function headersOf(problem: Problem, length: number): Record<string, string | number> {
  return {
    ...OWN_HEADERS,
    'Content-Type': 'application/problem+json',
    'Content-Length': length,
    ...(problem.status === UNAUTHORIZED && { 'WWW-Authenticate': 'Bearer' }),
  };
}

/** Answers a request with `problem`; only ends the connection where an answer has begun. */
export function answerProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify(problem));
  response.writeHead(problem.status, headersOf(problem, body.length)).end(body);
}

/** Answers an upgrade with `problem` in place of 101, and ends the connection. */
export function refuseUpgrade(socket: Duplex, problem: Problem): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(problem);
  const headers = { ...headersOf(problem, Buffer.byteLength(body)), Connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`, ...lines];
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** @param cookie a Set-Cookie that goes with it */
export function redirect(response: ServerResponse, status: number, location: string, cookie?: string): void {
  const headers = { ...OWN_HEADERS, Location: location, 'Content-Length': 0 };
  response.writeHead(status, cookie === undefined ? headers : { ...headers, 'Set-Cookie': cookie }).end();
}

export function answerText(response: ServerResponse, text: string): void {
  const headers = { ...OWN_HEADERS, 'Content-Type': 'text/plain; charset=utf-8' };
  response.writeHead(200, headers).end(text);
}
