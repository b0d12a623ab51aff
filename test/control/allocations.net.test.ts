/** What was chosen for a VM stays its own, whoever came before it and has gone since. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Client, createClient, type Vm } from '../../src/client/client.ts';
import { leaseAddress } from '../../src/config/identity.ts';
import { resolveNetwork } from '../../src/config/resolve.ts';
import { derivedPorts } from '../../src/forward/derived-port.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap, removePersistentTap } from '../../src/sys/tun.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const WAIT = { timeout: 8000, interval: 50 };
const GUEST_PORT = 80;
const WAITED = 'waited';

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let client: Client;
let daemon: Daemon;

beforeEach(async () => {
  stage = new GatewayStage();
  files = scratch();
  client = createClient({ socket: join(files.path, 'api.sock') });
  await up();
});

afterEach(async () => {
  await kill();
  await stage.end();
  files.remove();
});

async function up(): Promise<void> {
  const env = { TAPSWITCH_SOCKET: join(files.path, 'api.sock'), TAPSWITCH_STATE: join(files.path, 'state') };
  daemon = await startUp(stage.host.path, { networks: { default: stage.network() } }, files, { env });
}

async function kill(): Promise<void> {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
}

/** Makes or removes the TAP that a VM waits for. */
function tap(change: (name: string) => unknown): void {
  inNamespace(stage.host.path, () => void change(WAITED));
}

/** Two ids that lead to the same address and the same host port. */
function rivals(): [string, string] {
  const { subnet = '', gateway = '' } = stage.network() as { subnet: string; gateway: string };
  const network = resolveNetwork('default', { subnet, gateway });
  const seen = new Map<string, string>();
  for (let i = 0; ; i++) {
    const id = `vm-${i}`;
    const key = `${leaseAddress(id, network, new Set())} ${derivedPorts(id, GUEST_PORT, 'tcp')[0]}`;
    const other = seen.get(key);
    if (other !== undefined) return [other, id];
    seen.set(key, id);
  }
}

const chosenOf = ({ leased, loopback, forwards }: Vm) => ({
  leased,
  loopback,
  hosts: forwards.map(({ host }) => host),
});
const request = { createTap: {}, forwards: [`0:${GUEST_PORT}`] };

test('whom it gave way to has gone, kill -9 -> the same address, identity and host port', async () => {
  const [first, second] = rivals();
  const rival = chosenOf(await client.putVm(first, request));
  const before = chosenOf(await client.putVm(second, request));
  expect(before.leased).not.toBe(rival.leased);
  expect(before.hosts[0]).not.toBe(rival.hosts[0]);
  await client.deleteVm(first);
  await kill();
  await up();
  expect(chosenOf(await client.vm(second))).toEqual(before);
  // Another TAP: attached anew
  expect(chosenOf(await client.putVm(second, { ...request, tap: 'another' }))).toEqual(before);
});

test('it waits for its TAP, a rival comes -> the rival gives way', async () => {
  const [first, second] = rivals();
  tap(createPersistentTap);
  const before = chosenOf(await client.putVm(second, { tap: WAITED, forwards: request.forwards }));
  await kill();
  tap(removePersistentTap);
  await up();
  expect((await client.vm(second)).state).toBe('absent');
  const rival = chosenOf(await client.putVm(first, request));
  expect(rival.leased).not.toBe(before.leased);
  expect(rival.hosts[0]).not.toBe(before.hosts[0]);
  tap(createPersistentTap);
  await vi.waitFor(async () => expect((await client.vm(second)).state).toBe('down'), WAIT);
  expect(chosenOf(await client.vm(second))).toEqual(before);
});

test('it is deleted while it waits -> what was kept is there for others', async () => {
  const [first, second] = rivals();
  tap(createPersistentTap);
  const before = chosenOf(await client.putVm(second, { tap: WAITED, forwards: request.forwards }));
  await kill();
  tap(removePersistentTap);
  await up();
  await client.deleteVm(second);
  const rival = chosenOf(await client.putVm(first, request));
  expect([rival.leased, rival.hosts[0]]).toEqual([before.leased, before.hosts[0]]);
});
