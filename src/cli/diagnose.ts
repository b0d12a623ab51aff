/** `tapswitch diagnose`: why a VM does not answer. */
import { Command } from 'commander';
import type { Diagnosis } from '../client/client.ts';
import { EXIT } from '../errors.ts';
import { clientOf, examples, guestPort } from './connection.ts';
import { type Shape, tableText, write } from './output.ts';

type Hop = Diagnosis['hops'][number];

const HOPS: Shape<Hop> = {
  columns: {
    HOP: ({ hop }) => hop,
    STATUS: ({ status }) => status,
    EVIDENCE: ({ evidence }) => evidence,
  },
  id: ({ hop }) => hop,
};

function textOf({ hops, verdict }: Diagnosis): string {
  const { code, sentence, nextStep } = verdict;
  return `${tableText(hops, HOPS)}\n${code}: ${sentence} ${nextStep}\n`;
}

export function diagnoseCommand(): Command {
  return new Command('diagnose')
    .description('say why a VM, or a TCP port of it, does not answer')
    .argument('<id>', 'id of the VM')
    .option('--port <n>', 'port of the guest to ask about', guestPort)
    .option('--json', 'as JSON')
    .addHelpText('after', examples('tapswitch diagnose vm-1', 'tapswitch diagnose vm-1 --port 6080 --json'))
    .action(async (id: string, { port, json }: { port?: number; json?: boolean }, command: Command) => {
      const diagnosis = await clientOf(command).diagnose(id, port);
      write(json === true ? `${JSON.stringify(diagnosis, null, 2)}\n` : textOf(diagnosis));
      if (diagnosis.verdict.code !== 'HEALTHY') process.exitCode = EXIT.unavailable;
    });
}
