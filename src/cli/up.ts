/** `tapswitch up`: the switch as a service, from a configuration file. */
import { closeSync, fstatSync, writeSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/load.ts';
import { startSwitch } from '../engine/create-switch.ts';
import { createLogger } from '../telemetry/logger.ts';
import { endSignal } from './signals.ts';

const STDERR = 2;
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

function descriptor(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) <= STDERR) {
    throw new InvalidArgumentError('It is the number of an open descriptor above 2.');
  }
  try {
    fstatSync(Number(text));
  } catch {
    throw new InvalidArgumentError('No such descriptor is open.');
  }
  return Number(text);
}

function level(text: string): string {
  if (!LEVELS.includes(text)) throw new InvalidArgumentError(`It is one of ${LEVELS.join(', ')}.`);
  return text;
}

function tellReady(fd: number): void {
  writeSync(fd, '1\n');
  closeSync(fd);
}

interface UpOptions {
  config: string;
  readyFd?: number;
  logLevel: string;
}

async function up({ config, readyFd, logLevel }: UpOptions): Promise<void> {
  const checked = loadConfig(config);
  const ended = endSignal();
  const log = createLogger(logLevel);
  const running = await startSwitch(checked, log);
  log.info('ready');
  if (readyFd !== undefined) tellReady(readyFd);
  const signal = await ended;
  log.info({ signal }, 'stopping');
  await running.close();
}

export function upCommand(): Command {
  return new Command('up')
    .description('run the switch until SIGINT or SIGTERM')
    .requiredOption('--config <file>', 'configuration, YAML or JSON')
    .option('--ready-fd <n>', 'descriptor to write "1" to once the switch runs', descriptor)
    .option('--log-level <level>', LEVELS.join(', '), level, 'info')
    .addHelpText('after', '\nExample:\n  tapswitch up --config /etc/tapswitch.yaml')
    .action(up);
}
