/** Every call of the client against the OpenAPI document: the path is there by that method, and the body fits its schema. */
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Links } from '../../src/api/guest/links.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { scratch } from '../lib/engine-command.ts';
import { type FakeApi, startFakeApi } from '../lib/fake-api.ts';
import { type Stage, startStage } from './stage.ts';

let files: ReturnType<typeof scratch>;
let stage: Stage;
let api: FakeApi;
let client: Client;
// biome-ignore lint/suspicious/noExplicitAny: a document is read as it is
let paths: any;

beforeAll(async () => {
  files = scratch();
  stage = await startStage({}, { links: { links: new Links() } });
  const { json } = await stage.ask('GET', '/openapi.json');
  paths = json.paths;
  const socket = join(files.path, 'fake.sock');
  api = await startFakeApi(socket, {});
  client = createClient({ socket });
});

afterAll(async () => {
  await client.close();
  await api.close();
  await stage.close();
  files.remove();
});

/** Each call there is, with everything it can be given. */
const CALLS: Readonly<Record<Exclude<keyof Client, 'close' | 'events'>, (it: Client) => Promise<unknown>>> = {
  networks: (it) => it.networks(),
  network: (it) => it.network('default'),
  vms: (it) => it.vms(),
  vm: (it) => it.vm('a'),
  putVm: (it) =>
    it.putVm('a', { tap: 'tap1', createTap: { owner: 1, group: 2 }, forwards: ['1:2', { listen: '3:4' }] }),
  deleteVm: (it) => it.deleteVm('a'),
  forwards: (it) => it.forwards('a'),
  addForward: (it) => it.addForward('a', { listen: '1:2', wait: 3 }),
  removeForward: (it) => it.removeForward('a', '1:2', { reset: true }),
  flows: (it) => it.flows('a'),
  fdb: (it) => it.fdb(),
  drops: (it) => it.drops(),
  leases: (it) => it.leases(),
  newGeneration: (it) => it.newGeneration('a'),
  wait: (it) => it.wait('a', 80, { timeout: 5 }),
  diagnose: (it) => it.diagnose('a', 80),
  explain: (it) => it.explain('a -> 10.0.0.5:443'),
  createLink: (it) => it.createLink('a', { port: 80, path: '/', expiresIn: 60 }),
  reload: (it) => it.reload(),
  health: (it) => it.health(),
  capture: async (it) => {
    const limits = { filter: 'tcp', snaplen: 96, duration: 5, count: 7 };
    for await (const _ of it.capture({ vms: ['a'], ...limits }));
  },
};

test('the calls that are checked are those the client has', () => {
  const { close: _, events: __, ...calls } = client;
  expect(Object.keys(CALLS).sort()).toEqual(Object.keys(calls).sort());
});

test.each(Object.entries(CALLS))('%s', async (_name, call) => {
  const before = api.seen.length;
  await call(client).catch(() => {}); // the fake knows nothing
  const { method, url, body } = api.seen[before] as { method: string; url: string; body: string };
  const [path = '', query = ''] = url.split('?');
  const known = Object.keys(paths).find((one) =>
    new RegExp(`^${one.replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
  const operation = paths[known ?? '']?.[method.toLowerCase()];
  expect(operation, `${method} ${path}`).toBeDefined();
  const parameters = (operation.parameters ?? []).map(({ name }: { name: string }) => name);
  for (const name of new URLSearchParams(query).keys()) expect(parameters).toContain(name);
  const schema = operation.requestBody?.content['application/json'].schema;
  if (schema === undefined) expect(body).toBe('');
  else expect(Value.Check(schema, JSON.parse(body)), body).toBe(true);
});

test('events and captures, which are streams: the paths the client opens are in the document', () => {
  expect(paths['/v1/capture']?.get).toBeDefined();
  expect(paths['/v1/vms/{id}/capture']?.get).toBeDefined();
  expect(paths['/v1/captures/{id}']?.delete).toBeDefined();
  expect(paths['/v1/events']?.get?.operationId).toBe('events');
});
