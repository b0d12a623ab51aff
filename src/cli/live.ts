/** Commands that follow the daemon: events, top, reload. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Client, Event, Vm } from '../client/client.ts';
import { clientOf, examples, wholeNumber } from './connection.ts';
import {
  type Format,
  formatOption,
  listing,
  type OutputOptions,
  printOne,
  printRows,
  type Shape,
  tableText,
  write,
} from './output.ts';
import { endSignal } from './signals.ts';

const REDRAW = 1000; // ms
const CLEAR = '\x1b[H\x1b[J';

export const EVENTS: Shape<Event> = {
  id: ({ sequence }) => String(sequence),
  columns: {
    SEQUENCE: ({ sequence }) => sequence,
    TIME: ({ time }) => time,
    TYPE: ({ type }) => type,
    VM: ({ vm }) => vm,
    DETAIL: (event) =>
      event.detail ??
      [event.network, event.host, event.port, event.reason, event.frames, event.worker]
        .filter((part) => part !== undefined)
        .join(' '),
  },
};

/** One event, while others are still to come: a line of JSON, a YAML document or a line of text. */
function printEvent(event: Event, { output, quiet }: OutputOptions): void {
  const shown = quiet === true ? event.sequence : event;
  if (output === 'json') write(`${JSON.stringify(shown)}\n`);
  else if (output === 'yaml') write(`---\n${stringify(shown)}`);
  else if (quiet === true) write(`${event.sequence}\n`);
  else write(tableText([event], EVENTS).split('\n').slice(1).join('\n'));
}

async function kept(client: Client, since: number): Promise<Event[]> {
  const found: Event[] = [];
  for await (const event of client.events({ since, follow: false })) found.push(event);
  return found;
}

function eventsCommand(): Command {
  return listing(new Command('events'))
    .description('list the events the daemon has kept, or follow them')
    .option('--since <n>', 'only those after this sequence number', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('-f, --follow', 'go on until the daemon or a signal ends it')
    .addHelpText('after', examples('tapswitch events', 'tapswitch events --follow --since 120 -o json'))
    .action(async (options: OutputOptions & { since?: number; follow?: boolean }, command: Command) => {
      const client = clientOf(command);
      if (options.follow !== true) {
        printRows(await kept(client, options.since ?? 0), EVENTS, options);
        return;
      }
      const over = new AbortController();
      endSignal().then(() => over.abort());
      for await (const event of client.events({ since: options.since, signal: over.signal })) {
        printEvent(event, options);
      }
      process.exit(0); // the handlers of signals would keep it
    });
}

const TOP: Shape<Vm> = {
  id: ({ id }) => id,
  columns: {
    ID: ({ id }) => id,
    STATE: ({ state }) => state,
    IP: ({ ip, leased }) => ip ?? leased,
    'FRAMES FROM': ({ counters }) => counters.rxFrames,
    'BYTES FROM': ({ counters }) => counters.rxBytes,
    'FRAMES TO': ({ counters }) => counters.txFrames,
    'BYTES TO': ({ counters }) => counters.txBytes,
    DROPS: ({ counters }) => Object.values(counters.drops).reduce((sum, frames) => sum + frames, 0),
  },
};

function busiestFirst(vms: readonly Vm[]): Vm[] {
  const bytes = ({ counters }: Vm) => counters.rxBytes + counters.txBytes;
  return vms.toSorted((a, b) => bytes(b) - bytes(a));
}

function topCommand(): Command {
  return listing(new Command('top'))
    .description('show the VMs by traffic: live on a terminal, once elsewhere')
    .addHelpText('after', examples('tapswitch top', 'tapswitch top --output json'))
    .action(async (options: OutputOptions, command: Command) => {
      const client = clientOf(command);
      const live = process.stdout.isTTY && options.output === 'table' && options.quiet !== true;
      do {
        const vms = busiestFirst(await client.vms());
        if (live) {
          const lines = tableText(vms, TOP).split('\n');
          write(`${CLEAR}${lines.slice(0, process.stdout.rows - 1).join('\n')}`);
          await sleep(REDRAW);
        } else printRows(vms, TOP, options);
      } while (live);
    });
}

function reloadCommand(): Command {
  return new Command('reload')
    .description('have the daemon read its configuration again, and apply what changed')
    .addOption(formatOption())
    .addHelpText('after', examples('tapswitch reload'))
    .action(async ({ output }: { output: Format }, command: Command) => {
      const done = await clientOf(command).reload();
      const shape = {
        id: () => '',
        columns: {
          CHANGED: () => done.changes.join('; '),
          'AFTER A RESTART': () => done.needRestart.join('; '),
        },
      };
      printOne(done, shape, { output });
    });
}

export function liveCommands(): Command[] {
  return [eventsCommand(), topCommand(), reloadCommand()];
}
