/** What the commands that capture have in common: VMs and a filter as words, and when it ends. */
import { type Command, Option } from 'commander';
import type { Client } from '../client/client.ts';
import { EXIT } from '../errors.ts';
import { wholeNumber } from './connection.ts';

const MAX_SECONDS = 86_400;
const MAX_COUNT = 1_000_000_000;

export function durationOption(): Option {
  return new Option('--duration <seconds>', 'end after this time').argParser(wholeNumber(1, MAX_SECONDS));
}

export function countOption(): Option {
  return new Option('--count <frames>', 'end after so many frames').argParser(wholeNumber(1, MAX_COUNT));
}

/** Tells the VMs among the words from the filter behind them. */
async function splitWords(
  client: Client,
  words: readonly string[],
  all: boolean,
): Promise<{ vms: string[] | undefined; filter: string }> {
  if (all) return { vms: undefined, filter: words.join(' ') };
  const known = new Set((await client.vms()).map(({ id }) => id));
  const first = words.findIndex((word) => !known.has(word));
  const count = first < 0 ? words.length : first;
  return { vms: words.slice(0, count), filter: words.slice(count).join(' ') };
}

/** What the words name, or the command's end: `--all` is never meant by leaving something out. */
export async function chosen(command: Command, client: Client, words: readonly string[], all: boolean) {
  const split = await splitWords(client, words, all);
  if (split.vms?.length !== 0) return split;
  const problem =
    words.length === 0 ? 'name VMs, or say --all' : `there is no VM ${words[0]} (for every port: --all)`;
  command.error(`error: ${problem}`, { exitCode: EXIT.usage });
}
