/** `tapswitch doctor`: whether the switch can run here, and what to do where it cannot. */
import { Command } from 'commander';
import { EXIT } from '../errors.ts';
import { clientOf, examples } from './connection.ts';
import type { Finding } from './doctor-checks.ts';
import { listing, type OutputOptions, printRows, type Shape } from './output.ts';

const FINDINGS: Shape<Finding> = {
  id: ({ check }) => check,
  columns: {
    STATUS: ({ status }) => status,
    CHECK: ({ check }) => check,
    SEEN: ({ seen }) => seen,
    FIX: ({ fix }) => fix,
  },
};

export function doctorCommand(): Command {
  return listing(new Command('doctor'))
    .description('see whether the switch can run here; status 69 where something fails')
    .option('--config <file>', 'configuration whose addresses are looked for on the host')
    .addHelpText(
      'after',
      examples('tapswitch doctor', 'tapswitch doctor --config /etc/tapswitch.yaml --output json'),
    )
    .action(async (options: OutputOptions & { config?: string }, command: Command) => {
      const { examine } = await import('./doctor-checks.ts');
      const findings = await examine(clientOf(command), options.config);
      const shown = options.quiet === true ? findings.filter(({ status }) => status !== 'ok') : findings;
      printRows(shown, FINDINGS, options);
      if (findings.some(({ status }) => status === 'fail')) process.exitCode = EXIT.unavailable;
    });
}
