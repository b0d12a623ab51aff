/**
 * Who may ask at a TCP listener: those with the token, under a name that is the listener's.
 *
 * A page of any site can make a browser send requests to loopback, and by DNS rebinding under a name of its own. The
 * token keeps it from being answered; the check of the Host header keeps it out even where a token leaked into it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { TapswitchError } from '../errors.ts';

const OTHERS_MAY = 0o077;
const SHORTEST_TOKEN = 16;
const LOOPBACK = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;

export type Gate = (request: IncomingMessage) => void;

function tokenError(path: string, what: string, cause?: unknown): TapswitchError {
  return new TapswitchError(
    'TOKEN_UNREADABLE',
    `api.tokenFile ${path}: ${what}`,
    `Make it for its owner alone: (umask 077; openssl rand -hex 32 > ${path}).`,
    cause,
  );
}

/** The token in the file at `path`. Throws TOKEN_UNREADABLE, also where others than its owner may read it. */
export function readToken(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw tokenError(path, `cannot be read (${(error as NodeJS.ErrnoException).code})`, error);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw tokenError(path, 'is no file');
    if ((stat.mode & OTHERS_MAY) !== 0) throw tokenError(path, 'others than its owner may use it');
    const token = readFileSync(fd, 'utf8').trim();
    if (token.length < SHORTEST_TOKEN) throw tokenError(path, `has fewer than ${SHORTEST_TOKEN} characters`);
    return token;
  } finally {
    closeSync(fd);
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Host of a Host header, in lower case, without port and brackets. */
function hostOf(header: string): string {
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::\d+)?$/.exec(header);
  return (bracketed?.[1] ?? header.replace(/:\d+$/, '')).toLowerCase();
}

/** An IPv4 address that a socket for both families shows as IPv6. */
function unmapped(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:/, '');
}

/** Whether a request has the bearer token. */
export function bearerCheck(token: string): (request: IncomingMessage) => boolean {
  const expected = digest(token);
  return (request) => {
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    return timingSafeEqual(digest(given), expected);
  };
}

/**
 * Checks for a listener at `listenHost`; a request that does not pass throws HOST_REFUSED or UNAUTHORIZED.
 * @param hosts further names the Host header may have
 */
export function tcpGate(token: string, listenHost: string, hosts: readonly string[]): Gate {
  const isBearer = bearerCheck(token);
  const names = new Set(['localhost', '::1', listenHost, ...hosts].map((name) => name.toLowerCase()));
  return (request) => {
    const host = hostOf(request.headers.host ?? '');
    if (!names.has(host) && !LOOPBACK.test(host) && host !== unmapped(request.socket.localAddress)) {
      throw new TapswitchError(
        'HOST_REFUSED',
        'The Host header has a name this listener is not known by',
        'Ask by its address, or add the name to api.hosts.',
      );
    }
    if (!isBearer(request)) {
      throw new TapswitchError(
        'UNAUTHORIZED',
        'The bearer token is missing or wrong',
        'Send "Authorization: Bearer TOKEN" with the token of api.tokenFile.',
      );
    }
  };
}

/** The unix socket's file mode is its check. */
export const openGate: Gate = () => {};

/** Refuses a WebSocket that a page of another origin opens: browsers ask no permission for those. */
export function checkOrigin(request: IncomingMessage): void {
  const { origin, host } = request.headers;
  if (origin === undefined) return;
  if (URL.canParse(origin) && new URL(origin).host === host?.toLowerCase()) return;
  throw new TapswitchError(
    'ORIGIN_REFUSED',
    'WebSockets of the API are not for pages of other origins',
    'Leave the Origin header out, or use the origin of the API.',
  );
}
