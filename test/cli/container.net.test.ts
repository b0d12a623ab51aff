/** The daemon as the first process of a container: two capabilities, /dev/net/tun, a file system that cannot be written. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigInput } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../src/client/client.ts';
import { spawnIn } from '../../src/lab/process.ts';
import { COMMAND, scratch } from '../lib/engine-command.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, ping } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 8000, interval: 50 };
/** What a runtime does for `--cap-drop ALL --cap-add ... --device /dev/net/tun --read-only -v DIRECTORY:DIRECTORY` */
const CONTAINER = `
  mount --bind "$1" "$1"
  mount -o remount,bind,ro /
  mount -t tmpfs none /dev/shm
  exec setpriv --bounding-set=-all,+net_admin,+net_raw --inh-caps=-all --no-new-privs "\${@:2}"
`;

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let client: Client;
let container: ChildProcess | undefined;

beforeEach(() => {
  stage = new GatewayStage();
  files = scratch();
  client = createClient({ socket: join(files.path, 'api.sock') });
});

afterEach(async () => {
  if (container?.exitCode === null) {
    container.kill('SIGKILL');
    await once(container, 'exit');
  }
  await stage.end();
  files.remove();
});

/** Starts the daemon in a container, and waits until it answers. */
async function up(config: ConfigInput): Promise<ChildProcess> {
  const apart = ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child', '--uts', '--ipc'];
  const path = files.file('config.json', JSON.stringify(config));
  const command = [
    ...apart,
    'bash',
    '-ec',
    CONTAINER,
    'bash',
    files.path,
    ...COMMAND,
    'up',
    '--config',
    path,
  ];
  const place = {
    TAPSWITCH_SOCKET: join(files.path, 'api.sock'),
    TAPSWITCH_STATE: join(files.path, 'state'),
  };
  const child = spawnIn(stage.host.path, command, { stdio: 'ignore', env: { ...process.env, ...place } });
  container = child;
  await vi.waitFor(async () => expect((await client.health()).status).toBe('ok'), WAIT);
  return child;
}

test('up in a container -> VMs are registered, made TAPs and reached; asked to end, it does', async () => {
  const guest = await stage.guest(11);
  const hostPort = { name: stage.hostPort, address: HOST_ADDRESS };
  const child = await up({ networks: { default: stage.network({ hostPort }) } });
  expect(await client.putVm('a', { tap: 'vm11', ip: addressOf(11) })).toMatchObject({ state: 'up' });
  expect(await client.putVm('b', { createTap: {} })).toMatchObject({ state: 'down', tap: 'fc-b' });
  expect((await ping(stage.host.path, addressOf(11), 3)).received).toBe(3);
  expect((await ping(guest.namespace, GATEWAY, 3)).received).toBe(3);
  await vi.waitFor(async () => expect((await client.diagnose('a')).verdict.code).toBe('HEALTHY'), WAIT);
  // What `unshare` has started is process 1 where it is.
  const first = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  const ended = once(child, 'exit');
  process.kill(Number(first), 'SIGTERM');
  expect(await ended).toEqual([0, null]);
});
