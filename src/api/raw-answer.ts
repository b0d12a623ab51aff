/** Problems as the answer of a bare response or socket, where the framework has no part. */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Problem } from '../resources/resources.ts';
import { PROBLEM_TYPE } from './problem.ts';

const UNAUTHORIZED = 401;

function headersOf(problem: Problem, body: string): Record<string, string | number> {
  return {
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...(problem.status === UNAUTHORIZED && { 'WWW-Authenticate': 'Bearer realm="tapswitch"' }),
    Connection: 'close',
  };
}

/** Answers a request, and ends its connection: the rest of it is not read. */
export function answerProblem(response: ServerResponse, problem: Problem): void {
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, headersOf(problem, body)).end(body);
}

/** Answers an upgrade, or a request that could not be read, and ends the connection. */
export function refuseSocket(socket: Duplex, problem: Problem): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(problem);
  const lines = Object.entries(headersOf(problem, body)).map(([name, value]) => `${name}: ${value}`);
  const status = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`;
  socket.once('finish', () => socket.destroy());
  socket.end(`${[status, ...lines].join('\r\n')}\r\n\r\n${body}`);
}
