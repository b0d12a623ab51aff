/** `kill -9` in the middle of changes, again and again: what was confirmed is there afterwards, and nothing is left half made. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, createClient, type Vm, type VmRequest } from '../../src/client/client.ts';
import { withRoutes } from '../../src/lab/netns-guest.ts';
import { type Daemon, scratch, startUp } from '../lib/engine-command.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const ROUNDS = 6;
const AT_ONCE = 3; // changes of different VMs
const IDS = Array.from({ length: 12 }, (_, i) => `vm-${i}`);

let stage: GatewayStage;
let files: ReturnType<typeof scratch>;
let client: Client;
let daemon: Daemon | undefined;

beforeEach(() => {
  stage = new GatewayStage();
  files = scratch();
  client = createClient({ socket: join(files.path, 'api.sock') });
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
  daemon?.child.kill('SIGKILL');
  await daemon?.ended;
  daemon = undefined;
}

/** What has to be the same after a crash. */
const lastingOf = ({ id, tap, ip, loopback, forwards, generation }: Vm) => ({
  id,
  tap,
  ip,
  loopback,
  forwards: forwards.map(({ host, guestPort }) => `${host} -> ${guestPort}`).sort(),
  generation,
});
type Lasting = ReturnType<typeof lastingOf>;

/** By id: what was confirmed, or undefined for a VM whose removal was; none for one whose last change was not confirmed. */
type Confirmed = Map<string, Lasting | undefined>;

let seed = 7;
function random(below: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >>> 8) % below;
}

function requestFor(id: string): VmRequest {
  const n = IDS.indexOf(id);
  const forwards = Array.from({ length: random(3) }, (_, i) => `0:${6000 + i}`);
  return { tap: `t${n}`, createTap: {}, ip: `10.1.0.${50 + n}`, forwards };
}

/** Changes VMs of some ids without end; ends when the daemon does. */
async function change(ids: readonly string[], confirmed: Confirmed): Promise<void> {
  for (;;) {
    const id = ids[random(ids.length)] as string;
    const known = confirmed.get(id);
    confirmed.delete(id);
    try {
      const what = random(4);
      if (known === undefined || what === 0)
        confirmed.set(id, lastingOf(await client.putVm(id, requestFor(id))));
      else if (what === 1) {
        await client.deleteVm(id);
        confirmed.set(id, undefined);
      } else {
        if (what === 2) await client.addForward(id, `0:${7000 + random(50)}`);
        else await client.newGeneration(id);
        confirmed.set(id, lastingOf(await client.vm(id)));
      }
    } catch (error) {
      const { code } = error as { code: string };
      if (code === 'DAEMON_UNREACHABLE' || code === 'API_ANSWER_UNREADABLE') return;
      // Not known whether it is there since the crash before: the next change finds out.
      if (code !== 'VM_UNKNOWN' && code !== 'FORWARD_IN_USE') throw error;
    }
  }
}

/** Those of VMs that are there. */
function taps(): string[] {
  const names = withRoutes(stage.host.path, (routes) => routes.links().map(({ name }) => name));
  return names.filter((name) => /^t\d+$/.test(name)).sort();
}

test(`kill -9 in mid-change, ${ROUNDS} times -> what was confirmed is the same, TAPs are those of the VMs`, async () => {
  const confirmed: Confirmed = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    await up();
    const now = new Map((await client.vms()).map((vm) => [vm.id, lastingOf(vm)]));
    for (const [id, before] of confirmed) expect(now.get(id), `${id} in round ${round}`).toEqual(before);
    for (const vm of now.values()) expect(vm.ip).toBe(`10.1.0.${50 + IDS.indexOf(vm.id)}`);
    expect(taps()).toEqual([...now.values()].map(({ tap }) => tap).sort());
    confirmed.clear();
    for (const id of IDS) confirmed.set(id, now.get(id));
    const changes = Array.from({ length: AT_ONCE }, (_, one) =>
      change(
        IDS.filter((_id, i) => i % AT_ONCE === one),
        confirmed,
      ),
    );
    await delay(400 + random(800));
    await kill();
    await Promise.all(changes);
  }
  await up();
  for (const { id } of await client.vms()) await client.deleteVm(id);
  expect(taps()).toEqual([]);
}, 120_000);
