import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { commentedConfig } from '../../src/config/commented.ts';
import { nowhere } from '../../src/config/fault.ts';
import { jsonSchemaText } from '../../src/config/json-schema.ts';
import { resolveConfig } from '../../src/config/resolve.ts';
import { type ConfigInput, ConfigSchema } from '../../src/config/schema.ts';
import { resolveService } from '../../src/config/service-config.ts';

interface Node {
  properties?: Record<string, Node>;
  patternProperties?: Record<string, Node>;
  items?: Node;
  anyOf?: Node[];
}

/** Names of all keys that mappings of the schema have. */
function keysOf(node: Node): string[] {
  const below = [
    ...Object.values(node.properties ?? {}),
    ...Object.values(node.patternProperties ?? {}),
    ...(node.items ? [node.items] : []),
    ...(node.anyOf ?? []),
  ];
  return [...Object.keys(node.properties ?? {}), ...below.flatMap(keysOf)];
}

/** Takes away one `#` of each line that is a key commented out. */
const uncommented = (text: string) => text.replaceAll(/^( *)#(?=\S| {2})/gm, '$1');

const check = (text: string) => {
  const input = parse(text) as ConfigInput;
  return resolveService(input, resolveConfig(input), nowhere, {});
};

test('commented file as it is -> valid, its networks alone', () => {
  expect(Object.keys(parse(commentedConfig()) as object)).toEqual(['networks']);
  check(commentedConfig());
});

test('every # taken away -> valid, with every key of the schema', () => {
  const sections = uncommented(commentedConfig());
  const everything = uncommented(uncommented(sections));
  expect(uncommented(everything)).toBe(everything);
  expect(Object.keys(parse(sections) as object)).toEqual(Object.keys(ConfigSchema.properties));
  expect(check(everything)).toMatchObject({ autoAttach: [{ match: 'fc-*', profile: 'browser-vm' }] });
  const written = [...everything.matchAll(/^ *(?:- )?(\w+):/gm)].map((match) => match[1] as string);
  const keys = new Set(keysOf(ConfigSchema as unknown as Node));
  expect([...keys].filter((key) => !written.includes(key))).toEqual([]);
});

test('every key has a description before it', () => {
  const lines = commentedConfig().split('\n');
  const bare = lines.filter(
    (line, i) => /^[ #]*(?:- )?\w+:/.test(line) && !/^[ #]*# \S/.test(lines[i - 1] ?? ''),
  );
  // the entries that stand for all networks, VMs and profiles
  expect(bare.map((line) => line.replaceAll(/[ #:]/g, ''))).toEqual(['default', 'web']);
});

test('docs/configuration.schema.json -> what the schema says today (tapswitch config schema makes it)', () => {
  const published = readFileSync(new URL('../../docs/configuration.schema.json', import.meta.url), 'utf8');
  expect(published).toBe(jsonSchemaText());
  expect(JSON.parse(published)).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['networks'],
    additionalProperties: false,
  });
});
