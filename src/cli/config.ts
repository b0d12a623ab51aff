/** `tapswitch config`: makes, checks, shows and compares configuration files. */
import { Command, Option } from 'commander';
import type { ShowOptions } from './config-actions.ts';

// Loaded only where it is used: the schema takes longer than everything else of a command.
const actions = () => import('./config-actions.ts');

export function configCommand(): Command {
  const command = new Command('config')
    .description('make, check, show and compare configuration files')
    .helpCommand(false);
  command
    .command('init')
    .description('print a commented file to begin with')
    .addHelpText('after', '\nExample:\n  tapswitch config init > /etc/tapswitch/tapswitch.yaml')
    .action(async () => (await actions()).init());
  command
    .command('check <file>')
    .description('say what is wrong with a file, if anything')
    .addHelpText('after', '\nExample:\n  tapswitch config check /etc/tapswitch/tapswitch.yaml')
    .action(async (file: string) => (await actions()).check(file));
  command
    .command('show <file>')
    .description('print the values in effect, defaults filled in')
    .addOption(
      new Option('--output <format>', 'of what is printed').choices(['yaml', 'json']).default('yaml'),
    )
    .option('--origin', 'with where each value came from', false)
    .addHelpText('after', '\nExample:\n  tapswitch config show /etc/tapswitch/tapswitch.yaml --origin')
    .action(async (file: string, options: ShowOptions) => (await actions()).show(file, options));
  command
    .command('diff <old> <new>')
    .description('print what is different, and what of it needs a restart; status 1 if anything is')
    .addHelpText('after', '\nExample:\n  tapswitch config diff /etc/tapswitch/tapswitch.yaml new.yaml')
    .action(async (one: string, other: string) => (await actions()).diff(one, other));
  command
    .command('schema')
    .description('print the JSON Schema of the file')
    .addHelpText('after', '\nExample:\n  tapswitch config schema > configuration.schema.json')
    .action(async () => (await actions()).schema());
  for (const one of command.commands) one.exitOverride();
  return command;
}
