/** `tapswitch why`: what the switch would do with a flow, rule by rule. */
import { Command } from 'commander';
import type { Explanation } from '../client/client.ts';
import { clientOf, examples } from './connection.ts';
import { type Format, formatOption, type Shape, structured, tableText, write } from './output.ts';

type Step = Explanation['steps'][number];

const STEPS: Shape<Step> = {
  columns: {
    RULE: ({ rule }) => rule,
    OUTCOME: ({ outcome }) => outcome,
    DETAIL: ({ detail }) => detail,
  },
  id: ({ rule }) => rule,
};

/** `refuse (egress-denied), by built in: deny 10.0.0.0/8` */
function outcomeText({ action, to, reason, by }: Explanation['outcome']): string {
  const words = [action, to, reason === undefined ? undefined : `(${reason})`];
  return `${words.filter((word) => word !== undefined).join(' ')}, by ${by}`;
}

export function whyCommand(): Command {
  return new Command('why')
    .description('say what the switch would do with a flow, rule by rule')
    .argument('<flow>', 'SOURCE -> [tcp|udp|icmp|arp|frame] DESTINATION, as one word')
    .addOption(formatOption())
    .addHelpText(
      'after',
      examples(
        "tapswitch why 'vm-1 -> tcp 10.0.0.5:443'",
        "tapswitch why 'vm-1 from 10.0.0.9 -> gateway' -o json",
        "tapswitch why 'host -> 127.0.0.1:6080'",
      ),
    )
    .action(async (flow: string, { output }: { output: Format }, command: Command) => {
      const explanation = await clientOf(command).explain(flow);
      if (output === 'table')
        write(`${tableText(explanation.steps, STEPS)}\n${outcomeText(explanation.outcome)}\n`);
      else write(structured(explanation, output));
    });
}
