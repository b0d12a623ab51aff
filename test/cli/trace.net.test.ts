/** `tapswitch trace` as people run it, against a running daemon. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { COMMAND, type Daemon, scratch } from '../lib/engine-command.ts';
import { addressOf, GATEWAY, ping } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';
import { startWeb } from '../lib/net-web.ts';

const hasScript = spawnSync('script', ['--version']).status === 0;
const ECHO = /^\d\d:\d\d:\d\d\.\d{6} web (->|<-) \S+ > \S+ ICMP echo (request|reply) id \d+ seq \d+$/;
let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guest: NetnsGuest;
let daemon: Daemon;

const socket = () => join(files.path, 'api.sock');

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  guest = await stage.guest(11);
  daemon = await startWeb(stage, files);
});

afterEach(async () => {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  await stage.end();
  files.remove();
});

/** Starts a command line and waits until its trace runs. */
async function start(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawnIn(undefined, command, { env: { ...process.env, ...env } });
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (piece) => {
    said.stdout += piece;
  });
  child.stderr?.on('data', (piece) => {
    said.stderr += piece;
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  await vi.waitFor(() => expect(said.stdout + said.stderr).toContain('Tracing'), { timeout: 20_000 });
  return { child, said, ended };
}

const trace = (...words: string[]) => start([...COMMAND, '--socket', socket(), 'trace', ...words]);

test('count -> so many lines of frames on stdout, talk on stderr', async () => {
  const { said, ended } = await trace('web', '--count', '4', 'icmp');
  await ping(guest.namespace, GATEWAY, 3);
  expect(await ended).toBe(0);
  expect(said.stderr).toBe('Tracing web\n');
  const lines = said.stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(4);
  for (const line of lines) expect(line).toMatch(ECHO);
  expect(lines[0]).toContain(`web -> ${addressOf(11)} > ${GATEWAY} ICMP echo request`);
  expect(lines[1]).toContain(`web <- ${GATEWAY} > ${addressOf(11)} ICMP echo reply`);
});

test('SIGINT -> status 0; a frame with a spoofed source was told with its reason', async () => {
  const { child, said, ended } = await trace('--all', 'drop');
  await runIn(guest.namespace, ['ip', 'addr', 'add', `${addressOf(99)}/24`, 'dev', 'eth0']);
  await runIn(guest.namespace, ['ping', '-c1', '-W1', '-I', addressOf(99), GATEWAY]);
  await vi.waitFor(() => expect(said.stdout).toContain('[dropped: spoofed-ip]'), { timeout: 10_000 });
  child.kill('SIGINT');
  expect(await ended).toBe(0);
  expect(said.stderr).toBe('Tracing every port\n');
});

test('a reader that goes -> it ends quietly', async () => {
  const { child, said, ended } = await trace('web');
  child.stdout?.destroy();
  await ping(guest.namespace, GATEWAY, 3);
  expect([await ended, said.stderr]).toEqual([0, 'Tracing web\n']);
});

test.skipIf(!hasScript).each([
  [{ TERM: 'xterm', NO_COLOR: undefined, CI: undefined }, true],
  [{ TERM: 'xterm', NO_COLOR: '1', CI: undefined }, false],
])('on a terminal, %j -> colours: %s', async (env, isColoured) => {
  const line = [...COMMAND, '--socket', socket(), 'trace', 'web', '--count', '1', 'icmp'].join(' ');
  const { said, ended } = await start(['script', '-qec', line, '/dev/null'], env);
  await ping(guest.namespace, GATEWAY, 3);
  expect(await ended).toBe(0);
  expect(said.stdout).toContain('echo request');
  expect(said.stdout.includes('\x1b[')).toBe(isColoured);
});
