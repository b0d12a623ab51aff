/** What answers at a TCP port of a guest: opened from the gateway, listened to for a banner, and asked for a page. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { TapswitchError } from '../errors.ts';
import type { TcpFacts } from './facts.ts';

/** How long the guest has to take the connection, to say something unasked, and to answer, `ms` */
const CONNECT_MS = 600;
const BANNER_MS = 150;
const ANSWER_MS = 700;
/** Of what it says this much is shown, characters */
const SHOWN = 60;
const REQUEST = 'GET / HTTP/1.0\r\n\r\n';
const HTTP_STATUS = /^HTTP\/1\.[01] (\d{3})/;
const SWITCHING_PROTOCOLS = '101';

export type Dial = (port: number, waitMs: number) => Promise<Duplex>;

const OUTCOMES: Readonly<Record<string, TcpFacts['outcome']>> = {
  PORT_REFUSED: 'refused',
  GUEST_SILENT: 'silent',
  FLOW_LIMIT: 'flow-limit',
};

/** Its first line, as text that cannot move the cursor of a terminal. */
function firstLine(data: Buffer): string {
  const line = data.toString('latin1').split(/\r?\n/, 1)[0] as string;
  return line.slice(0, SHOWN).replaceAll(/[^ -~]/g, '?');
}

/** The first thing that comes in time: text, or the end; undefined where nothing does. */
function first(stream: Duplex, patienceMs: number): Promise<string | { ended: true } | undefined> {
  return new Promise((resolve) => {
    const settle = (what: string | { ended: true } | undefined) => {
      clearTimeout(timer);
      stream.off('data', data).off('end', ended).off('error', ended).pause();
      resolve(what);
    };
    const data = (chunk: Buffer) => settle(firstLine(chunk));
    const ended = () => settle({ ended: true });
    const timer = setTimeout(() => settle(undefined), patienceMs);
    // Paused after the first question, it would say nothing at the second.
    stream.on('data', data).once('end', ended).once('error', ended).resume();
  });
}

/** A request to go on as WebSocket (RFC 6455 section 4.1), with the subprotocol that noVNC asks for. */
function upgradeRequest(): string {
  const key = randomBytes(16).toString('base64');
  const head = ['GET / HTTP/1.1', 'Host: guest', 'Upgrade: websocket', 'Connection: Upgrade'];
  const own = [`Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Protocol: binary'];
  return `${[...head, ...own].join('\r\n')}\r\n\r\n`;
}

/** Whether a service that speaks HTTP takes an upgrade, on a connection of its own; undefined where it says nothing. */
async function askWebSocket(dial: Dial, port: number): Promise<boolean | undefined> {
  const stream = await dial(port, CONNECT_MS).catch(() => undefined);
  if (stream === undefined) return undefined;
  stream.on('error', () => {});
  try {
    stream.write(upgradeRequest());
    const heard = await first(stream, ANSWER_MS);
    const status = typeof heard === 'string' ? HTTP_STATUS.exec(heard)?.[1] : undefined;
    return status === undefined ? undefined : status === SWITCHING_PROTOCOLS;
  } finally {
    stream.destroy();
  }
}

/** Opens the port and sees what answers; 1.5 s at the longest for each of two connections. Never throws. */
export async function askService(dial: Dial, port: number): Promise<TcpFacts> {
  let stream: Duplex;
  try {
    stream = await dial(port, CONNECT_MS);
  } catch (error) {
    const code = error instanceof TapswitchError ? error.code : '';
    return { port, outcome: OUTCOMES[code] ?? 'failed' };
  }
  stream.on('error', () => {});
  let heard: Awaited<ReturnType<typeof first>>;
  try {
    heard = await first(stream, BANNER_MS);
    if (heard === undefined) {
      stream.write(REQUEST);
      heard = await first(stream, ANSWER_MS);
    }
  } finally {
    stream.destroy();
  }
  if (heard === undefined) return { port, outcome: 'open' };
  if (typeof heard !== 'string') return { port, outcome: 'open', ended: true };
  const webSocket = HTTP_STATUS.test(heard) ? await askWebSocket(dial, port) : undefined;
  return { port, outcome: 'open', said: heard, ...(webSocket !== undefined && { webSocket }) };
}
