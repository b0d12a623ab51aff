/** Requests derived from an OpenAPI document, each odd in one place: some are wrong by their types, some may even be right. */

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

export interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export interface OddRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** Whether the document alone says that it is wrong */
  readonly isWrong: boolean;
}

const VALUES = [null, true, -1, 1.5, 'x', '\u{1f600}\u0000', [], [[]], {}, { a: 1 }, [null]];
const TEXTS = ['', 'x', '-1', '1.5', '1e9', '%00', '99999999999999999999'];

export function routesOf(document: { paths: Record<string, Record<string, Operation>> }): Route[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** Whether `value` may be right, by its type alone. */
function mayBe(schema: Schema, value: unknown): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some((branch) => mayBe(branch, value));
  if (schema.enum !== undefined) return schema.enum.includes(value);
  if (schema.type === 'array') return Array.isArray(value);
  if (schema.type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (schema.type === 'integer') return Number.isInteger(value);
  return typeof value === schema.type;
}

function pathOf({ path, operation }: Route, query = ''): string {
  const required = (operation.parameters ?? []).filter((one) => one.in === 'query' && one.required);
  const given = required.map(({ name, schema }) => `${name}=${schema.type === 'integer' ? 1 : 'x'}`);
  const text = [...given.filter((one) => !query.startsWith(`${one.split('=')[0]}=`)), query].filter(Boolean);
  return `${path.replace(/\{\w+\}/g, 'vm1')}${text.length > 0 ? `?${text.join('&')}` : ''}`;
}

/** Every value in every place of an object, and a key it does not know. */
function oddObjects({ properties }: Schema): { value: unknown; isWrong: boolean }[] {
  if (properties === undefined) return [];
  const odd = Object.entries(properties).flatMap(([key, property]) => [
    ...VALUES.map((value) => ({ value: { [key]: value }, isWrong: !mayBe(property, value) })),
    ...oddObjects(property).map(({ value, isWrong }) => ({ value: { [key]: value }, isWrong })),
  ]);
  return [...odd, { value: { 'no-such-key': 1 }, isWrong: true }];
}

function oddBodies(route: Route): OddRequest[] {
  const schema = route.operation.requestBody?.content['application/json']?.schema;
  if (schema === undefined) return [];
  const whole = VALUES.map((value) => ({ value, isWrong: !mayBe(schema, value) }));
  const bodies = [...whole, ...(schema.anyOf ?? [schema]).flatMap(oddObjects)];
  const path = pathOf(route);
  return bodies.map(({ value, isWrong }) => ({ method: route.method, path, body: value, isWrong }));
}

function oddQueries(route: Route): OddRequest[] {
  const { method, operation } = route;
  const query = (operation.parameters ?? []).filter((one) => one.in === 'query');
  const texts = query.flatMap(({ name, schema }) =>
    [...TEXTS, `1&${name}=1`].map((text) => ({
      method,
      path: pathOf(route, `${name}=${text}`),
      isWrong: schema.type !== 'string',
    })),
  );
  if (query.length === 0) return texts;
  return [...texts, { method, path: pathOf(route, 'no-such=1'), isWrong: true }];
}

export function oddRequests(routes: readonly Route[]): OddRequest[] {
  return routes.flatMap((route) => [...oddBodies(route), ...oddQueries(route)]);
}
