/** What answers at a TCP port of a guest: opened from the gateway, listened to for a banner, and asked for a page. */
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

/** Opens the port and sees what answers; 1.5 s at the longest. Never throws. */
export async function askService(dial: Dial, port: number): Promise<TcpFacts> {
  let stream: Duplex;
  try {
    stream = await dial(port, CONNECT_MS);
  } catch (error) {
    const code = error instanceof TapswitchError ? error.code : '';
    return { port, outcome: OUTCOMES[code] ?? 'failed' };
  }
  stream.on('error', () => {});
  try {
    let heard = await first(stream, BANNER_MS);
    if (heard === undefined) {
      stream.write(REQUEST);
      heard = await first(stream, ANSWER_MS);
    }
    if (heard === undefined) return { port, outcome: 'open' };
    if (typeof heard === 'string') return { port, outcome: 'open', said: heard };
    return { port, outcome: 'open', ended: true };
  } finally {
    stream.destroy();
  }
}
