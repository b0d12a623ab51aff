/**
 * What WebSockets of both kinds have in common: backpressure, and a heartbeat.
 *
 * Backpressure: a source is paused while more than HIGH_WATER bytes of it wait to be sent, so that what is in memory is
 * that, one read, and one message.
 * Heartbeat: a ping every so often. Any sign of life counts (a message, a pong, bytes that were taken), or a slow
 * reader's pong behind a megabyte would be taken for silence. A side that we do not read from is not judged.
 */
import type { RawData, WebSocket } from 'ws';

/** Bytes that may wait to be sent to a WebSocket before its source is paused */
export const HIGH_WATER = 1024 * 1024;
/** Largest message, `bytes`: a message is passed on as a whole */
export const MAX_MESSAGE = 16 * 1024 * 1024;
/** Interval of pings, `ms`; two in a row without a sign of life end the connection */
export const PING_MS = 30_000;
const MISSED_PINGS = 2;

export interface Source {
  pause(): unknown;
  resume(): unknown;
  isPaused: boolean | (() => boolean);
}

/** Sends what `source` gave, and pauses it where too much waits. `sent` is told when bytes have been taken. */
export function sendFrom(
  source: Source,
  to: WebSocket,
  data: RawData,
  binary: boolean,
  sent: () => void,
): void {
  if (to.readyState !== to.OPEN) return;
  to.send(data as Buffer, { binary }, (error) => {
    if (error != null) return; // its close event follows
    sent();
    if (to.bufferedAmount < HIGH_WATER) source.resume();
  });
  if (to.bufferedAmount >= HIGH_WATER) source.pause();
}

export interface Heartbeat {
  /** A sign of life */
  alive(): void;
  stop(): void;
}

/** Pings `socket` until it closes; calls `dead` once it has missed two. */
export function startHeartbeat(socket: WebSocket, pingMs: number, dead: () => void): Heartbeat {
  let missed = 0;
  const alive = () => {
    missed = 0;
  };
  const timer = setInterval(() => {
    if (socket.isPaused) return;
    if (missed >= MISSED_PINGS) {
      clearInterval(timer);
      dead();
      return;
    }
    missed += 1;
    socket.ping();
  }, pingMs);
  const stop = () => clearInterval(timer);
  for (const event of ['pong', 'ping', 'message']) socket.on(event, alive);
  socket.once('close', stop);
  return { alive, stop };
}
