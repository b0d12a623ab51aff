import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { scratch, tapswitch } from '../lib/engine-command.ts';
import { type FakeApi, startFakeApi } from '../lib/fake-api.ts';

const LISTINGS = [
  [
    ['fdb'],
    'GET /v1/fdb',
    { network: 'n', mac: '02:00:00:00:00:01', port: 'a', state: 'learned' },
    '02:00:00:00:00:01',
  ],
  [['drops'], 'GET /v1/drops', { port: 'a', reason: 'r', frames: 3 }, 'a,r'],
  [['leases'], 'GET /v1/leases', { vm: 'a', network: 'n', ip: '10.0.0.2', kind: 'offered' }, '10.0.0.2'],
  [
    ['forward', 'ls', 'a'],
    'GET /v1/vms/a/forwards',
    { protocol: 'tcp', host: '127.0.0.1:1', guestPort: 2, exposed: false, identity: false },
    '127.0.0.1:1:2/tcp',
  ],
] as const;

const SICK = {
  vm: 'a',
  verdict: { code: 'TAP_DOWN', sentence: 'It is down.', nextStep: 'Set it up.' },
  hops: [{ hop: 'tap', status: 'failed', evidence: 'fc-a is down' }],
  recent: [{ sequence: 1, run: 'r', time: 't', type: 'drops-rising', vm: 'a', reason: 'vlan', frames: 12 }],
};
const WELL = {
  vm: 'b',
  verdict: { code: 'HEALTHY', sentence: 'It is.', nextStep: 'None.' },
  hops: [],
  recent: [],
};

const DENIED = {
  flow: 'a -> 10.0.0.5:443',
  steps: [{ rule: 'egress', outcome: 'drop', detail: 'built in: deny 10.0.0.0/8' }],
  outcome: { action: 'refuse', reason: 'egress-denied', by: 'built in: deny 10.0.0.0/8' },
};

let files: ReturnType<typeof scratch>;
let socket: string;
let api: FakeApi;

beforeEach(async () => {
  files = scratch();
  socket = join(files.path, 'api.sock');
  api = await startFakeApi(socket, {
    ...Object.fromEntries(LISTINGS.map(([, route, row]) => [route, [row]])),
    'GET /v1/vms/a/diagnosis': SICK,
    'GET /v1/vms/b/diagnosis': WELL,
    'POST /v1/explain': DENIED,
  });
});

afterEach(async () => {
  await api.close();
  files.remove();
});

const run = (...words: string[]) => tapswitch(undefined, ['--socket', socket, ...words]);

describe.each(LISTINGS)('%j', (words, _route, row, id) => {
  test('every format, whole and quiet', async () => {
    expect((await run(...words, '-q')).stdout).toBe(`${id}\n`);
    expect(JSON.parse((await run(...words, '-o', 'json')).stdout)).toEqual([row]);
    expect(parse((await run(...words, '-o', 'yaml')).stdout)).toEqual([row]);
    expect(JSON.parse((await run(...words, '-q', '-o', 'json')).stdout)).toEqual([id]);
    expect((await run(...words)).stdout.trimEnd().split('\n')).toHaveLength(2);
  }, 60_000);
});

test('a VM that is not there -> status 2, one line', async () => {
  const { status, stdout, stderr } = await run('vm', 'show', 'x');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toBe('tapswitch: VM_UNKNOWN: there is no VM x. Use another.\n');
});

test('diagnose -> hops and verdict, status 69; --json -> the whole; healthy -> status 0', async () => {
  const sick = await run('diagnose', 'a', '--port', '80');
  expect(sick.status).toBe(69);
  expect(sick.stdout).toContain('tap  failed  fc-a is down');
  expect(sick.stdout).toMatch(/drops-rising +a +vlan 12/);
  expect(sick.stdout.trimEnd().split('\n').at(-1)).toBe('TAP_DOWN: It is down. Set it up.');
  expect(JSON.parse((await run('diagnose', 'a', '--json')).stdout)).toEqual(SICK);
  expect((await run('diagnose', 'b')).status).toBe(0);
  expect((await run('diagnose', 'a', '--port', '0')).status).toBe(2);
}, 60_000);

test('why -> steps and outcome, in each format; a denied flow is an answer: status 0', async () => {
  const told = await run('why', DENIED.flow);
  expect(told.status).toBe(0);
  expect(told.stdout).toContain('egress  drop     built in: deny 10.0.0.0/8');
  expect(told.stdout.trimEnd().split('\n').at(-1)).toBe(
    'refuse (egress-denied), by built in: deny 10.0.0.0/8',
  );
  expect(api.seen[0]).toMatchObject({ body: JSON.stringify({ flow: DENIED.flow }) });
  expect(JSON.parse((await run('why', DENIED.flow, '-o', 'json')).stdout)).toEqual(DENIED);
  expect(parse((await run('why', DENIED.flow, '-o', 'yaml')).stdout)).toEqual(DENIED);
  expect((await run('why')).status).toBe(2);
}, 60_000);
