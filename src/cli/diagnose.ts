/** `tapswitch diagnose`: why a VM does not answer. */
import { Command } from 'commander';
import type { Diagnosis } from '../client/client.ts';
import { exitStatusOf } from '../diagnosis/verdicts.ts';
import { clientOf, examples, guestPort } from './connection.ts';
import { EVENTS } from './live.ts';
import { type Shape, tableText, write } from './output.ts';

/** Of the VM's last events, how many are shown; `--json` has all */
const SHOWN_EVENTS = 8;

type Hop = Diagnosis['hops'][number];

const HOPS: Shape<Hop> = {
  columns: {
    HOP: ({ hop }) => hop,
    STATUS: ({ status }) => status,
    EVIDENCE: ({ evidence }) => evidence,
  },
  id: ({ hop }) => hop,
};

function textOf({ hops, recent, verdict }: Diagnosis): string {
  const { code, sentence, nextStep } = verdict;
  const events = recent.length === 0 ? '' : `\n${tableText(recent.slice(-SHOWN_EVENTS), EVENTS)}`;
  return `${tableText(hops, HOPS)}${events}\n${code}: ${sentence} ${nextStep}\n`;
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
      process.exitCode = exitStatusOf(diagnosis.verdict.code);
    });
}
