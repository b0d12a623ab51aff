/** `tapswitch capture` as people run it, against a running daemon; tshark reads what it wrote. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { COMMAND, type Daemon, scratch, startUp, tapswitch } from '../lib/engine-command.ts';
import { addressOf, GATEWAY, ping } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const hasTshark = spawnSync('tshark', ['--version']).status === 0;
const USAGE = 2;
let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guest: NetnsGuest;
let daemon: Daemon;

const socket = () => join(files.path, 'api.sock');
const run = (...words: string[]) => tapswitch(undefined, ['--socket', socket(), ...words]);

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  guest = await stage.guest(11);
  const vms = { web: { tap: 'vm11', ip: addressOf(11), forwards: ['16300:5300'] } };
  const env = { TAPSWITCH_SOCKET: socket(), TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, { networks: { default: stage.network() }, vms }, files, { env });
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await stage.end();
  files.remove();
});

function tshark(file: string, filter = ''): string[] {
  const { stdout, status } = spawnSync(
    'tshark',
    ['-r', file, '-Y', filter, '-T', 'fields', '-e', 'frame.interface_name'],
    {
      encoding: 'utf8',
    },
  );
  expect(status).toBe(0);
  return stdout.split('\n').filter((line) => line !== '');
}

async function pinging(seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 2; i++) {
    await ping(guest.namespace, GATEWAY, 1);
    await sleep(300);
  }
}

describe.skipIf(!hasTshark)('tapswitch capture (Debian package tshark)', () => {
  test('one VM, filter, count -> that many of its frames, and statistics', async () => {
    const file = join(files.path, 'web.pcapng');
    const [outcome] = await Promise.all([
      run('capture', 'web', '-w', file, '--count', '4', 'icmp'),
      pinging(2),
    ]);
    expect(outcome).toMatchObject({ status: 0, stdout: '', stderr: '4 frames captured\n' });
    expect(tshark(file)).toEqual(['web', 'web', 'web', 'web']);
    expect(tshark(file, 'icmp')).toHaveLength(4);
  });

  test('--all to standard output for a time -> ends by itself; tshark reads it from a pipe', async () => {
    const command = `${COMMAND.join(' ')} --socket ${socket()} capture --all --duration 3 | tshark -r - -T fields -e frame.interface_name`;
    const child = spawnIn(undefined, ['sh', '-c', command]);
    let text = '';
    child.stdout?.on('data', (piece) => {
      text += piece;
    });
    await pinging(2);
    await new Promise((resolve) => child.once('exit', resolve));
    expect(text).toContain('web\n');
  });

  test('SIGINT -> what has been captured is whole', async () => {
    const file = join(files.path, 'until.pcapng');
    const child = spawnIn(undefined, [...COMMAND, '--socket', socket(), 'capture', '--all', '-w', file]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await sleep(1000);
    await pinging(1);
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(tshark(file, 'icmp').length).toBeGreaterThanOrEqual(2);
  });

  test("TCP through a forward -> the gateway's segments are there with their payload", async () => {
    await stage.serve(guest.namespace, 'echo', 5300);
    const file = join(files.path, 'tcp.pcapng');
    const capture = run('capture', 'web', '-w', file, '--duration', '4', 'tcp port 5300');
    await sleep(1500);
    const word = 'x'.repeat(3000);
    const client = spawnIn(stage.host.path, [
      'sh',
      '-c',
      `printf '%s' ${word} | timeout 1 nc -q 1 127.0.0.1 16300`,
    ]);
    await new Promise((resolve) => child(client, resolve));
    expect((await capture).status).toBe(0);
    const both = tshark(file, `tcp.payload contains "xxxxxxxx"`);
    expect(both.length).toBeGreaterThanOrEqual(2);
    expect(tshark(file, 'tcp.flags.syn == 1').length).toBeGreaterThanOrEqual(2);
  });
});

const child = (process: ReturnType<typeof spawnIn>, then: (code: unknown) => void) =>
  process.once('exit', then);

test.each([
  [['capture'], USAGE, 'name VMs, or say --all'],
  [['capture', 'wen', 'tcp'], USAGE, 'there is no VM wen (for every port: --all)'],
  [
    ['capture', 'web', 'hots', 'x'],
    USAGE,
    "FILTER_INVALID: capture filter, column 1: there is no 'hots' in a filter",
  ],
  [['capture', '--all', '--ring', '5x100MB'], USAGE, '--ring needs -w FILE'],
  [['capture', '--all', '--ring', '5'], USAGE, 'It is FILESxSIZE'],
  [['capture', '--all', '--count', '0'], USAGE, 'whole number from 1'],
  [['capture', '--all', '-w', '/no/such/folder/x'], 1, 'cannot be written: ENOENT'],
])('%j -> status %i, one line', async (words, status, text) => {
  const outcome = await run(...words);
  expect(outcome).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(text) });
});
