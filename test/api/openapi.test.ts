/** The OpenAPI document: what it says of each route, and requests derived from it that are wrong in one place. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { problemOf } from '../../src/api/problem.ts';
import { ERROR_CODES, type ErrorCode, TapswitchError } from '../../src/errors.ts';
import { type Stage, startStage } from './stage.ts';

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

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

let stage: Stage;
let routes: Route[];
let version: string;

beforeAll(async () => {
  stage = await startStage();
  const { json } = await stage.ask('GET', '/openapi.json');
  version = json.openapi;
  routes = Object.entries(json.paths as Record<string, Record<string, Operation>>).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        operation,
      })),
  );
});
afterAll(() => stage.close());

describe('the document', () => {
  test('is OpenAPI 3.1 and has every route', () => {
    expect(version).toMatch(/^3\.1\./);
    expect(routes.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      'DELETE /v1/vms/{id}',
      'DELETE /v1/vms/{id}/forwards',
      'GET /healthz',
      'GET /metrics',
      'GET /readyz',
      'GET /services/dhcp/leases',
      'GET /services/forwarder/all',
      'GET /stats',
      'GET /v1/capture',
      'GET /v1/drops',
      'GET /v1/events',
      'GET /v1/fdb',
      'GET /v1/leases',
      'GET /v1/networks',
      'GET /v1/networks/{name}',
      'GET /v1/vms',
      'GET /v1/vms/{id}',
      'GET /v1/vms/{id}/capture',
      'GET /v1/vms/{id}/diagnosis',
      'GET /v1/vms/{id}/flows',
      'GET /v1/vms/{id}/forwards',
      'GET /v1/vms/{id}/wait',
      'POST /services/forwarder/expose',
      'POST /services/forwarder/unexpose',
      'POST /v1/reload',
      'POST /v1/vms/{id}/forwards',
      'POST /v1/vms/{id}/generation',
      'PUT /v1/vms/{id}',
    ]);
  });

  test('each operation -> an id of its own, a summary, its parameters, an answer and a problem', () => {
    const ids = routes.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, operation } of routes) {
      expect(operation.operationId).toMatch(/^[a-z][A-Za-z]+$/);
      expect(operation.summary).not.toBe('');
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const described = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      expect(described.map(({ name }) => name)).toEqual(inPath);
      const statuses = Object.keys(operation.responses);
      expect(statuses.some((status) => status.startsWith('2'))).toBe(true);
      expect(Object.keys(operation.responses.default.content ?? {})).toEqual(['application/problem+json']);
    }
  });

  test('what a body may have -> is there by key', () => {
    const { operation } = routes.find(({ operation }) => operation.operationId === 'putVm') as Route;
    const { schema } = operation.requestBody!.content['application/json'];
    expect(Object.keys(schema.properties ?? {})).toEqual(expect.arrayContaining(['ip', 'tap', 'createTap']));
  });
});

const VALUES = [null, true, -1, 1.5, 'x', '\u{1f600}\u0000', [], [[]], {}, { a: 1 }, [null]];

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

async function expectRefused(method: string, path: string, body?: unknown): Promise<void> {
  const { status, json } = await stage.ask(method, path, body === undefined ? {} : { body });
  const what = `${method} ${path} ${JSON.stringify(body)}`;
  expect(`${what}: ${status >= 400 && status < 500 ? 'refused' : status}`).toBe(`${what}: refused`);
  expect(json).toMatchObject({ status, code: expect.any(String), nextStep: expect.any(String) });
}

describe('wrong in one place -> 4xx and a problem', () => {
  test('each property of each body', async () => {
    for (const route of routes) {
      const schema = route.operation.requestBody?.content['application/json']?.schema;
      if (schema === undefined) continue;
      for (const value of VALUES.filter((one) => !mayBe(schema, one))) {
        await expectRefused(route.method, pathOf(route), value);
      }
      for (const branch of schema.anyOf ?? [schema]) {
        for (const [key, property] of Object.entries(branch.properties ?? {})) {
          for (const value of VALUES.filter((one) => !mayBe(property, one))) {
            await expectRefused(route.method, pathOf(route), { [key]: value });
          }
        }
        for (const key of branch.required ?? []) expect(branch.properties).toHaveProperty(key);
        if (branch.properties !== undefined) {
          await expectRefused(route.method, pathOf(route), { 'no-such-key': 1 });
        }
      }
    }
  });

  test('each parameter of each query, and one that is unknown', async () => {
    for (const route of routes) {
      const query = (route.operation.parameters ?? []).filter((one) => one.in === 'query');
      for (const { name } of query.filter(({ schema }) => schema.type !== 'string')) {
        for (const text of ['', 'x', '-1', '1.5', '1e9', '%00', '99999999999999999999', `1&${name}=1`]) {
          await expectRefused(route.method, pathOf(route, `${name}=${text}`));
        }
      }
      if (query.length > 0) await expectRefused(route.method, pathOf(route, 'no-such=1'));
    }
    expect(stage.plane.calls).toEqual([]);
  });
});

test.each(Object.keys(ERROR_CODES) as ErrorCode[])(
  '%s -> has a status of 4xx or 5xx with a title',
  (code) => {
    const problem = problemOf(new TapswitchError(code, 'what', 'then'));
    expect(problem.status).toBeGreaterThanOrEqual(400);
    expect(problem).toMatchObject({ code, detail: 'what', nextStep: 'then', title: expect.any(String) });
  },
);

test('what is no TapswitchError -> tells nothing, unless its code and next step are ours', () => {
  for (const error of [new Error('x'), 'x', undefined, null, { code: 'TAP_DOWN' }, { statusCode: 503 }]) {
    expect(problemOf(error)).toMatchObject({ status: 500, code: 'INTERNAL' });
  }
  const ofAnotherCopy = Object.assign(new Error('x'), { code: 'TAP_DOWN', nextStep: 'y' });
  expect(problemOf(ofAnotherCopy)).toMatchObject({ status: 502, hop: 'tap' });
  const cause = new TapswitchError('GUEST_SILENT', 'x', 'y');
  expect(problemOf(new TapswitchError('VM_NOT_READY', 'x', 'y', cause))).toMatchObject({ hop: 'guest' });
});
