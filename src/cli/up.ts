/** `tapswitch up`: the switch as a service, from a configuration file. */
import { fstatSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import type { UpOptions } from './run-up.ts';

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

export function upCommand(version: string): Command {
  return new Command('up')
    .description('run the switch until SIGINT or SIGTERM')
    .requiredOption('--config <file>', 'configuration, YAML or JSON')
    .option('--ready-fd <n>', 'descriptor to write "1" to once the switch runs', descriptor)
    .option('--log-level <level>', LEVELS.join(', '), level, 'info')
    .addHelpText('after', '\nExample:\n  tapswitch up --config /etc/tapswitch.yaml')
    .action(async (options: UpOptions) => {
      // Loaded only here: every other command is a client, and has no use for the switch.
      const { runUp } = await import('./run-up.ts');
      await runUp(options, version);
    });
}
