/** Checks a value of unknown origin against a schema and puts the first fault into words. */

import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { configError, type Locate, type Path } from './fault.ts';
import { didYouMean } from './suggest.ts';

/** The parts of a JSON Schema node this file looks into. */
interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly type?: string;
  readonly description?: string;
}

interface Fault {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  boolean: 'true or false',
};

function pathOf(fault: Fault, value: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  let at: unknown = value;
  for (const token of fault.instancePath.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(at) ? Number(key) : key);
    at = (at as Record<string, unknown>)[key];
  }
  return path;
}

/**
 * A union reports the faults of all its branches and one of its own. Keeps those of the branch that is meant, which is
 * of the value's type, or the union's own where none is.
 */
function withUnionsSettled(faults: readonly Fault[]): Fault[] {
  let settled = [...faults];
  for (const union of faults.filter(({ keyword }) => keyword === 'anyOf')) {
    const isBelow = ({ schemaPath, instancePath }: Fault) =>
      schemaPath.startsWith(`${union.schemaPath}/anyOf/`) &&
      `${instancePath}/`.startsWith(`${union.instancePath}/`);
    const isOfOtherBranch = (fault: Fault) =>
      isBelow(fault) && fault.keyword === 'type' && fault.instancePath === union.instancePath;
    const isMeant = faults.some((fault) => isBelow(fault) && !isOfOtherBranch(fault));
    settled = settled.filter(
      (fault) => !(isMeant ? fault === union || isOfOtherBranch(fault) : isBelow(fault)),
    );
  }
  return settled;
}

function below(node: SchemaNode, key: string | number): SchemaNode | undefined {
  const named = Object.values(node.patternProperties ?? {})[0];
  return node.items ?? named ?? node.properties?.[key];
}

function schemaAt(schema: SchemaNode, path: Path): SchemaNode {
  let node = schema;
  for (const key of path) {
    const branches = node.anyOf ?? [node];
    node = branches.map((branch) => below(branch, key)).find((child) => child !== undefined) ?? {};
  }
  return node;
}

function wording(keyword: string, params: Record<string, unknown>, node: SchemaNode): string {
  if (keyword === 'anyOf') {
    const types = (node.anyOf ?? []).map(({ type }) => TYPE_NAMES[type as string]);
    return `must be ${types.join(' or ')}`;
  }
  if (keyword === 'minItems') return `must have at least ${params.limit} entry`; // no schema asks for more than one
  if (keyword === 'maxItems') return `must have at most ${params.limit} entries`;
  if (keyword === 'type') return `must be ${TYPE_NAMES[params.type as string]}`;
  if (keyword === 'enum') return `must be ${(params.allowedValues as string[]).join(' or ')}`;
  if (keyword === 'minimum') return `must be at least ${params.limit}`;
  return `must be at most ${params.limit}`; // "maximum", the last keyword the schemas use
}

/**
 * Throws CONFIG_INVALID for the first fault of `value` against `schema`. An unknown key goes before all others: a
 * misspelt key is usually also a missing one. `base` is where `value` stands in the whole configuration.
 */
export function checkShape(schema: TSchema, value: unknown, locate: Locate, base: Path): void {
  if (Value.Check(schema, value)) return; // much faster than an empty list of faults
  const faults = withUnionsSettled(Value.Errors(schema, value));
  const fault = faults.find(({ keyword }) => keyword === 'additionalProperties') ?? faults[0];
  if (fault === undefined) return;
  const path = pathOf(fault, value);
  const params = fault.params as Record<string, unknown>;
  const node = schemaAt(schema as SchemaNode, path);
  const fail = (at: Path, message: string, nextStep: string) =>
    configError('CONFIG_INVALID', locate, [...base, ...at], message, nextStep);

  if (fault.keyword === 'additionalProperties') {
    const [key] = params.additionalProperties as string[];
    const keyed = node.anyOf?.find(({ properties }) => properties !== undefined) ?? node;
    const known = Object.keys(keyed.properties ?? {});
    throw fail([...path, key], `unknown key${didYouMean(key, known)}`, `Known here: ${known.join(', ')}.`);
  }
  if (fault.keyword === 'required') {
    const [key] = params.requiredProperties as string[];
    throw fail(path, `${key} is missing`, `Add ${key}: ${schemaAt(node, [key]).description}.`);
  }
  throw fail(
    path,
    wording(fault.keyword, params, node),
    node.description ? `${node.description}.` : 'Correct the value.',
  );
}
