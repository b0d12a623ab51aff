/**
 * A configuration file to begin with, made from the schema: every key with what it is for, commented out unless it is
 * required. A key is commented out by `#` without a space after it, so that taking the `#` away is all it takes.
 */
import type { TSchema } from 'typebox';
import { ConfigSchema } from './schema.ts';

/** The parts of a JSON Schema node this file looks into. */
interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

const HEAD = `# Configuration of tapswitch: tapswitch up --config FILE
# What is commented out has the value shown where that is a default, or an example. Take the # away to set it.
# tapswitch config check FILE says whether it is right.
`;
const WIDTH = 100;
/** Names of the entries that stand for all of their kind */
const ENTRIES: Readonly<Record<string, string>> = { networks: 'default', vms: 'vm-1', profiles: 'web' };
const PLAIN = /^[A-Za-z/][\w/.-]*$/; // needs no quotation marks in YAML, given that none is `true` or the like

function scalar(value: unknown): string {
  return typeof value === 'string' && PLAIN.test(value) ? value : JSON.stringify(value);
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** The value shown for a key: an example, or the default that its description names. */
function shownValue(node: SchemaNode): unknown {
  const [example] = node.examples ?? [];
  if (example !== undefined) return example;
  const description = node.description ?? '';
  const [, after] = /\(default "?([^")]+)"?\)$/.exec(description) ?? [];
  const [, before] = /(\w+) \(default\)/.exec(description) ?? [];
  const text = after ?? before ?? '';
  return node.type === 'integer' || node.type === 'boolean' ? JSON.parse(text) : text;
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

/** A mapping as an item of a list: its first key behind the dash, comments of that key before it. */
function itemLines(node: SchemaNode): string[] {
  const lines = mappingLines({ ...node, required: Object.keys(node.properties ?? {}) });
  const first = lines.findIndex((line) => !line.startsWith('#'));
  return lines.map((line, i) => (i === first ? `- ${line}` : i < first ? line : `  ${line}`));
}

function bodyLines(name: string, node: SchemaNode): string[] {
  const entry = Object.values(node.patternProperties ?? {})[0];
  const mapping = [node.items ?? {}, ...(node.items?.anyOf ?? [])].find(({ properties }) => properties);
  if (node.properties !== undefined) return [`${name}:`, ...indented(mappingLines(node))];
  if (entry?.properties !== undefined) {
    return [`${name}:`, `  ${ENTRIES[name]}:`, ...indented(indented(mappingLines(entry)))];
  }
  if (mapping !== undefined) {
    const texts = ((node.examples?.[0] ?? []) as unknown[]).map((value) => `- ${scalar(value)}`);
    return [`${name}:`, ...indented([...texts, ...itemLines(mapping)])];
  }
  return [`${name}: ${scalar(shownValue(node))}`];
}

function mappingLines({ properties = {}, required = [] }: SchemaNode): string[] {
  return Object.entries(properties).flatMap(([name, node]) => {
    const comment = wrapped(node.description ?? '').map((line) => `# ${line}`);
    const body = bodyLines(name, node);
    return [...comment, ...(required.includes(name) ? body : body.map((line) => `#${line}`))];
  });
}

/** Text of a whole file, valid as it is. */
export function commentedConfig(): string {
  return `${HEAD}\n${mappingLines(ConfigSchema as TSchema as SchemaNode).join('\n')}\n`;
}
