import type { ConfigInput } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Daemon, scratch, startUp, tapswitch } from '../lib/engine-command.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, ping, Stage } from '../lib/engine-stage.ts';

const CONFLICT = 5;

let stage: Stage;
let files: ReturnType<typeof scratch>;
let config: ConfigInput;
const daemons: Daemon[] = [];

beforeEach(async () => {
  stage = new Stage();
  files = scratch();
  await stage.guest(11);
  config = {
    networks: {
      default: {
        subnet: '10.1.0.0/24',
        gateway: GATEWAY,
        hostPort: { name: stage.hostPort, address: HOST_ADDRESS },
      },
    },
    vms: { a: { tap: 'vm11', ip: addressOf(11) } },
  };
});

afterEach(async () => {
  for (const { child, ended } of daemons.splice(0)) {
    child.kill('SIGKILL');
    await ended;
  }
  await stage.end();
  files.remove();
});

async function up(env: NodeJS.ProcessEnv = {}) {
  const daemon = await startUp(stage.host.path, config, files, { env });
  daemons.push(daemon);
  return daemon;
}

const reachable = async () => (await ping(stage.host.path, addressOf(11), 1)).received === 1;
const guarded = async () => (await stage.run('nft', 'list', 'ruleset')).includes('chain vm11');

/** Status of a daemon that must end within `ms`. */
function endWithin({ ended }: Daemon, ms: number): Promise<number | 'runs on'> {
  return Promise.race([ended, new Promise<'runs on'>((resolve) => setTimeout(() => resolve('runs on'), ms))]);
}

test('ready: -> "1" and a line feed on the descriptor, and traffic flows', async () => {
  const daemon = await up();
  expect(daemon.ready).toBe('1\n');
  expect(await reachable()).toBe(true);
  for (const line of daemon.log().trim().split('\n')) {
    expect(JSON.parse(line)).toMatchObject({ name: 'tapswitch', msg: expect.any(String) });
  }
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s -> ends with 0 within a second, guard kept', async (signal) => {
  const daemon = await up();
  daemon.child.kill(signal);
  expect(await endWithin(daemon, 1500)).toBe(0);
  expect(daemon.log()).toContain('stopping');
  expect(await guarded()).toBe(true);
  expect(await reachable()).toBe(false);
});

test('SIGKILL -> gone, guard kept; started again -> traffic flows', async () => {
  const daemon = await up();
  daemon.child.kill('SIGKILL');
  expect(await endWithin(daemon, 1500)).toBe(137);
  expect(await guarded()).toBe(true);
  await up();
  expect(await reachable()).toBe(true);
});

test('second switch for the same host port -> TAP_HELD naming the first one`s pid, status 5', async () => {
  const first = await up();
  const second = await up();
  expect(second.ready).toBe('');
  expect(await second.ended).toBe(CONFLICT);
  expect(second.log()).toMatch(
    new RegExp(`^tapswitch: TAP_HELD: ${stage.hostPort} is held by process ${first.pid} \\(node\\)\\. `),
  );
  expect(await reachable()).toBe(true);
});

test.each([
  ['throws', `throw new Error('planted')`],
  ['rejects', `Promise.reject(new Error('planted'))`],
])(
  'main thread that %s while the worker sleeps -> ends with 1 within 2 s, and says what it was',
  async (_, fault) => {
    const plant = files.file(
      'plant.mjs',
      `import { isMainThread } from 'node:worker_threads';
    import { existsSync } from 'node:fs';
    const watch = () => { if (existsSync('${files.path}/now')) ${fault}; };
    if (isMainThread && process.argv[1]?.endsWith('main.js')) setInterval(watch, 20).unref();`,
    );
    const daemon = await up({ NODE_OPTIONS: `--import=${plant}` });
    expect(daemon.ready).toBe('1\n');
    files.file('now', '');
    expect(await endWithin(daemon, 2000)).toBe(1);
    expect(daemon.log()).toContain('tapswitch: bug: Error: planted');
    expect(await guarded()).toBe(true);
  },
);

test('VM that cannot be attached -> ends with its status, one line, host port not held', async () => {
  config = { ...config, vms: { b: { tap: 'nothere' } } };
  const daemon = await up();
  expect(await endWithin(daemon, 2000)).toBe(69);
  expect(
    daemon
      .log()
      .split('\n')
      .filter((line) => !line.startsWith('{') && line !== ''),
  ).toEqual([expect.stringMatching(/^tapswitch: TAP_MISSING: VM b: there is no interface nothere\. .+\.$/)]);
  const holder = stage.holdTap(stage.hostPort);
  holder.release();
});

test('descriptor for readiness that is not open -> refused as wrong usage before anything is touched', async () => {
  const path = files.file('c.json', JSON.stringify(config));
  const { status, stderr } = await tapswitch(stage.host.path, ['up', '--config', path, '--ready-fd', '57']);
  expect(status).toBe(2);
  expect(stderr).toContain('No such descriptor is open');
  stage.holdTap(stage.hostPort).release();
});
