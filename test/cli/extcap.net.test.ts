/** VMs as interfaces of the real tshark, by `tapswitch extcap`. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { type Daemon, scratch, tapswitch } from '../lib/engine-command.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';
import { startWeb } from '../lib/net-web.ts';

const hasTshark = spawnSync('tshark', ['--version']).status === 0;
const USAGE = 2;
const UNAVAILABLE = 69;
let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let guest: NetnsGuest;
let daemon: Daemon;

const socket = () => join(files.path, 'api.sock');
const run = (...words: string[]) => tapswitch(undefined, ['--socket', socket(), 'extcap', ...words]);
/** Environment of a user who has nothing but what the test gives. */
const home = () => ({
  PATH: process.env.PATH,
  HOME: files.path,
  XDG_CONFIG_HOME: join(files.path, 'config'),
});

/** Installs the script in that home. */
async function install(): Promise<void> {
  const command = ['env', ...Object.entries(home()).map(([name, value]) => `${name}=${value}`)];
  const { status, stderr } = await tapswitch(undefined, ['--socket', socket(), 'extcap', 'install'], command);
  const path = stderr.replace('Wrote ', '').trim();
  expect([status, statSync(path).mode & 0o777]).toEqual([0, 0o755]);
  expect(path.startsWith(files.path)).toBe(true);
}

beforeEach(() => {
  files = scratch();
});

afterEach(() => files.remove());

describe('with a daemon', () => {
  beforeEach(async () => {
    stage = new GatewayStage();
    guest = await stage.guest(11);
    daemon = await startWeb(stage, files);
  });

  afterEach(async () => {
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    await stage.end();
  });

  describe.skipIf(!hasTshark)('in tshark (Debian package tshark)', () => {
    test('-D -> the VM and every port are interfaces', async () => {
      await install();
      const { stdout } = spawnSync('tshark', ['-D'], { encoding: 'utf8', env: home() });
      expect(stdout).toContain(' tapswitch (tapswitch: every port)');
      expect(stdout).toContain(' tapswitch-web (tapswitch: VM web, network default)');
    });

    test('-i, with a capture filter -> its frames; it ends with tshark', async () => {
      await install();
      const words = [
        '-l',
        '-i',
        'tapswitch-web',
        '-f',
        'icmp',
        '-c',
        '4',
        '-T',
        'fields',
        '-e',
        '_ws.col.Info',
      ];
      const child = spawnIn(undefined, ['tshark', ...words], { env: home() });
      const ping = spawnIn(guest.namespace, ['ping', '-i0.3', GATEWAY], { stdio: 'ignore' });
      let shown = '';
      child.stdout?.on('data', (piece) => {
        shown += piece;
      });
      const [code] = await once(child, 'close');
      expect(code).toBe(0);
      const lines = shown.trimEnd().split('\n');
      expect(lines).toHaveLength(4);
      for (const line of lines) expect(line).toMatch(/Echo \(ping\) (request|reply)/);
      ping.kill();
      const running = () => spawnSync('pgrep', ['-f', `${socket()} extcap --capture`], { encoding: 'utf8' });
      await vi.waitFor(() => expect(running().stdout).toBe(''), { timeout: 10_000 });
    });
  });

  test('what Wireshark asks -> answers in its grammar', async () => {
    const { stdout, status } = await run('--extcap-interfaces', '--extcap-version=4.0');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^extcap \{version=\d+\.\d+\.\d+[^}]*}\ninterface \{value=tapswitch}\{display=[^}]+}\n/,
    );
    const about = (...words: string[]) => run('--extcap-interface', 'tapswitch-web', ...words);
    expect((await about('--extcap-dlts')).stdout).toBe('dlt {number=1}{name=EN10MB}{display=Ethernet}\n');
    expect(await about('--extcap-config')).toMatchObject({ status: 0, stdout: '' });
    expect(await about('--extcap-capture-filter', 'tcp port 80')).toMatchObject({ status: 0, stdout: '' });
    expect((await about('--extcap-capture-filter', 'tcp port 80 und')).stdout).toMatch(
      /^capture filter, column 13: .*\n$/,
    );
  });

  test('a VM that is not there, or no daemon -> one line on stderr', async () => {
    const fifo = join(files.path, 'fifo');
    spawnSync('mkfifo', [fifo]);
    const reader = spawnIn(undefined, ['cat', fifo]);
    const words = ['--extcap-interface', 'tapswitch-wen', '--capture', '--fifo', fifo];
    expect(await run(...words)).toMatchObject({
      status: USAGE,
      stderr: expect.stringContaining('VM_UNKNOWN'),
    });
    reader.kill();
    const nobody = ['--socket', join(files.path, 'none'), 'extcap', '--extcap-interfaces'];
    const { status, stderr } = await tapswitch(undefined, nobody);
    expect([status, stderr]).toEqual([
      UNAVAILABLE,
      expect.stringMatching(/^tapswitch: DAEMON_UNREACHABLE.*\n$/),
    ]);
  });
});

test.each([
  [[], USAGE, 'say --extcap-interfaces or'],
  [['--extcap-interface', 'eth0', '--extcap-dlts'], USAGE, 'eth0 is no interface of tapswitch'],
  [['--extcap-interface', 'tapswitch', '--capture'], USAGE, '--capture needs --fifo'],
  [
    ['--extcap-interface', 'tapswitch', '--capture', '--fifo', '/no/fifo'],
    1,
    '/no/fifo cannot be written: ENOENT',
  ],
  [['install', '--dir', '/dev/null/x'], 1, 'cannot be written: ENOTDIR'],
])('%j -> status %i, one line on stderr', async (words, status, text) => {
  const outcome = await run(...words);
  expect(outcome).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(text) });
  expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(existsSync('/no/fifo')).toBe(false);
});

test('install --dir -> a script that is run as it is, whatever is in the socket`s name', async () => {
  const odd = join(files.path, "it's");
  await tapswitch(undefined, ['--socket', odd, 'extcap', 'install', '--dir', join(files.path, 'a b')]);
  const path = join(files.path, 'a b/tapswitch');
  expect(readFileSync(path, 'utf8')).toMatch(/^#!\/bin\/sh\nexec .* "\$@"\n$/);
  const { stderr } = await runIn(undefined, [path, '--extcap-interfaces']);
  expect(stderr).toContain(odd);
});
