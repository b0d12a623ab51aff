/** Checks of what requests bring, in the words of the configuration's own. */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { nowhere, quote } from '../config/fault.ts';
import { ID_RULE, isId } from '../config/names.ts';
import { checkShape } from '../config/shape.ts';
import { TapswitchError } from '../errors.ts';

interface Properties {
  readonly properties?: Readonly<Record<string, { readonly type?: string }>>;
}

function asWritten(type: string | undefined, text: unknown): unknown {
  if (type === 'integer' && typeof text === 'string' && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

/** A query's values as what the schema has them for; those of another form stay text. */
function converted(schema: Properties, query: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(query);
  return Object.fromEntries(
    entries.map(([key, text]) => [key, asWritten(schema.properties?.[key]?.type, text)]),
  );
}

function bad(error: unknown): unknown {
  return error instanceof TapswitchError
    ? new TapswitchError('BAD_REQUEST', error.message, error.nextStep)
    : error;
}

function checkQuery(schema: TSchema, query: Record<string, unknown>) {
  const value = converted(schema as Properties, query);
  try {
    checkShape(schema, value, nowhere, []);
    return { value };
  } catch (error) {
    return { error: bad(error) as Error };
  }
}

function checkBody(schema: TSchema, body: unknown) {
  try {
    checkShape(schema, body, nowhere, []);
    return { value: body };
  } catch (error) {
    return { error: error as Error };
  }
}

/** All parameters in paths are ids of VMs or names of networks. */
function checkParameters(value: Record<string, string>) {
  const wrong = Object.values(value).find((text) => !isId(text));
  if (wrong === undefined) return { value };
  return { error: new TapswitchError('BAD_REQUEST', `${quote(wrong)} is no id`, ID_RULE) };
}

export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  if (httpPart === 'params') return checkParameters;
  if (httpPart === 'querystring') return (query) => checkQuery(schema, query);
  return (body) => checkBody(schema, body);
};
