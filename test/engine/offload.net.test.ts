import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { blastTcp } from '../../src/lab/blast.ts';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { addressOf, GATEWAY, HOST_ADDRESS, Stage } from '../lib/engine-stage.ts';
import { startTapGuest, type TapGuest } from '../lib/engine-tap-wire.ts';
import { checksumErrors, echoUdp, transferTcp } from '../lib/engine-transfer.ts';

const MEGABYTES = 4 * 1024 * 1024;
const DATAGRAMS = 100;
const ALL_OFF = 'tso off gso off gro off tx off rx off sg off';

let stage: Stage;
let one: NetnsGuest;
let sw: Switch;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
});

async function start(fastPath: 'auto' | 'off' = 'off'): Promise<void> {
  const hostPort = {
    name: stage.hostPort,
    address: HOST_ADDRESS,
    netns: stage.host.path,
    allowFromGuests: ['tcp/9', 'udp/9'],
  };
  sw = await stage.start({ fastPath, networks: { default: stage.network({ hostPort }) } });
  await sw.attach('a', stage.vm(11));
}

afterEach(() => stage.end());

/** Data both ways between two namespaces, over TCP and UDP; nothing may be damaged. */
async function exchange(
  left: string,
  right: string,
  rightAddress: string,
  leftAddress: string,
): Promise<void> {
  for (const [from, to, address] of [
    [left, right, rightAddress],
    [right, left, leftAddress],
  ] as const) {
    const { received, sent } = await transferTcp(from, to, address, MEGABYTES);
    expect(received).toEqual(sent);
    expect(await echoUdp(from, to, address, DATAGRAMS, 4000)).toBe(DATAGRAMS);
  }
  expect(await checksumErrors(left)).toBe(0);
  expect(await checksumErrors(right)).toBe(0);
}

async function tapGuest(): Promise<TapGuest> {
  const guest = await startTapGuest(stage.host.path, 't20', {
    ip: addressOf(20),
    prefix: 24,
    gateway: GATEWAY,
  });
  stage.atEnd(() => guest.stop());
  await sw.attach('t', { tap: 't20', netns: stage.host.path, ip: addressOf(20) });
  return guest;
}

test('two guests with offloads: bulk TCP -> passes as whole GSO frames', async () => {
  await start();
  const two = await stage.guest(12);
  await sw.attach('b', stage.vm(12));
  const before = sw.stats().vms.a;
  await blastTcp(one.namespace, two.namespace, addressOf(12), 500);
  const after = sw.stats().vms.a;
  const frames = (after?.rxFrames ?? 0) - (before?.rxFrames ?? 0);
  const bytes = (after?.rxBytes ?? 0) - (before?.rxBytes ?? 0);
  expect(bytes).toBeGreaterThan(MEGABYTES);
  expect(bytes / frames).toBeGreaterThan(9000);
});

test('guest with offloads, guest without any: -> data arrives as it was sent, both ways', async () => {
  await start();
  const two = await stage.guest(12);
  expect((await two.run(`ethtool -K eth0 ${ALL_OFF}`)).status).toBe(0);
  await sw.attach('b', stage.vm(12));
  await exchange(one.namespace, two.namespace, addressOf(12), addressOf(11));
});

test.each(['off', 'auto'] as const)(
  'guest with offloads, TAP whose VMM has none, fast path %s: -> its frames are finished and short, data as it was sent',
  async (fastPath) => {
    await start(fastPath);
    const guest = await tapGuest();
    await exchange(one.namespace, guest.namespace, addressOf(20), addressOf(11));
    const { offloaded, longest, frames } = await guest.stats();
    expect(frames).toBeGreaterThan((2 * MEGABYTES) / 1500);
    expect({ offloaded, longest }).toEqual({ offloaded: 0, longest: 1514 });
  },
);

test('host port with offloads, TAP whose VMM has none: -> the same between host and guest', async () => {
  await start();
  const guest = await tapGuest();
  await exchange(stage.host.path, guest.namespace, addressOf(20), HOST_ADDRESS);
  expect(await guest.stats()).toMatchObject({ offloaded: 0, longest: 1514 });
});

test('host port and guest with offloads: -> data as it was sent, both ways', async () => {
  await start();
  await exchange(stage.host.path, one.namespace, addressOf(11), HOST_ADDRESS);
});
