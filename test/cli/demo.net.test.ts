import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spawnIn } from '../../src/lab/process.ts';
import { COMMAND } from '../lib/engine-command.ts';
import { Stage } from '../lib/engine-stage.ts';

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
  return { links, routes, rules: await stage.run('nft', 'list', 'ruleset') };
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
    await new Promise((resolve) => setTimeout(resolve, ms));
    child.kill(signal);
    const late = new Promise((resolve) => setTimeout(() => resolve('runs on'), 5000));
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
