/** Headers on their way through: what is for us or for one connection only does not get to the other side. */
import type { IncomingMessage } from 'node:http';
import { belowPrefix, guestCookies, guestSetCookie } from './cookies.ts';
import { invalid } from './failure.ts';
import { LINK_NAME, type Target } from './target.ts';

/** Header with the seconds a request may wait for a VM that does not answer yet. */
export const WAIT_HEADER = 'x-tapswitch-wait';
/** Longest such wait, `s` */
export const MAX_WAIT_SECONDS = 600;

// RFC 9110 section 7.6.1, and Expect, which our server has answered
const HOP_BY_HOP = [
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
const OURS = ['authorization', 'forwarded', WAIT_HEADER];

type Pair = readonly [name: string, value: string];

function* pairs(raw: readonly string[]): Generator<Pair> {
  for (let at = 0; at < raw.length; at += 2) yield [raw[at] as string, raw[at + 1] as string];
}

function hopByHop(raw: readonly string[]): Set<string> {
  const named = [...pairs(raw)]
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(','))
    .map((name) => name.trim().toLowerCase());
  return new Set([...HOP_BY_HOP, ...named]);
}

function forwarded(request: IncomingMessage, target: Target): Pair[] {
  const address = request.socket.remoteAddress;
  const host = request.headers.host ?? '';
  const node = address?.includes(':') ? `"[${address}]"` : address;
  // Quoted: RFC 7239 section 4 has no colon in a token.
  const parts = [...(node === undefined ? [] : [`for=${node}`]), `host="${host}"`, 'proto=http'];
  return [
    ['Forwarded', parts.join(';')],
    ...(address === undefined ? [] : [['X-Forwarded-For', address] as const]),
    ['X-Forwarded-Host', host],
    ['X-Forwarded-Proto', 'http'],
    ['X-Forwarded-Prefix', target.prefix],
  ];
}

/**
 * What the guest gets to see of a request's headers. Its Host stays: the guest compares Origin with it, and makes
 * addresses of it.
 */
export function toGuest(request: IncomingMessage, target: Target): Pair[] {
  const dropped = hopByHop(request.rawHeaders);
  for (const name of OURS) dropped.add(name);
  const kept = [...pairs(request.rawHeaders)].flatMap(([name, value]): Pair[] => {
    const lower = name.toLowerCase();
    if (dropped.has(lower) || lower.startsWith('x-forwarded-')) return [];
    if (lower === 'referer' && value.includes(`${LINK_NAME}=`)) return [];
    if (lower !== 'cookie') return [[name, value]];
    const cookies = guestCookies(value);
    return cookies === undefined ? [] : [[name, cookies]];
  });
  return [...kept, ...forwarded(request, target)];
}

/** An address of the guest's below the prefix, where it is one of this host. */
function mappedLocation(value: string, host: string | undefined, prefix: string): string {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(value);
  if (absolute !== null && absolute[1] === host) {
    const rest = absolute[2] as string;
    return belowPrefix(rest.startsWith('/') ? rest : `/${rest}`, prefix);
  }
  return value.startsWith('/') && !value.startsWith('//') ? belowPrefix(value, prefix) : value;
}

/** The guest's headers for the browser, as `writeHead` takes them. */
export function fromGuest(raw: readonly string[], host: string | undefined, { prefix }: Target): string[] {
  const dropped = hopByHop(raw);
  return [...pairs(raw)].flatMap(([name, value]): string[] => {
    const lower = name.toLowerCase();
    if (dropped.has(lower)) return [];
    if (lower === 'location') return [name, mappedLocation(value, host, prefix)];
    if (lower !== 'set-cookie') return [name, value];
    const cookie = guestSetCookie(value, prefix);
    return cookie === undefined ? [] : [name, cookie];
  });
}

/**
 * How long the request is ready to wait, `ms`; undefined where it does not say.
 * @throws TapswitchError BAD_REQUEST
 */
export function waitOf(request: IncomingMessage): number | undefined {
  const text = request.headers[WAIT_HEADER];
  if (text === undefined) return undefined;
  const seconds = typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= MAX_WAIT_SECONDS)) {
    throw invalid(
      `${WAIT_HEADER} is no time`,
      `Use a whole number of seconds from 0 to ${MAX_WAIT_SECONDS}.`,
    );
  }
  return seconds * 1000;
}
