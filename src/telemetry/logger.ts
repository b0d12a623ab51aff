/** The product's log: pino JSON on stderr, readable lines where stderr is a terminal. */
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/** @param level pino level name, default `info` */
export function createLogger(level = 'info'): Logger {
  const options = { name: 'tapswitch', level, base: {} }; // without pid and hostname
  if (!process.stderr.isTTY) return pino(options, pino.destination(2));
  return pino(options, pretty({ destination: 2, sync: true, ignore: 'name', translateTime: 'HH:MM:ss' }));
}

/** A log that says nothing, for a library user who gives none. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
