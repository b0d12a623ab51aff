/** A WebSocket that carries the bytes of a TCP connection, as websockify does: `/v1/vms/{id}/ws/{port}`. */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { closeWith, closingOf, FAILED, GOING_AWAY, NORMAL, UNSUPPORTED_DATA } from './closing.ts';
import { type Source, sendFrom, startHeartbeat } from './flow.ts';

/** Time without a byte either way after which the connection ends, `ms` */
export const IDLE_MS = 3_600_000;
/** Time the guest has to close after the browser did, `ms` */
const LINGER_MS = 5000;

/** The one subprotocol there is; without an offer there is none. */
export function tcpSubprotocol(offered: ReadonlySet<string>): string | false {
  return offered.has('binary') && 'binary';
}

export interface TcpSocketTimes {
  readonly pingMs: number;
  readonly idleMs: number;
}

/** Lets what was sent arrive, then ends the guest's side for good. */
function finish(stream: Duplex): void {
  stream.removeAllListeners('data').resume().end();
  const timer = setTimeout(() => stream.destroy(), LINGER_MS);
  stream.once('close', () => clearTimeout(timer));
}

/**
 * Joins a browser's WebSocket and a connection into the VM, whose errors somebody hears, until either ends.
 * Closes the browser's side with 1000 when the guest has ended, 1001 when it was idle, 1003 for text, 1011 when the
 * guest's side broke or the browser does not answer pings.
 */
export function joinTcp(browser: WebSocket, stream: Duplex, { pingMs, idleMs }: TcpSocketTimes): void {
  let ended = false;
  const heartbeat = startHeartbeat(browser, pingMs, () => {
    closeWith(browser, { code: FAILED, reason: 'no answer to pings' });
  });
  const idle = setTimeout(() => {
    closeWith(browser, { code: GOING_AWAY, reason: 'idle for too long' });
  }, idleMs);

  stream.on('data', (chunk: Buffer) => {
    idle.refresh();
    sendFrom(stream as unknown as Source, browser, chunk, true, heartbeat.alive);
  });
  stream.once('end', () => {
    ended = true;
    closeWith(browser, { code: NORMAL, reason: 'the service closed the connection' });
  });
  stream.once('close', () => {
    if (!ended) closeWith(browser, closingOf(stream.errored));
  });
  if (stream.destroyed) closeWith(browser, closingOf(stream.errored));

  browser.on('message', (data, binary) => {
    idle.refresh();
    if (!binary) {
      closeWith(browser, { code: UNSUPPORTED_DATA, reason: 'binary frames only' });
      return;
    }
    if (browser.readyState === browser.OPEN && stream.writable && !stream.write(data)) browser.pause();
  });
  stream.on('drain', () => browser.resume());
  browser.on('error', () => {}); // ws closes with the code that is due
  browser.once('close', () => {
    clearTimeout(idle);
    finish(stream);
  });
}
