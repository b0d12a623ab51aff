/** What was chosen for a VM stays its own, whoever came before it and has gone since. */
import { join } from 'node:path';
import type { VmInput } from 'tapswitch';
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

/** @param vms of the configuration */
async function up(vms: Record<string, VmInput> = {}, autoAttach: { match: string }[] = []): Promise<void> {
  const env = { TAPSWITCH_SOCKET: join(files.path, 'api.sock'), TAPSWITCH_STATE: join(files.path, 'state') };
  const config = { networks: { default: stage.network() }, vms, autoAttach };
  daemon = await startUp(stage.host.path, config, files, { env });
}

async function kill(): Promise<void> {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
}

/** Makes or removes the TAP that a VM waits for. */
function tap(change: (name: string) => unknown): void {
  inNamespace(stage.host.path, () => void change(WAITED));
}

/** The address that follows from an id alone. */
function leaseOf(id: string): number {
  const { subnet, gateway } = stage.network();
  return leaseAddress(id, resolveNetwork('default', { subnet, gateway }), new Set()) as number;
}

/** Two ids that lead to the same address and the same host port. */
function rivals(): [string, string] {
  const seen = new Map<string, string>();
  for (let i = 0; ; i++) {
    const id = `vm-${i}`;
    const key = `${leaseOf(id)} ${derivedPorts(id, GUEST_PORT, 'tcp')[0]}`;
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

/** Two rivals, the second of which is there without its TAP after a restart, and what was chosen for that one before. */
async function waiting() {
  const [first, second] = rivals();
  tap(createPersistentTap);
  const before = chosenOf(await client.putVm(second, { tap: WAITED, forwards: request.forwards }));
  await kill();
  tap(removePersistentTap);
  await up();
  return { first, second, before };
}

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
  const { first, second, before } = await waiting();
  expect((await client.vm(second)).state).toBe('absent');
  const rival = chosenOf(await client.putVm(first, request));
  expect(rival.leased).not.toBe(before.leased);
  expect(rival.hosts[0]).not.toBe(before.hosts[0]);
  tap(createPersistentTap);
  await vi.waitFor(async () => expect((await client.vm(second)).state).toBe('down'), WAIT);
  expect(chosenOf(await client.vm(second))).toEqual(before);
});

test('it is deleted while it waits -> what was kept is there for others', async () => {
  const { first, second, before } = await waiting();
  await client.deleteVm(second);
  const rival = chosenOf(await client.putVm(first, request));
  expect([rival.leased, rival.hosts[0]]).toEqual([before.leased, before.hosts[0]]);
});

test('VM of the configuration, new beside a rival -> it gives way, and has the same when the rival has gone', async () => {
  const [first, second] = rivals();
  const rival = chosenOf(await client.putVm(first, request));
  await kill();
  tap(createPersistentTap);
  const vms = { [second]: { tap: WAITED, forwards: request.forwards } };
  await up(vms);
  expect(chosenOf(await client.vm(first))).toEqual(rival);
  const before = chosenOf(await client.vm(second));
  expect(before.leased).not.toBe(rival.leased);
  expect(before.hosts[0]).not.toBe(rival.hosts[0]);
  await client.deleteVm(first);
  await kill();
  await up(vms);
  expect(chosenOf(await client.vm(second))).toEqual(before);
  // Out of the configuration and in again: as if it had never been there
  await kill();
  await up();
  await kill();
  await up(vms);
  const anew = chosenOf(await client.vm(second));
  expect([anew.leased, anew.hosts[0]]).toEqual([rival.leased, rival.hosts[0]]);
});

test('VM of a pattern whose rival has gone, kill -9 -> the same address', async () => {
  const pattern = [{ match: WAITED }];
  const id = WAITED;
  const first = Array.from({ length: 5000 }, (_, i) => `vm-${i}`).find((one) => leaseOf(one) === leaseOf(id));
  await kill();
  await up({}, pattern);
  const rival = chosenOf(await client.putVm(first as string, request));
  tap(createPersistentTap);
  await vi.waitFor(async () => expect((await client.vm(id)).origin).toBe('auto'), WAIT);
  const before = chosenOf(await client.vm(id));
  expect(before.leased).not.toBe(rival.leased);
  await client.deleteVm(first as string);
  await kill();
  await up({}, pattern);
  await vi.waitFor(async () => expect((await client.vm(id)).origin).toBe('auto'), WAIT);
  expect(chosenOf(await client.vm(id))).toEqual(before);
});
