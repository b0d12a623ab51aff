import type { ConfigInput } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import { scratch, startUp } from '../lib/engine-command.ts';
import { addressOf, HOST_ADDRESS, ping, Stage } from '../lib/engine-stage.ts';

const PRIVILEGE = 4;
const UNAVAILABLE = 69;

let stage: Stage;
let files: ReturnType<typeof scratch>;

beforeEach(() => {
  stage = new Stage();
  files = scratch();
  inNamespace(stage.host.path, () => createPersistentTap('t1'));
});

afterEach(async () => {
  await stage.end();
  files.remove();
});

const without = (...capabilities: string[]) => {
  const list = capabilities.map((name) => `-${name}`).join(',');
  return ['setpriv', `--bounding-set=${list}`, `--inh-caps=${list}`];
};
const only = (...capabilities: string[]) => {
  const list = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
  return ['setpriv', `--bounding-set=${list}`, `--inh-caps=${list}`];
};

const network = { subnet: '10.1.0.0/24', gateway: '10.1.0.1' };
const withHostPort = (): ConfigInput => ({
  networks: { default: { ...network, hostPort: { name: stage.hostPort, address: HOST_ADDRESS } } },
});
const withVm = (): ConfigInput => ({ networks: { default: network }, vms: { a: { tap: 't1' } } });

async function refused(config: ConfigInput, prefix: string[]) {
  const { ended, log, ready } = await startUp(stage.host.path, config, files, { prefix });
  const status = await ended;
  expect(ready).toBe('');
  const lines = log().trim().split('\n');
  return { status, line: lines.at(-1), plain: lines.filter((line) => !line.startsWith('{')).length };
}

test.each([
  [
    'without CAP_NET_RAW, a VM',
    withVm,
    without('net_raw'),
    /CAPABILITY_MISSING: .*AF_PACKET.* needs CAP_NET_RAW\. /,
  ],
  [
    'without CAP_NET_ADMIN, a host port',
    withHostPort,
    without('net_admin'),
    /CAPABILITY_MISSING: .* needs CAP_NET_ADMIN\. /,
  ],
  [
    'without CAP_NET_ADMIN, a VM',
    withVm,
    without('net_admin'),
    /CAPABILITY_MISSING: .* needs CAP_NET_ADMIN\. /,
  ],
])('%s: up -> refused in one line that names the capability', async (_, config, prefix, pattern) => {
  expect(await refused(config(), prefix)).toEqual({
    status: PRIVILEGE,
    line: expect.stringMatching(pattern),
    plain: 1,
  });
});

test('another namespace without CAP_SYS_ADMIN: up -> refused in one line that names the capability', async () => {
  const config = { networks: { default: network }, vms: { a: { tap: 't1', netns: '/proc/1/ns/net' } } };
  const { status, line } = await refused(config, only('net_admin', 'net_raw'));
  expect(line).toMatch(/CAPABILITY_MISSING: .* needs CAP_SYS_ADMIN\. /);
  expect(status).toBe(PRIVILEGE);
});

test('/dev/net/tun hidden: up with a host port -> TUN_MISSING in one line', async () => {
  const hidden = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
  expect(await refused(withHostPort(), hidden)).toEqual({
    status: UNAVAILABLE,
    line: expect.stringMatching(/TUN_MISSING: \/dev\/net\/tun cannot be opened \(ENOENT\)\. .*modprobe tun/),
    plain: 1,
  });
});

test('CAP_NET_ADMIN and CAP_NET_RAW alone: up -> everything works, guard included', async () => {
  const guest = await stage.guest(11);
  const config = { ...withHostPort(), vms: { a: { tap: 'vm11', ip: addressOf(11) } } };
  const prefix = only('net_admin', 'net_raw');
  const { child, ended, ready, log } = await startUp(stage.host.path, config, files, { prefix });
  expect({ ready, log: ready === '' ? log() : '' }).toEqual({ ready: '1\n', log: '' });
  expect((await ping(stage.host.path, addressOf(11))).received).toBe(3);
  expect((await ping(guest.namespace, '10.1.0.1')).received).toBe(3);
  expect(await stage.run('nft', 'list', 'ruleset')).toContain('chain vm11');
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});

test('another user with those two capabilities: up -> works as well', async () => {
  const guest = await stage.guest(11);
  const caps = '+net_admin,+net_raw';
  const prefix = [
    'setpriv',
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    `--inh-caps=${caps}`,
    `--ambient-caps=${caps}`,
    `--bounding-set=-all,${caps}`,
  ];
  const config = { networks: { default: network }, vms: { a: { tap: 'vm11', ip: addressOf(11) } } };
  const { child, ended, ready, log } = await startUp(stage.host.path, config, files, { prefix });
  expect({ ready, log: ready === '' ? log() : '' }).toEqual({ ready: '1\n', log: '' });
  expect((await ping(guest.namespace, '10.1.0.1')).received).toBe(3);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});
