/** What the documents say is what the code does. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TSchema } from 'typebox';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { resolveConfig } from '../../src/config/resolve.ts';
import { ConfigSchema } from '../../src/config/schema.ts';
import { ERROR_CODES, EXIT } from '../../src/errors.ts';
import { DROP_REASONS } from '../../src/telemetry/drops.ts';
import { sourceConstant } from './source-constant.ts';
import { firstBlock, plain, readText, tableRows } from './tables.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(`${ROOT}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
}

interface Key {
  readonly path: string;
  readonly required: boolean;
  readonly node: SchemaNode;
}

const PLACEHOLDERS: Readonly<Record<string, string>> = { networks: 'NAME', vms: 'ID', profiles: 'NAME' };
const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'mapping',
  array: 'list of text',
  string: 'text',
  boolean: 'true or false',
};

/** The mappings a list may have instead of text. */
function mappingsIn(node: SchemaNode): SchemaNode[] {
  return (node.items?.anyOf ?? [node.items ?? {}]).filter(({ type }) => type === 'object');
}

/** Every key the schema knows, in the form the table has. */
function keysOf(node: SchemaNode, base = ''): Key[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const path = `${base}${name}`;
    const named = Object.values(child.patternProperties ?? {})[0];
    const below = named ? keysOf(named, `${path}.${PLACEHOLDERS[name]}.`) : keysOf(child, `${path}.`);
    const listed = mappingsIn(child).flatMap((mapping) => keysOf(mapping, `${path}[].`));
    return [{ path, required: node.required?.includes(name) ?? false, node: child }, ...below, ...listed];
  });
}

function typeName(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.join(' or ');
  if (node.anyOf !== undefined) return node.anyOf.map(typeName).join(' or ');
  if (node.type === 'integer' && node.maximum === undefined) return 'whole number';
  if (node.type === 'integer') return `whole number, ${node.minimum} to ${node.maximum}`;
  if (node.items?.type === 'object') return 'list of mappings';
  if (mappingsIn(node).length > 0) return 'list of text or mappings';
  return TYPE_NAMES[node.type as string] as string;
}

/** The default that a key's description names, `none` where it names none. */
function defaultOf({ required, node }: Key): string {
  if (required) return 'required';
  const description = node.description ?? '';
  const [, after] = /\(default "?([^")]+)"?\)$/.exec(description) ?? [];
  const [, before] = /(\w+) \(default\)/.exec(description) ?? [];
  return after ?? before ?? 'none';
}

const KEYS = keysOf(ConfigSchema as TSchema as SchemaNode);

describe('docs/errors.md', () => {
  const rows = tableRows('docs/errors.md', 'Code');

  test('its codes are those of the source, each with its exit status', () => {
    const documented = rows.map(([code, status]) => [plain(code), Number(status)]);
    expect(documented).toEqual(Object.entries(ERROR_CODES));
  });

  test('every code has a meaning and what to do', () => {
    expect(rows.filter((row) => row.length !== 4 || row.includes(''))).toEqual([]);
  });

  test('every class of exit status is listed', () => {
    const listed = tableRows('docs/errors.md', 'Exit status').map(([status]) => plain(status));
    expect(listed).toEqual(expect.arrayContaining(Object.values(EXIT).map(String)));
  });
});

describe('docs/drops.md', () => {
  const rows = tableRows('docs/drops.md', 'Reason');

  test('its reasons are those of the source, in the same order', () => {
    expect(rows.map(([reason]) => plain(reason))).toEqual([...DROP_REASONS]);
  });

  test('every reason has a meaning, a cause and what to do', () => {
    expect(rows.filter((row) => row.length !== 4 || row.includes(''))).toEqual([]);
  });
});

describe('docs/configuration.md', () => {
  const rows = tableRows('docs/configuration.md', 'Key');

  test('its keys are those of the schema, in the same order', () => {
    expect(rows.map(([key]) => plain(key))).toEqual(KEYS.map(({ path }) => path));
  });

  test.each(KEYS)('$path: type, bounds and default are those of the schema', (key) => {
    const [, type, byDefault] = rows.find(([name]) => plain(name) === key.path) ?? [];
    expect({ type: plain(type), byDefault: plain(byDefault) }).toEqual({
      type: typeName(key.node),
      byDefault: defaultOf(key),
    });
  });

  test('every code it names exists', () => {
    const named = readText('docs/configuration.md').match(/`[A-Z]+(_[A-Z]+)+`/g) ?? [];
    const known = [...Object.keys(ERROR_CODES), 'TAPSWITCH_CACHE', 'TAPSWITCH_SOCKET', 'TAPSWITCH_STATE'];
    expect(named.map(plain).filter((code) => !known.includes(code))).toEqual([]);
  });
});

describe('docs/limits.md', () => {
  const quoted = tableRows('docs/limits.md', 'Limit').flatMap(([what, value, where]) => {
    const [, path, name] = /^`(src\/\S+)` `([A-Z_0-9]+)`$/.exec(where ?? '') ?? [];
    return path && name ? [{ what, value, path, name }] : [];
  });

  test.each(quoted)('$name of $path has the value it quotes', async ({ value, path, name }) => {
    expect(Number(value?.replaceAll(',', ''))).toBe(await sourceConstant(path, name));
  });

  test('the tables, rates and times of the switch are quoted', () => {
    const names = quoted.map(({ name }) => name);
    for (const name of [
      'MAX_PORTS',
      'MAX_NETWORKS',
      'MAX_FORWARD_PORTS',
      'MAX_EGRESS_RULES',
      'FDB_CAPACITY',
      'FDB_AGE_SECONDS',
      'MAX_IPV6_ADDRESSES',
      'HOST_FLOW_CAPACITY',
      'PICKUP_SECONDS',
      'FLOODS_PER_SECOND',
      'FLOOD_BURST',
      'BATCH_FRAMES',
      'MAX_FRAME_BYTES',
      'ACK_TIMEOUT_MS',
    ]) {
      expect(names).toContain(name);
    }
  });

  test('every place it names exists', () => {
    const places = tableRows('docs/limits.md', 'Limit').map(
      ([, , where]) => /`(src\/\S+)`/.exec(where ?? '')?.[1],
    );
    expect(places.filter((place) => place === undefined || !existsSync(`${ROOT}${place}`))).toEqual([]);
  });
});

describe('docs/dependencies.md', () => {
  const documented = (heading: string) =>
    tableRows('docs/dependencies.md', heading).map(([first]) => plain(first));

  test('its npm packages are those of package.json', () => {
    const { dependencies, devDependencies } = JSON.parse(readText('package.json'));
    const names = documented('Package').flatMap((cell) => /^\[([^\]]+)\]/.exec(cell)?.[1] ?? []);
    expect(names.sort()).toEqual([...Object.keys(dependencies), ...Object.keys(devDependencies)].sort());
  });

  test('its Debian packages are those the scripts install', () => {
    const source = readText('scripts/lib/packages.mjs');
    const installed = [...source.matchAll(/name: '([^']+)'/g), ...source.matchAll(/'(qemu-system-\w+)'/g)];
    const names = documented('Debian package').flatMap((cell) => cell.split(/, | or /));
    expect(names.sort()).toEqual(installed.map((match) => match[1]).sort());
  });
});

describe('README.md', () => {
  test('the two commands are in it', () => {
    expect(firstBlock('README.md', 'sh')).toMatch(/^npm start$/m);
    expect(firstBlock('README.md', 'sh')).toMatch(/^npm test$/m);
  });
});

describe('every document', () => {
  test.each(['README.md', 'docs/configuration.md', 'docs/replacing-br0.md', 'docs/firecracker.md'])(
    'the configuration in %s is valid',
    (path) => {
      const config = resolveConfig(parse(firstBlock(path, 'yaml')));
      expect([...config.vms.keys()]).toEqual(['vm-02018']);
    },
  );

  test.each(DOCUMENTS)('the files that %s links to exist', (path) => {
    const base = new URL(path, `file://${ROOT}`);
    const targets = [...readText(path).matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(
      (match) => match[1],
    );
    const missing = targets.filter((target) => !existsSync(new URL(target as string, base)));
    expect(missing).toEqual([]);
  });
});
