#!/usr/bin/env node
/** The `tapswitch` command. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { EXIT } from '../errors.ts';
import { configCommand } from './config.ts';
import { demoCommand } from './demo.ts';
import { fail } from './fail.ts';
import { upCommand } from './up.ts';

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return version as string;
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

const program = new Command('tapswitch')
  .description('A userspace Ethernet switch for microVM TAP devices')
  .version(version(), '--version', 'print the version')
  .helpCommand(false)
  .exitOverride()
  .addCommand(upCommand())
  .addCommand(demoCommand())
  .addCommand(configCommand());
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  // commander has said what was wrong; help and version are no errors.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : EXIT.usage);
  fail(error);
}
