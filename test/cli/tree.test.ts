/** What holds for every command: an example in its help, and a section in docs/commands.md with its options. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';

const document = readFileSync(new URL('../../docs/commands.md', import.meta.url), 'utf8');

function leaves(command: Command, path: string): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((one) => leaves(one, `${path} ${one.name()}`));
}

const commands = leaves(createProgram('0'), 'tapswitch');

function help(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (more) => (text += more) }).outputHelp();
  return text;
}

test.each(commands)('%s -> an example, and a section', (path, command) => {
  expect(help(command)).toMatch(/^Examples?:$/m);
  const section = document.split('\n## ').find((one) => one.startsWith(`${path}\n`)) ?? '';
  for (const { flags } of command.options) expect(section).toContain(`\`${flags}\``);
});
