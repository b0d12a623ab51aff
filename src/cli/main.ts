#!/usr/bin/env node
/** The `tapswitch` command. */
import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { EXIT } from '../errors.ts';
import { fail } from './fail.ts';
import { endQuietlyWithReader } from './output.ts';
import { createProgram } from './program.ts';

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return version as string;
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
endQuietlyWithReader();

try {
  await createProgram(version()).parseAsync();
} catch (error) {
  // commander has said what was wrong; help and version are no errors.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : EXIT.usage);
  fail(error);
}
