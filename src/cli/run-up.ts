/** The daemon from start to end: the switch and its state, the listeners, the service manager, signals. */
import { closeSync, writeSync } from 'node:fs';
import type { Service } from '../api/service.ts';
import { loadDaemonConfig } from '../config/load.ts';
import type { ServiceConfig } from '../config/service.ts';
import { Daemon } from '../control/daemon.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { endSignal } from './signals.ts';
import { tellSupervisor } from './supervisor.ts';

/** Where the state is unless TAPSWITCH_STATE says otherwise */
const STATE_DIRECTORY = '/var/lib/tapswitch';

export interface UpOptions {
  readonly config: string;
  readonly readyFd?: number;
  readonly logLevel: string;
}

function tellReady(fd: number): void {
  writeSync(fd, '1\n');
  closeSync(fd);
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

/** Runs until SIGINT or SIGTERM. */
export async function runUp({ config, readyFd, logLevel }: UpOptions, version: string): Promise<void> {
  const load = () => loadDaemonConfig(config);
  const checked = load();
  const ended = endSignal();
  const log = createLogger(logLevel);
  const stateDirectory = process.env.TAPSWITCH_STATE ?? STATE_DIRECTORY;
  let service: Service | undefined;
  const reloaded = (config: ServiceConfig) => {
    service
      ?.change(config)
      .catch((error: unknown) => log.error({ err: error }, 'listeners stay as they were'));
  };
  const daemon = await Daemon.start({ config: checked, log, stateDirectory, version, load, reloaded });
  try {
    // Not before: it takes a while to load, and frames need none of it.
    const { Service } = await import('../api/service.ts');
    service = await Service.start({ plane: daemon, config: checked.service, log, version });
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
  await service.close();
  await daemon.close();
}
