/**
 * `npm start` by a user who is not root, on a copy of the project that is theirs: the copy is compiled, and the demo
 * played in a user and network namespace, or what stands in the way is named.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { spawnIn } from '../../src/lab/process.ts';
import { scratch } from '../lib/engine-command.ts';
import { Cleanup } from '../lib/net-cleanup.ts';
import { kill } from '../lib/net-place.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COPIED = ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts', 'src', 'vm-config'];
const NOBODY = 65534;
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const DEMO = ['--once', '--json', '--quick', '--guests', 'netns'];
const MARK = `TAPSWITCH_TEST_${process.pid}`;
const END_MS = 5000;
/**
 * Mounts, for what follows alone, packages and Node.js into the copy, whoever may read them where they are, and a
 * /dev/net/tun of the given mode: Debian's is everybody's, a container's often root's.
 */
const MOUNT = `
  mount --bind "$1" "$2/node_modules" && mount --bind "$3" "$2/node" &&
  mount -t tmpfs none /dev/net && mknod -m "$4" /dev/net/tun c 10 200 &&
  cd "$2" && shift 4 && exec "$@"
`;

let copy: ReturnType<typeof scratch>;
let cleanup: Cleanup;

/** Whether there is a user `nobody` to become: not where only root is mapped into a user namespace. */
function nobodyThere(): boolean {
  const ranges = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  return ranges.some((range) => {
    const [first = 0, , count = 0] = range.trim().split(/\s+/).map(Number);
    return first <= NOBODY && NOBODY < first + count;
  });
}

/** Why nobody gets a user namespace of their own here; undefined where they do. */
function whyNoNamespace(): string | undefined {
  const [program = '', ...words] = [
    ...AS_NOBODY,
    'unshare',
    '--user',
    '--map-root-user',
    '--net',
    '--mount',
    'true',
  ];
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  return status === 0 ? undefined : stderr;
}

beforeAll(() => {
  copy = scratch();
  for (const name of COPIED) cpSync(join(ROOT, name), join(copy.path, name), { recursive: true });
  mkdirSync(join(copy.path, 'node_modules'));
  copy.file('node', '');
  if (nobodyThere()) execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, copy.path]);
});

afterAll(() => copy.remove());

beforeEach(({ skip }) => {
  cleanup = new Cleanup();
  skip(!nobodyThere(), 'it takes another user, and only root is mapped here');
});

afterEach(() => cleanup.run());

/** Processes with our mark in their environment. */
function processes(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(MARK);
    } catch {
      return false; // ended since
    }
  });
}

/** Runs `npm start`'s script as nobody, behind `prefix`. */
function start(tunMode: string, prefix: readonly string[] = []) {
  const { TAPSWITCH_CACHE: _, XDG_CACHE_HOME: __, ...environment } = process.env;
  const mounted = [join(ROOT, 'node_modules'), copy.path, process.execPath, tunMode];
  const program = [join(copy.path, 'node'), 'scripts/start.mjs', ...DEMO];
  const child = spawnIn(
    undefined,
    ['unshare', '--mount', 'sh', '-c', MOUNT, 'sh', ...mounted, ...prefix, ...AS_NOBODY, ...program],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Without a home of their own nothing is fetched for guests that are not played
      env: { ...environment, HOME: '/nonexistent', [MARK]: '1' },
    },
  );
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  cleanup.add(() => kill(child));
  return { child, output, ended };
}

/** Makes a user namespace with the same users, in which nobody may make another; answers what enters it. */
async function closedUserNamespace(): Promise<string[]> {
  const held = ['unshare', '--user', 'setpriv', '--pdeathsig', 'KILL', 'sleep', 'infinity'];
  const holder = spawnIn(undefined, held, { stdio: 'ignore' });
  cleanup.add(() => kill(holder));
  const directory = `/proc/${holder.pid}`;
  await vi.waitFor(() => expect(readFileSync(`${directory}/comm`, 'utf8')).toBe('sleep\n'));
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`${directory}/${map}`, `0 0 ${NOBODY + 1}`);
  const forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"';
  return ['nsenter', `--user=${directory}/ns/user`, '--setuid=0', '--setgid=0', 'sh', '-c', forbid, 'sh'];
}

test('user namespaces allowed: -> compiles, plays the demo in one, every line holds, status 0, nothing left', async ({
  skip,
}) => {
  skip(whyNoNamespace() !== undefined, whyNoNamespace());
  const { output, ended } = start('666');
  expect(await ended, output.stderr).toBe(0);
  expect(output.stderr).toContain('tapswitch: compiling src to dist\n');
  const lines = output.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.filter(({ ok }) => !ok)).toEqual([]);
  expect(lines.map(({ name }) => name)).toContain('ping host -> guest');
  expect(processes()).toEqual([]);
});

test('SIGINT while the demo plays in its user namespace: -> ends within 5 s, nothing left', async ({
  skip,
}) => {
  skip(whyNoNamespace() !== undefined, whyNoNamespace());
  const { output, ended } = start('666');
  await vi.waitFor(() => expect(output.stderr).toContain('demo: '), { timeout: 20_000 });
  const script = processes().find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0scripts/start.mjs\0'),
  );
  process.kill(Number(script), 'SIGINT');
  expect(await Promise.race([ended, sleep(END_MS, 'runs on')]), output.stderr).not.toBe('runs on');
  expect(processes()).toEqual([]);
});

test('user namespaces forbidden: -> says what is needed and which setting forbids it, status not 0', async () => {
  const { output, ended } = start('666', await closedUserNamespace());
  expect(await ended).not.toBe(0);
  expect(output.stderr).toContain(
    'tapswitch: the demo will not get far: it needs root or user namespaces (sysctl user.max_user_namespaces is 0)\n',
  );
  expect(output.stdout).toBe('');
  expect(processes()).toEqual([]);
});

test('/dev/net/tun that is root`s alone: -> TUN_MISSING in one line, with what to do', async () => {
  const { output, ended } = start('600');
  expect(await ended).toBe(69);
  expect(output.stderr).toMatch(
    /^tapswitch: TUN_MISSING: \/dev\/net\/tun cannot be opened \(EACCES\)\. .*give this user access to it\.$/m,
  );
  expect(processes()).toEqual([]);
});
