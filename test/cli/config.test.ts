import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { defaultWorkers } from '../../src/config/resolve.ts';
import { readText } from '../docs/tables.ts';
import { scratch, tapswitch } from '../lib/engine-command.ts';

const CONFIG = 3;
const FILE = `networks:
  default: { subnet: 192.168.0.0/16, gateway: 192.168.0.1, dns: { records: { A.example: 10.0.0.1 } } }
vms:
  vm-1:
    tap: fc-vm-1
    profile: browser-vm
    forwards: [1000-1001:10-11]
    egress: [deny any]
`;

// Each command is a process of its own.
vi.setConfig({ testTimeout: 60_000 });

let files: ReturnType<typeof scratch>;

beforeEach(() => {
  files = scratch();
});

afterEach(() => files.remove());

const config = (...words: string[]) => tapswitch(undefined, ['config', ...words]);

describe('tapswitch config', () => {
  test('init -> a file that check finds valid, on stderr', async () => {
    const { status, stdout, stderr } = await config('init');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const path = files.file('new.yaml', stdout);
    expect(await config('check', path)).toEqual({
      status: 0,
      stdout: '',
      stderr: `${path}: valid, 1 network, 0 VMs\n`,
    });
  });

  test('check, bad value of the api -> status 3, one line with the place', async () => {
    const path = files.file('a.yaml', `${FILE}api:\n  listen: ["1.2.3.4:80"]\n`);
    const { status, stdout, stderr } = await config('check', path);
    expect({ status, stdout }).toEqual({ status: CONFIG, stdout: '' });
    expect(stderr).toMatch(/^tapswitch: CONFIG_INVALID: [^\n]+\.\n$/);
    expect(stderr).toContain(`${path}:10:12: api.listen[0]: 1.2.3.4:80 can be reached`);
  });

  test('schema -> what is published', async () => {
    expect(await config('schema')).toEqual({
      status: 0,
      stdout: readText('docs/configuration.schema.json'),
      stderr: '',
    });
  });

  test('show -> values in effect, YAML and JSON alike; the YAML, less what is chosen, is a configuration', async () => {
    const path = files.file('a.yaml', FILE);
    const yaml = await config('show', path);
    const json = await config('show', path, '--output', 'json');
    expect([yaml.status, yaml.stderr, json.status, json.stderr]).toEqual([0, '', 0, '']);
    expect(parse(yaml.stdout)).toEqual(JSON.parse(json.stdout));
    expect(JSON.parse(json.stdout)).toMatchObject({
      networks: { default: { mode: 'isolated', mtu: 1500, dns: { records: { 'a.example': ['10.0.0.1'] } } } },
      vms: { 'vm-1': { network: 'default', takeover: false } },
      api: { socket: '/run/tapswitch/api.sock' },
      workers: defaultWorkers(),
    });
    const again = files.file('again.yaml', yaml.stdout.replace('    profile: browser-vm\n', ''));
    expect((await config('check', again)).status).toBe(0);
  });

  test('show --origin -> where each value came from', async () => {
    const path = files.file('a.yaml', FILE);
    const { stdout } = await config('show', path, '--origin', '--output', 'json');
    const origins = Object.fromEntries(
      (JSON.parse(stdout) as { key: string; origin: string }[]).map(({ key, origin }) => [key, origin]),
    );
    expect(origins).toMatchObject({
      'networks.default.subnet': `${path}:2`,
      'networks.default.mtu': 'default',
      'networks.default.dns.records.a.example[0]': `${path}:2`,
      'vms.vm-1.tap': `${path}:5`,
      'vms.vm-1.network': 'default',
      'vms.vm-1.forwards[1].listen': `${path}:7`,
      'vms.vm-1.forwards[2].listen': 'profile browser-vm',
      'vms.vm-1.forwards[3].wait': 'profile browser-vm',
      'vms.vm-1.egress[0]': `${path}:8`,
      'api.socket': 'default',
    });
    const yaml = await config('show', path, '--origin');
    expect(yaml.stdout).toContain(`tap: fc-vm-1 # ${path}:5\n`);
    expect(yaml.stdout).toContain(`workers: ${defaultWorkers()} # default\n`);
  });

  test('show --origin, socket of the environment -> says so', async () => {
    const path = files.file('a.yaml', FILE);
    process.env.TAPSWITCH_SOCKET = '/run/other.sock';
    try {
      const { stdout } = await config('show', path, '--origin');
      expect(stdout).toContain('socket: /run/other.sock # environment\n');
    } finally {
      delete process.env.TAPSWITCH_SOCKET;
    }
  });

  test('diff -> status 0 and nothing, or 1 and a line for each change', async () => {
    const a = files.file('a.yaml', FILE);
    const b = files.file('b.yaml', `${FILE.replace('fc-vm-1', 'fc-vm-2')}workers: 3\n`);
    expect(await config('diff', a, a)).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(await config('diff', a, b)).toEqual({
      status: 1,
      stdout: `live     vms.vm-1.tap: fc-vm-1 -> fc-vm-2\nrestart  workers: ${defaultWorkers()} -> 3\n`,
      stderr: '',
    });
  });

  test('diff with a file that is not valid -> status 3, nothing on stdout', async () => {
    const a = files.file('a.yaml', FILE);
    const { status, stdout, stderr } = await config('diff', a, files.file('b.yaml', 'vms: {}\n'));
    expect({ status, stdout }).toEqual({ status: CONFIG, stdout: '' });
    expect(stderr).toContain('networks is missing');
  });

  test.each([
    [[], 'Usage: tapswitch config'],
    [['chek'], "unknown command 'chek'"],
    [['check'], "missing required argument 'file'"],
    [['show', 'x', '--output', 'xml'], 'yaml, json'],
    [['diff', 'x'], "missing required argument 'new'"],
  ])('%j -> status 2, says what is wrong on stderr', async (words, expected) => {
    const { status, stdout, stderr } = await config(...words);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(expected);
  });

  test.each(['init', 'check', 'show', 'diff', 'schema'])(
    '%s --help -> usage with an example',
    async (word) => {
      const { status, stdout } = await config(word, '--help');
      expect(status).toBe(0);
      expect(stdout).toContain(`Example:\n  tapswitch config ${word}`);
    },
  );
});
