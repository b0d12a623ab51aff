/** The commands against a real daemon, with what only a real one has: traffic, a configuration to read again, events that come. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { COMMAND, type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { addressOf } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 10_000, interval: 50 };
const UNAVAILABLE = 69;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let daemon: Daemon;
let socket: string;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  stage.atEnd(() => files.remove());
  socket = join(files.path, 'api.sock');
  const env = { TAPSWITCH_SOCKET: socket, TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, { networks: { default: stage.network() } }, files, { env });
  stage.atEnd(async () => {
    daemon.child.kill('SIGKILL');
    await daemon.ended;
  });
});

afterEach(() => stage.end());

const run = (...words: string[]) =>
  runIn(stage.host.path, [...COMMAND, '--socket', socket, ...words], { timeoutMs: 30_000 });

async function json(...words: string[]) {
  const { status, stdout, stderr } = await run(...words, '--output', 'json');
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

/** Firecracker's configuration of a VM, as a file. */
const firecracker = (tap: string, ip: string) =>
  files.file(
    'vm.json',
    JSON.stringify({
      'boot-source': {
        kernel_image_path: 'vmlinux',
        boot_args: `console=ttyS0 ip=${ip}::10.1.0.1:255.255.255.0::eth0:off`,
      },
      'network-interfaces': [{ iface_id: 'eth0', host_dev_name: tap }],
    }),
  );

test('vm add --file, vm wait, top, vm rm -> the VM of the file, its port, its traffic, gone', async () => {
  const guest = await stage.guest(11);
  await stage.serve(guest.namespace, 'echo', 5300);
  const added = await json(
    'vm',
    'add',
    'a',
    '--file',
    firecracker('vm11', addressOf(11)),
    '--forward',
    '16300:5300',
  );
  expect(added).toMatchObject({ tap: 'vm11', ip: addressOf(11), state: 'up' });
  expect(await run('vm', 'wait', 'a', '--port', '5300', '--timeout', '20')).toMatchObject({ status: 0 });
  expect((await stage.probe(stage.host.path, '127.0.0.1', 16300)).result).toBe('heard hello');
  const [first] = await json('top');
  expect(first).toMatchObject({ id: 'a', counters: { drops: expect.any(Object) } });
  expect(first.counters.rxFrames).toBeGreaterThan(0);
  expect((await run('top')).stdout).toMatch(/^ID .*\na +up /);
  expect(await run('vm', 'rm', 'a')).toMatchObject({ status: 0 });
  expect((await run('vm', 'ls', '-q')).stdout).toBe('');
});

test('vm wait for what does not come -> its code, after the time given', async () => {
  await stage.guest(11);
  await run('vm', 'add', 'a', '--tap', 'vm11', '--ip', addressOf(11));
  const { status, stderr } = await run('vm', 'wait', 'a', '--port', '5300', '--timeout', '1');
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/^tapswitch: VM_NOT_READY: [^\n]+\n$/);
});

test('reload -> what changed is told; a file that is wrong -> where, and nothing is changed', async () => {
  await stage.guest(11);
  const path = daemon.child.spawnargs.find((word) => word.endsWith('.json')) as string;
  const vms = { a: { tap: 'vm11', ip: addressOf(11) } };
  writeFileSync(path, JSON.stringify({ networks: { default: stage.network() }, vms }));
  const { changes, needRestart } = await json('reload');
  expect(changes.join()).toContain('vms.a');
  expect(needRestart).toEqual([]);
  expect((await run('vm', 'ls', '-q')).stdout).toBe('a\n');
  writeFileSync(path, '{"networks": {"default": {}}, "vmss": {}}');
  const { status, stderr } = await run('reload');
  expect(status).toBe(3);
  expect(stderr).toMatch(/^tapswitch: CONFIG_INVALID: [^\n]+\n$/);
  expect((await run('vm', 'ls', '-q')).stdout).toBe('a\n');
});

test('events -> those there are; --since the last -> none; --follow -> the one that comes, until SIGINT', async () => {
  await stage.guest(11);
  await run('vm', 'add', 'a', '--tap', 'vm11', '--ip', addressOf(11));
  const seen = (await json('events')) as { sequence: number; type: string }[];
  expect(seen.map(({ type }) => type)).toContain('vm-added');
  expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, i) => i + 1));
  expect(await json('events', '--since', '1000000')).toEqual([]);
  const following = spawnIn(
    stage.host.path,
    [...COMMAND, '--socket', socket, 'events', '--follow', '--since', '0', '-o', 'json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  stage.atEnd(() => following.kill('SIGKILL'));
  let told = '';
  following.stdout?.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  await vi.waitFor(() => expect(told).toContain('"vm-added"'), WAIT);
  expect(told).not.toContain('"vm-removed"');
  await run('vm', 'rm', 'a');
  await vi.waitFor(() => expect(told).toContain('"vm-removed"'), WAIT);
  const ended = once(following, 'exit');
  following.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
  for (const line of told.trim().split('\n')) expect(JSON.parse(line).type).toMatch(/^[a-z-]+$/);
});

test('doctor: the gateway is an address of br0 -> status 69, which interface has it, and what to do', async () => {
  const config = files.file('checked.json', JSON.stringify({ networks: { default: stage.network() } }));
  const finding = async () => {
    const { status, stdout } = await run('doctor', '--config', config, '--output', 'json');
    const findings = JSON.parse(stdout) as { check: string; status: string; seen: string; fix: string }[];
    return { status, found: findings.find(({ check }) => check === 'network default') };
  };
  expect((await finding()).found).toMatchObject({ status: 'ok' });
  for (const words of [
    ['link', 'add', 'br0', 'type', 'bridge'],
    ['address', 'add', '10.1.0.1/24', 'dev', 'br0'],
  ]) {
    expect(await runIn(stage.host.path, ['ip', ...words])).toMatchObject({ status: 0 });
  }
  const { status, found } = await finding();
  expect(status).toBe(UNAVAILABLE);
  expect(found).toMatchObject({ status: 'fail', seen: '10.1.0.1 is an address of br0' });
  expect(found?.fix).toContain('ip address del');
});
