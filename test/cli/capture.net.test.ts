/** `tapswitch capture` as people run it, against a running daemon; tshark reads what it wrote. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { ask } from '../api/stage.ts';
import { COMMAND, type Daemon, scratch, tapswitch } from '../lib/engine-command.ts';
import { GATEWAY, ping } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';
import { startWeb } from '../lib/net-web.ts';

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
  daemon = await startWeb(stage, files, { forwards: ['16300:5300'] });
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

/** Statistics blocks of each interface. */
function statisticsIn(file: string): string[] {
  const { stdout } = spawnSync('capinfos', [file], { encoding: 'utf8' });
  return [...stdout.matchAll(/Number of stat entries = (\d+)/g)].map(([, count]) => count as string);
}

interface Running {
  readonly child: ReturnType<typeof spawnIn>;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** Starts a capture, and waits until it runs. */
async function capture(...words: string[]): Promise<Running> {
  const child = spawnIn(undefined, [...COMMAND, '--socket', socket(), 'capture', ...words]);
  let stderr = '';
  child.stderr?.on('data', (piece) => {
    stderr += piece;
  });
  const ended = once(child, 'exit').then(([code]) => ({ code, stderr }));
  await vi.waitFor(() => expect(stderr).toContain('Capturing'), { timeout: 20_000 });
  return { child, ended };
}

describe.skipIf(!hasTshark)('tapswitch capture (Debian package tshark)', () => {
  test('one VM, filter, count -> that many of its frames', async () => {
    const file = join(files.path, 'web.pcapng');
    const { ended } = await capture('web', '-w', file, '--count', '4', 'icmp');
    await ping(guest.namespace, GATEWAY, 3);
    expect(await ended).toEqual({ code: 0, stderr: 'Capturing web\n4 frames captured\n' });
    expect(tshark(file, 'icmp')).toEqual(['web', 'web', 'web', 'web']);
  });

  test('--all to standard output -> ends when its time is over', async () => {
    const { child, ended } = await capture('--all', '--duration', '2');
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece) => pieces.push(piece));
    await ping(guest.namespace, GATEWAY, 3);
    expect((await ended).code).toBe(0);
    const file = join(files.path, 'all.pcapng');
    writeFileSync(file, Buffer.concat(pieces));
    expect(tshark(file, 'icmp')).toHaveLength(6);
  });

  test('SIGINT -> what has been captured is whole, and the daemon captures no more', async () => {
    const file = join(files.path, 'until.pcapng');
    const { child, ended } = await capture('--all', '-w', file, 'icmp');
    await ping(guest.namespace, GATEWAY, 3);
    await vi.waitFor(() => expect(tshark(file)).toHaveLength(6), { timeout: 10_000 });
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 0, stderr: 'Capturing every port\n6 frames captured\n' });
    expect(tshark(file)).toHaveLength(6);
    expect(statisticsIn(file)).toEqual(['1']);
    for (let i = 0; i < 9; i++) {
      const answer = await ask({ socketPath: socket() }, 'GET', '/v1/capture?count=1&duration=1&filter=vlan');
      expect(answer.status).toBe(200);
    }
  });

  test("TCP through a forward -> the gateway's segments are there with their payload", async () => {
    await stage.serve(guest.namespace, 'echo', 5300);
    const file = join(files.path, 'tcp.pcapng');
    const { ended } = await capture('web', '-w', file, '--duration', '4', 'tcp port 5300');
    const script = `require('net').connect(16300, '127.0.0.1').end('x'.repeat(3000)).resume()`;
    await runIn(stage.host.path, [process.execPath, '-e', script]);
    expect((await ended).code).toBe(0);
    expect(tshark(file, 'tcp.payload contains "xxxxxxxx"').length).toBeGreaterThanOrEqual(2);
    expect(tshark(file, 'tcp.flags.syn == 1')).toHaveLength(2);
  });
});

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
