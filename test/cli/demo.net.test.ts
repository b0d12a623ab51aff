import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { GuestUnavailable } from '../../src/lab/guest.ts';
import { ensureKernel } from '../../src/lab/kernel.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { qemuAvailable } from '../../src/lab/qemu-guest.ts';
import { COMMAND } from '../lib/engine-command.ts';
import { Stage } from '../lib/engine-stage.ts';

const FETCH_MS = 600_000;
const END_MS = 5000;
const SHORT = ['demo', '--json', '--quick', '--guests', 'netns'];
/** Moments at which the demo is ended, `ms` after its start: before, while and after everything is made */
const MOMENTS = [250, 650, 800, 950, 1300, 2000, 4000, 7000];

const MARK = `TAPSWITCH_TEST_${process.pid}`;

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.end());

/** What the demo may leave in the namespace that plays its host. */
async function traces() {
  const links = JSON.parse(await stage.run('ip', '-j', 'addr')).map(
    ({ ifname, addr_info }: { ifname: string; addr_info: { local: string }[] }) =>
      `${ifname} ${addr_info.map(({ local }) => local)}`,
  );
  const routes = await stage.run('ip', 'route', 'show', 'table', 'all');
  const sockets = await stage.run('ss', '-Hnl', '-A', 'packet,raw,tcp,udp,unix');
  return { links, routes, sockets, rules: await stage.run('nft', 'list', 'ruleset') };
}

/** Processes with a variable in their environment: the demo, with everything it starts. */
function processesWith(variable: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(variable);
    } catch {
      return false; // ended since
    }
  });
}

function start(words: readonly string[]) {
  const child = spawnIn(stage.host.path, [...COMMAND, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, [MARK]: '1' },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  stage.atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, output, ended };
}

test.each([
  ['isolated', ['--once']],
  ['shared', ['--once', '--mode', 'shared']],
  ['on the host', ['--once', '--on-host']],
])('demo, %s: -> every line holds and parses, status 0, nothing left', async (_, words) => {
  const before = await traces();
  const { output, ended } = start([...SHORT, ...words]);
  const status = await ended;
  const lines = output.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.filter(({ ok }) => !ok)).toEqual([]);
  expect(lines.length).toBeGreaterThanOrEqual(9);
  for (const line of lines)
    expect(line).toMatchObject({ name: expect.any(String), seen: expect.any(String) });
  expect(lines.map(({ name }) => name)).toContain('ping host -> guest');
  expect(status).toBe(0);
  expect(await traces()).toEqual(before);
  expect(processesWith(MARK)).toEqual([]);
});

test.each(MOMENTS.map((ms, i) => [i % 2 ? 'SIGINT' : 'SIGTERM', ms] as const))(
  'demo on the host, %s after %i ms: -> ends within 5 s, nothing left',
  async (signal, ms) => {
    const before = await traces();
    const { child, output, ended } = start([...SHORT, '--on-host']);
    await sleep(ms);
    child.kill(signal);
    const late = sleep(END_MS, 'runs on');
    expect([0, signal, 130, 143], output.stderr).toContain(await Promise.race([ended, late]));
    expect(processesWith(MARK)).toEqual([]);
    expect(await traces(), output.stderr).toEqual(before);
  },
);

test('TAP of the demo`s that somebody has already: -> ends with an error, theirs stays, nothing else is left', async () => {
  await stage.run('ip', 'link', 'add', 'fc-vm-02019', 'type', 'veth', 'peer', 'name', 'theirs');
  const before = await traces();
  const { output, ended } = start([...SHORT, '--on-host']);
  expect(await ended).toBe(1);
  expect(output.stderr).toContain('EEXIST');
  expect(processesWith(MARK)).toEqual([]);
  expect(await traces()).toEqual(before);
});

describe('with real guests', () => {
  let unavailable: string | undefined;

  beforeAll(async () => {
    const available = await qemuAvailable();
    if (!available.ok) unavailable = available.reason;
    // The demo's host in these tests has no way out.
    else
      await ensureKernel().catch((error: unknown) => {
        if (!(error instanceof GuestUnavailable)) throw error;
        unavailable = error.message;
      });
  }, FETCH_MS);

  beforeEach(({ skip }) => skip(unavailable !== undefined, unavailable));

  /** Starts the demo and waits until it says that it has come to a point. */
  async function startUntil(said: string) {
    const demo = start(['demo', '--json', '--quick', '--guests', 'qemu', '--on-host']);
    const alive = { timeout: 30_000, interval: 5 };
    await vi.waitFor(() => expect(demo.output.stderr + demo.output.stdout).toContain(said), alive);
    return demo;
  }

  const emulators = () =>
    processesWith(MARK).filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu'));

  test.each([
    ['SIGINT', 'making TAP fc-vm-02019', 0, 0],
    ['SIGINT', 'booting vm-02018', 0, undefined],
    ['SIGTERM', 'booting vm-02019', 0, undefined],
    ['SIGINT', 'booting vm-02019', 300, 2],
    ['SIGINT', 'booting vm-02019', 1500, 2],
    ['SIGTERM', '"ARP answered"', 0, 2],
  ] as const)('%s at "%s" and %i ms: -> ends within 5 s, nothing left', async (signal, said, ms, running) => {
    const before = await traces();
    const { child, output, ended } = await startUntil(said);
    await sleep(ms);
    if (running !== undefined) expect(emulators(), output.stderr).toHaveLength(running);
    child.kill(signal);
    expect(await Promise.race([ended, sleep(END_MS, 'runs on')]), output.stderr).toBe(0);
    expect(processesWith(MARK)).toEqual([]);
    expect(await traces(), output.stderr).toEqual(before);
  });

  test('a guest`s VMM ends while it boots: -> ends with an error that names the guest, nothing left', async () => {
    const before = await traces();
    const { output, ended } = await startUntil('booting vm-02019');
    await vi.waitFor(() => expect(emulators()).toHaveLength(2), { timeout: END_MS });
    process.kill(Number(emulators()[0]), 'SIGKILL');
    expect(await Promise.race([ended, sleep(END_MS, 'runs on')]), output.stderr).toBe(1);
    expect(output.stderr).toMatch(/guest vm-0201[89] has ended/);
    expect(processesWith(MARK)).toEqual([]);
    expect(await traces()).toEqual(before);
  });
});
