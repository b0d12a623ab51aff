/** Data of real kernels through the gateway, in both directions. */
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const MEBIBYTES = 1024;
/** What takes as long with 1 % lost where frames are small */
const MEBIBYTES_OF_SMALL_FRAMES = 256;
/** For a test of several such transfers, on a machine that is busy */
const TRANSFERS_MS = 240_000;
const MEBIBYTES_BOTH_BAD = 8;

let stage: GatewayStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
});

afterEach(() => stage.end());

/** Sends a blob from `namespace` to the digest service at the first port, takes one from the blob service at the second. */
async function expectBothWays(
  namespace: string,
  address: string,
  [digest, blob]: readonly [number, number],
  mebibytes: number,
): Promise<void> {
  const pushed = await stage.call(namespace, 'push', address, digest, mebibytes);
  expect(pushed).toMatch(/^same /);
  expect(`same ${await stage.call(namespace, 'fetch', address, blob)}`).toBe(pushed);
}

test('forward by 127.0.0.1 and by the identity: -> the guest answers at both', async () => {
  const sw = await stage.start();
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300'] }));
  await stage.serve(guest.namespace, 'name', 5300, 'a');
  const loopback = sw.stats().vms.a?.loopback as string;
  expect((await stage.probe(stage.host.path, '127.0.0.1', 15300)).result).toBe('heard a');
  expect((await stage.probe(stage.host.path, loopback, 5300)).result).toBe('heard a');
});

test(
  `${MEBIBYTES} MB through a forward: each way -> the same bytes`,
  async () => {
    const sw = await stage.start();
    await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
    await stage.serve(guest.namespace, 'digest', 5300);
    await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
    await expectBothWays(stage.host.path, '127.0.0.1', [15300, 15301], MEBIBYTES);
  },
  TRANSFERS_MS,
);

test(
  `${MEBIBYTES} MB to and from a service of the host's: -> the same bytes`,
  async () => {
    const networks = { default: stage.network({ hostServices: ['5300', '5301'] }) };
    const sw = await stage.start({ networks });
    await sw.attach('a', stage.vm(2));
    await stage.serve(stage.host.path, 'digest', 5300);
    await stage.serve(stage.host.path, 'blob', 5301, MEBIBYTES);
    await expectBothWays(guest.namespace, GATEWAY, [5300, 5301], MEBIBYTES);
  },
  TRANSFERS_MS,
);

/** Loses one TCP segment in a hundred of what comes in, as large as it comes. */
const LOSS_TOWARDS_GUEST = `table inet loss {
  chain in { type filter hook prerouting priority raw; meta l4proto tcp numgen random mod 100 == 0 counter drop; }
}`;

async function configure(namespace: string, ...command: string[]): Promise<void> {
  const { status, stderr } = await runIn(namespace, command);
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
}

/** Frames of a guest's link that were lost on purpose: of those it sent, of those sent to it. */
async function losses(sw: Switch): Promise<[number, number]> {
  const { stdout } = await runIn(guest.namespace, ['nft', 'list', 'table', 'inet', 'loss']);
  return [sw.stats().vms.a?.drops['fault-injected'] ?? 0, Number(/counter packets (\d+)/.exec(stdout)?.[1])];
}

test.each([
  { bytes: 65_535, mebibytes: MEBIBYTES, leastLost: 50 },
  { bytes: 1500, mebibytes: MEBIBYTES_OF_SMALL_FRAMES, leastLost: 1000 },
])(
  '1 % lost each way, 1 % reordered, $mebibytes MB in packets of $bytes bytes: forward, service over IPv6 -> the same bytes',
  async ({ bytes, mebibytes, leastLost }) => {
    const host = stage.host.path;
    await configure(guest.namespace, 'nft', LOSS_TOWARDS_GUEST);
    await configure(guest.namespace, 'ip', '-6', 'addr', 'add', 'fd00:7::2/64', 'dev', 'eth0', 'nodad');
    if (bytes === 1500) {
      // The host's kernel cuts what the switch sends, the guest's what it sends.
      await configure(host, 'ethtool', '-K', 'vm2', 'tso', 'off', 'gso', 'off');
      await configure(guest.namespace, 'ethtool', '-K', 'eth0', 'tso', 'off', 'gso', 'off');
    }
    const services = { subnet6: 'fd00:7::/64', gateway6: 'fd00:7::1', hostServices: ['5300', '5303'] };
    const sw = await stage.start({ networks: { default: stage.network(services) } });
    const faults = { loss: 0.01, reorder: 0.01, seed: 11 };
    await sw.attach('a', stage.vm(2, { forwards: ['15302:5302', '15301:5301'], faults }));
    await stage.serve(host, 'digest', 5300);
    await stage.serve(host, 'blob', 5303, mebibytes);
    await stage.serve(guest.namespace, 'digest', 5302);
    await stage.serve(guest.namespace, 'blob', 5301, mebibytes);
    await expectBothWays(host, '127.0.0.1', [15302, 15301], mebibytes);
    const before = await losses(sw);
    expect(Math.min(...before)).toBeGreaterThan(leastLost);
    await expectBothWays(guest.namespace, 'fd00:7::1', [5300, 5303], mebibytes);
    const after = await losses(sw);
    expect(Math.min(...after.map((lost, i) => lost - (before[i] as number)))).toBeGreaterThan(leastLost);
  },
  TRANSFERS_MS,
);

test('both ways of a VM’s cable bad: into it and out of it -> the same bytes', async () => {
  const sw = await stage.start();
  const faults = { direction: 'both', loss: 0.01, reorder: 0.01, delayMs: 1, seed: 3 } as const;
  await sw.attach('a', stage.vm(2, { forwards: ['15302:5302', '15301:5301'], faults }));
  await stage.serve(guest.namespace, 'digest', 5302);
  await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES_BOTH_BAD);
  await expectBothWays(stage.host.path, '127.0.0.1', [15302, 15301], MEBIBYTES_BOTH_BAD);
});

/** Waits for the address the guest's kernel made itself from a router advertisement. */
async function ownAddress6(prefix: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const show = ['ip', '-6', '-o', 'addr', 'show', 'dev', 'eth0', 'scope', 'global', '-tentative'];
      expect((await runIn(guest.namespace, show)).stdout).toContain(` ${prefix}`);
    },
    { timeout: 10_000, interval: 100 },
  );
}

test(
  'guest that is told of a prefix: -> configures itself, reaches the host over IPv6, both ways',
  async () => {
    const networks = {
      default: stage.network({
        subnet6: 'fd00:7::/64',
        gateway6: 'fd00:7::1',
        hostServices: ['5300', '5301'],
      }),
    };
    const sw = await stage.start({ networks });
    await sw.attach('a', stage.vm(2));
    await ownAddress6('fd00:7::');
    const { stdout } = await runIn(guest.namespace, ['ip', '-6', 'route', 'show', 'default']);
    expect(stdout).toContain('proto ra');
    await stage.serve(stage.host.path, 'digest', 5300);
    await stage.serve(stage.host.path, 'blob', 5301, MEBIBYTES);
    await expectBothWays(guest.namespace, 'fd00:7::1', [5300, 5301], MEBIBYTES);
    expect(await stage.probe(guest.namespace, 'fd00:7::1', 99)).toMatchObject({ result: 'ECONNREFUSED' });
  },
  TRANSFERS_MS,
);
