/** Requests made from the OpenAPI document, right by type and odd by value, against a real daemon: none of them is a bug. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { withRoutes } from '../../src/lab/netns-guest.ts';
import { type Answer, ask } from '../api/stage.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

const WRONG: readonly unknown[] = [null, true, 1.5, '', [], [[]], {}, { a: { b: [] } }];
const TEXTS = [
  '',
  ' ',
  '..',
  '../../etc/passwd',
  '/',
  'ü',
  '\u{1f600}',
  '\u0000',
  '-1',
  '0',
  'x'.repeat(5000),
  '\r\nx: y',
];
const INTEGERS = [-1, 0, 1, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, 1e300];
const LONG = 2000;
const DEPTH = 3;

/** Values of a schema's type that nobody meant, and some of another type. */
function oddValues(schema: Schema, depth = DEPTH): unknown[] {
  if (depth === 0) return [];
  const branches = (schema.anyOf ?? []).flatMap((one) => oddValues(one, depth));
  if (schema.anyOf !== undefined) return branches;
  if (schema.enum !== undefined) return [...schema.enum, ...TEXTS];
  if (schema.const !== undefined) return [schema.const, 'x'];
  if (schema.type === 'string') return [...TEXTS, ...WRONG];
  if (schema.type === 'integer' || schema.type === 'number') return [...INTEGERS, ...WRONG];
  if (schema.type === 'boolean') return [true, false, ...WRONG];
  if (schema.type === 'array') {
    const items = oddValues(schema.items ?? {}, depth - 1);
    return [...items.map((one) => [one]), Array(LONG).fill(items[0]), ...WRONG];
  }
  const properties = Object.entries(schema.properties ?? {});
  const one = properties.flatMap(([key, value]) =>
    oddValues(value, depth - 1).map((odd) => ({ [key]: odd })),
  );
  return [...one, ...WRONG];
}

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let client: Client;
let daemon: Daemon;
let socketPath: string;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  socketPath = join(files.path, 'api.sock');
  client = createClient({ socket: socketPath });
  const env = { TAPSWITCH_SOCKET: socketPath, TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, { networks: { default: stage.network() } }, files, { env });
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await stage.end();
  files.remove();
});

async function operations(): Promise<{ method: string; path: string; operation: Operation }[]> {
  const { json } = await ask({ socketPath }, 'GET', '/openapi.json');
  return Object.entries(json.paths as Record<string, Record<string, Operation>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** An answer that tells what was wrong, or that it was right; never that we were. */
function expectTold({ status, json }: Answer, what: string): void {
  expect(json?.code, what).not.toBe('INTERNAL');
  if (status < 400) return;
  expect(json, what).toMatchObject({
    status,
    code: expect.stringMatching(/^[A-Z_]+$/),
    nextStep: expect.any(String),
  });
}

/** Status of an answer that may have no end. */
async function statusOf(path: string): Promise<number> {
  const asked = request({ socketPath, path, agent: false }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.destroy();
  return response.statusCode as number;
}

const interfaces = () =>
  withRoutes(stage.host.path, (routes) =>
    routes
      .links()
      .map(({ name }) => name)
      .sort(),
  );

test('each body of the document with odd values in it -> told, nothing is left but what was confirmed', async () => {
  const before = interfaces();
  await stage.guest(11);
  await stage.guest(12);
  const start = interfaces();
  expect(start.length).toBeGreaterThan(before.length);
  await client.putVm('known', { tap: 'vm11' });
  const known = await client.vm('known');
  let asked = 0;
  for (const { method, path, operation } of await operations()) {
    const schema = operation.requestBody?.content['application/json']?.schema;
    if (schema === undefined) continue;
    for (const odd of oddValues(schema)) {
      const isObject = typeof odd === 'object' && odd !== null && !Array.isArray(odd);
      const base = operation.operationId === 'putVm' ? { tap: 'vm12' } : {};
      const body = isObject ? { ...base, ...odd } : odd;
      const target = path.replace('{id}', operation.operationId === 'putVm' ? 'odd' : 'known');
      const answer = await ask({ socketPath }, method, target, { body });
      asked++;
      expectTold(answer, `${method} ${target} ${JSON.stringify(body).slice(0, 200)}`);
    }
    const odd = (await client.vms()).find(({ id }) => id === 'odd');
    if (odd !== undefined) await client.deleteVm('odd');
  }
  expect(asked).toBeGreaterThan(300);
  expect((await client.vms()).map(({ id }) => id)).toEqual(['known']);
  const { loopback, tap, state } = known;
  expect(await client.vm('known')).toMatchObject({ loopback, tap, state });
  expect(interfaces()).toEqual(start);
  expect((await client.health()).status).toBe('ok');
  expect(daemon.log()).not.toContain('A request to the API failed');
}, 180_000);

test('each parameter of the document with odd values in it -> told', async () => {
  await stage.guest(11);
  await client.putVm('known', { tap: 'vm11' });
  const values = [...TEXTS, ...INTEGERS.map(String), 'true', 'null', '[]', '%', '%zz', '%ff%fe'];
  for (const { method, path, operation } of await operations()) {
    for (const parameter of operation.parameters ?? []) {
      // A VM that would be waited for as long as it takes is not odd.
      for (const value of values.filter((one) => parameter.name !== 'timeout' || Number(one) <= 1)) {
        for (const text of [encodeURIComponent(value), value.replace(/[^!-~]/g, '')]) {
          const segment = (name: string) =>
            parameter.in === 'path' && name === parameter.name ? text : 'known';
          const place = path.replace(/\{(\w+)\}/g, (_, name: string) => segment(name));
          const query = parameter.in === 'query' ? `?${parameter.name}=${text}` : '';
          const wait = operation.operationId === 'waitForPort' ? `${query === '' ? '?' : '&'}timeout=0` : '';
          const target = `${place}${query}${parameter.name === 'timeout' ? '' : wait}`;
          const what = `${method} ${target.slice(0, 200)}`;
          if (path.endsWith('/capture')) expect(await statusOf(target), what).toBeLessThan(500);
          else expectTold(await ask({ socketPath }, method, target, {}), what);
        }
      }
    }
  }
  expect((await client.health()).status).toBe('ok');
  expect(daemon.log()).not.toContain('A request to the API failed');
}, 180_000);
