import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { scratch, tapswitch } from '../lib/engine-command.ts';

const USAGE = 2;
const CONFIG = 3;

let files: ReturnType<typeof scratch>;

beforeEach(() => {
  files = scratch();
});

afterEach(() => files.remove());

const run = (...words: string[]) => tapswitch(undefined, words);

test('--version -> the package`s version alone', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(await run('--version')).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

test.each([
  [['--help'], ['up', 'demo', '--version']],
  [
    ['up', '--help'],
    ['--config', '--ready-fd', '--log-level', 'Example'],
  ],
  [
    ['demo', '--help'],
    ['--once', '--json', '--guests', '--on-host', 'Examples'],
  ],
])('%j -> usage on stdout, status 0', async (words, expected) => {
  const { status, stdout, stderr } = await run(...words);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  for (const text of expected) expect(stdout).toContain(text);
});

test.each([
  [['--colour'], "unknown option '--colour'"],
  [['upp'], "unknown command 'upp'"],
  [['up'], "required option '--config <file>'"],
  [['up', '--config'], 'argument missing'],
  [['up', '--config', 'x', '--ready-fd', 'one'], 'number of an open descriptor'],
  [['up', '--config', 'x', '--log-level', 'loud'], 'It is one of trace, debug'],
  [['up', '--config', 'x', 'more'], 'too many arguments'],
  [['demo', '--guests', 'docker'], 'auto, qemu, netns'],
  [['demo', '--fast'], "unknown option '--fast'"],
  [['diagnose'], 'BAD_REQUEST: neither a VM nor --tap is given'],
  [['diagnose', 'vm-1', '--tap', 'tap0', '--ip', '10.1.0.11'], 'a VM and --tap are given'],
  [['diagnose', 'vm-1', '--peer', '10.1.0.12'], '--ip and --peer belong to --tap'],
  [['diagnose', '--tap', 'tap0'], '--tap is given without --ip'],
  [['diagnose', '--tap', 'tap0', '--ip', '10.1.0.300'], 'It is an IPv4 address'],
  [['diagnose', '--tap', 'tap0', '--ip', '10.1.0.11', '--peer', '10.1.0.11'], '--peer is the guest itself'],
])('%j -> status 2, says what is wrong on stderr', async (words, expected) => {
  const { status, stdout, stderr } = await run(...words);
  expect({ status, stdout }).toEqual({ status: USAGE, stdout: '' });
  expect(stderr).toContain(expected);
});

test('no command -> usage on stderr, status 2', async () => {
  const { status, stdout, stderr } = await run();
  expect({ status, stdout }).toEqual({ status: USAGE, stdout: '' });
  expect(stderr).toContain('Usage: tapswitch');
});

test.each([
  ['file that is not there', undefined, 'CONFIG_UNREADABLE', ''],
  ['YAML that does not parse', 'networks:\n  default: {', 'CONFIG_SYNTAX', ':2:13: '],
  [
    'unknown key',
    'networks:\n  default: { subnet: 10.0.0.0/8, gateway: 10.0.0.1, mod: shared }',
    'CONFIG_INVALID',
    ':2:53: ',
  ],
  [
    'gateway outside the subnet',
    'networks:\n  default: { subnet: 10.0.0.0/8, gateway: 11.0.0.1 }',
    'ADDRESS_OUTSIDE_SUBNET',
    ':2:34: ',
  ],
  ['empty file', '', 'CONFIG_INVALID', ''],
])('up, %s -> status 3, one line with the place', async (_, content, code, place) => {
  const path = content === undefined ? `${files.path}/nothere.yaml` : files.file('tapswitch.yaml', content);
  const { status, stdout, stderr } = await run('up', '--config', path);
  expect({ status, stdout }).toEqual({ status: CONFIG, stdout: '' });
  expect(stderr).toMatch(new RegExp(`^tapswitch: ${code}: [^\\n]+[.?] [^\\n]+\\.\\n$`));
  expect(stderr).toContain(`${path}${place}`);
});
