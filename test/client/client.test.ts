import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { scratch } from '../lib/engine-command.ts';
import { type FakeApi, startFakeApi } from '../lib/fake-api.ts';

let files: ReturnType<typeof scratch>;
let api: FakeApi;
let client: Client;

beforeEach(async () => {
  files = scratch();
  const socket = join(files.path, 'api.sock');
  api = await startFakeApi(socket, { 'PUT /v1/vms/a%2Fb': { id: 'a/b' }, 'POST /v1/vms/a/forwards': [] });
  client = createClient({ socket });
});

afterEach(async () => {
  await client.close();
  await api.close();
  files.remove();
});

test('an id with a slash -> one segment of the path', async () => {
  expect(await client.putVm('a/b', { tap: 't' })).toEqual({ id: 'a/b' });
  expect(api.seen).toEqual([{ method: 'PUT', url: '/v1/vms/a%2Fb', body: '{"tap":"t"}' }]);
});

test('a forward as text -> its mapping', async () => {
  await client.addForward('a', '80:80');
  expect(api.seen[0].body).toBe('{"listen":"80:80"}');
});

test('a problem -> its code, status and next step', async () => {
  await expect(client.vm('x')).rejects.toMatchObject({
    code: 'VM_UNKNOWN',
    status: 404,
    nextStep: 'Use another.',
    exitStatus: 2,
  });
});

test('no daemon -> DAEMON_UNREACHABLE', async () => {
  const nobody = createClient({ socket: join(files.path, 'none.sock') });
  await expect(nobody.vms()).rejects.toMatchObject({ code: 'DAEMON_UNREACHABLE', exitStatus: 69 });
  await expect(nobody.events()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'DAEMON_UNREACHABLE',
  });
});
