/** `tapswitch up`: the switch as a service, from a configuration file. */
import { closeSync, fstatSync, writeSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { startService } from '../api/service.ts';
import { loadDaemonConfig } from '../config/load.ts';
import { Daemon } from '../control/daemon.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { endSignal } from './signals.ts';
import { tellSupervisor } from './supervisor.ts';

const STDERR = 2;
/** Where the state is unless TAPSWITCH_STATE says otherwise */
const STATE_DIRECTORY = '/var/lib/tapswitch';
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

/** Reads the configuration again on SIGHUP; a wrong one changes nothing. */
function reloadOnHangup(daemon: Daemon, log: Logger): void {
  process.on('SIGHUP', () => {
    daemon.reload().then(
      ({ changes, needRestart }) => log.info({ changes, needRestart }, 'configuration read again'),
      (error: unknown) => log.error({ err: error }, 'configuration not taken over'),
    );
  });
}

async function up({ config, readyFd, logLevel }: UpOptions, version: string): Promise<void> {
  const load = () => loadDaemonConfig(config);
  const checked = load();
  const ended = endSignal();
  const log = createLogger(logLevel);
  const stateDirectory = process.env.TAPSWITCH_STATE ?? STATE_DIRECTORY;
  const daemon = await Daemon.start({ config: checked, log, stateDirectory, version, load });
  let close: () => Promise<void>;
  try {
    close = await startService({ plane: daemon, config: checked.service, log, version });
  } catch (error) {
    await daemon.close();
    throw error;
  }
  reloadOnHangup(daemon, log);
  log.info('ready');
  if (readyFd !== undefined) tellReady(readyFd);
  const stopTelling = tellSupervisor(daemon, process.env);
  const signal = await ended;
  log.info({ signal }, 'stopping');
  stopTelling();
  await close();
  await daemon.close();
}

export function upCommand(version: string): Command {
  return new Command('up')
    .description('run the switch until SIGINT or SIGTERM')
    .requiredOption('--config <file>', 'configuration, YAML or JSON')
    .option('--ready-fd <n>', 'descriptor to write "1" to once the switch runs', descriptor)
    .option('--log-level <level>', LEVELS.join(', '), level, 'info')
    .addHelpText('after', '\nExample:\n  tapswitch up --config /etc/tapswitch.yaml')
    .action((options: UpOptions) => up(options, version));
}
