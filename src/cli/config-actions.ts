/** What `tapswitch config` does with configuration files. Data goes to stdout, talk to stderr. */
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

export function check(file: string): void {
  const { networks, vms } = loadDaemonConfig(file).switch;
  process.stderr.write(`${file}: valid, ${counted(networks.size, 'network')}, ${counted(vms.size, 'VM')}\n`);
}

export interface ShowOptions {
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

export function show(path: string, { output, origin }: ShowOptions): void {
  const file = readConfigFile(path);
  const settings = settingsOf(resolveDaemonConfig(file, process.env), file, process.env);
  write(output === 'json' ? jsonText(settings, origin) : yamlText(settings, origin));
}

export function diff(oldFile: string, newFile: string): void {
  const changes = diffConfig(loadDaemonConfig(oldFile), loadDaemonConfig(newFile));
  for (const { live, text } of changes) write(`${live ? 'live   ' : 'restart'}  ${text}\n`);
  if (changes.length > 0) process.exitCode = DIFFERENT;
}

export function init(): void {
  write(commentedConfig());
}

export function schema(): void {
  write(jsonSchemaText());
}
