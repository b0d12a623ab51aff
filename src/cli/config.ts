/** `tapswitch config`: makes, checks, shows and compares configuration files. Data goes to stdout, talk to stderr. */
import { Command, Option } from 'commander';
import { Document, isNode } from 'yaml';
import { commentedConfig } from '../config/commented.ts';
import { diffConfig } from '../config/diff.ts';
import { formatPath } from '../config/fault.ts';
import { jsonSchemaText } from '../config/json-schema.ts';
import { loadDaemonConfig, readConfigFile, resolveDaemonConfig } from '../config/load.ts';
import { type Setting, settingsOf, treeOf } from '../config/settings.ts';

const DIFFERENT = 1; // as diff(1)

function write(text: string): void {
  process.stdout.write(text);
}

function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}

function check(file: string): void {
  const { networks, vms } = loadDaemonConfig(file).switch;
  process.stderr.write(`${file}: valid, ${counted(networks.size, 'network')}, ${counted(vms.size, 'VM')}\n`);
}

interface ShowOptions {
  output: 'yaml' | 'json';
  origin: boolean;
}

function yamlText(settings: readonly Setting[], withOrigin: boolean): string {
  const document = new Document(treeOf(settings));
  for (const { path, origin } of withOrigin ? settings : []) {
    const node: unknown = document.getIn(path, true);
    if (isNode(node)) node.comment = ` ${origin}`;
  }
  return document.toString({ lineWidth: 0 });
}

function jsonText(settings: readonly Setting[], withOrigin: boolean): string {
  const origins = settings.map(({ path, value, origin }) => ({ key: formatPath(path), value, origin }));
  return `${JSON.stringify(withOrigin ? origins : treeOf(settings), null, 2)}\n`;
}

function show(path: string, { output, origin }: ShowOptions): void {
  const file = readConfigFile(path);
  const settings = settingsOf(resolveDaemonConfig(file, process.env), file, process.env);
  write(output === 'json' ? jsonText(settings, origin) : yamlText(settings, origin));
}

function diff(oldFile: string, newFile: string): void {
  const changes = diffConfig(loadDaemonConfig(oldFile), loadDaemonConfig(newFile));
  for (const { live, text } of changes) write(`${live ? 'live   ' : 'restart'}  ${text}\n`);
  if (changes.length > 0) process.exitCode = DIFFERENT;
}

export function configCommand(): Command {
  const command = new Command('config')
    .description('make, check, show and compare configuration files')
    .helpCommand(false);
  command
    .command('init')
    .description('print a commented file to begin with')
    .addHelpText('after', '\nExample:\n  tapswitch config init > /etc/tapswitch/tapswitch.yaml')
    .action(() => write(commentedConfig()));
  command
    .command('check <file>')
    .description('say what is wrong with a file, if anything')
    .addHelpText('after', '\nExample:\n  tapswitch config check /etc/tapswitch/tapswitch.yaml')
    .action(check);
  command
    .command('show <file>')
    .description('print the values in effect, defaults filled in')
    .addOption(
      new Option('--output <format>', 'of what is printed').choices(['yaml', 'json']).default('yaml'),
    )
    .option('--origin', 'with where each value came from', false)
    .addHelpText('after', '\nExample:\n  tapswitch config show /etc/tapswitch/tapswitch.yaml --origin')
    .action(show);
  command
    .command('diff <old> <new>')
    .description('print what is different, and what of it needs a restart; status 1 if anything is')
    .addHelpText('after', '\nExample:\n  tapswitch config diff /etc/tapswitch/tapswitch.yaml new.yaml')
    .action(diff);
  command
    .command('schema')
    .description('print the JSON Schema of the file')
    .addHelpText('after', '\nExample:\n  tapswitch config schema > configuration.schema.json')
    .action(() => write(jsonSchemaText()));
  for (const one of command.commands) one.exitOverride();
  return command;
}
