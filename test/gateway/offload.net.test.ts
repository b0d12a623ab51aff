/** Connections of bulk that the kernel carries: the same bytes whatever happens on the way. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import {
  bpfAllowed,
  OffloadStage,
  OUTSIDE,
  offloaded,
  PATIENCE,
  whenForgotten,
  whenOffloaded,
} from '../lib/offload-stage.ts';

const VMM = fileURLToPath(new URL('../lib/net-vmm.mjs', import.meta.url));
const MEBIBYTES = 512;
const MEBIBYTE = 1024 * 1024;
const TRANSFERS_MS = 240_000;

let stage: OffloadStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new OffloadStage();
  guest = await stage.guest(2);
});

afterEach(() => stage.end());

async function serveBoth(namespace: string): Promise<void> {
  await stage.serve(namespace, 'digest', 5300);
  await stage.serve(namespace, 'blob', 5301, MEBIBYTES);
}

/** Sends a blob to the digest service at the first port, takes one from the blob service at the second. */
async function expectBothWays(sw: Switch, from: string, to: string, ports: [number, number]): Promise<void> {
  const push = stage.call(from, 'push', to, ports[0], MEBIBYTES);
  await whenOffloaded(sw);
  const pushed = await push;
  expect(pushed).toMatch(/^same /);
  await whenForgotten(sw);
  const fetch = stage.call(from, 'fetch', to, ports[1]);
  await whenOffloaded(sw);
  expect(`same ${await fetch}`).toBe(pushed);
  await whenForgotten(sw);
}

/** The most connections that are offloaded at a time until `end`. */
async function mostOffloaded(sw: Switch, end: Promise<unknown>): Promise<number> {
  let most = 0;
  const look = async () => {
    most = Math.max(most, await offloaded(sw));
  };
  const looking = setInterval(() => void look(), 20);
  await end;
  clearInterval(looking);
  return most;
}

describe.skipIf(!bpfAllowed())('offloaded:', { timeout: TRANSFERS_MS }, () => {
  test(`${MEBIBYTES} MB through a forward, each way -> the same bytes, and all of them counted`, async () => {
    const sw = await stage.startWithVm();
    await serveBoth(guest.namespace);
    await expectBothWays(sw, stage.host.path, '127.0.0.1', [15300, 15301]);
    const { rxBytes = 0, txBytes = 0 } = sw.stats().vms.a ?? {};
    for (const bytes of [rxBytes, txBytes]) expect(bytes).toBeGreaterThan(MEBIBYTES * MEBIBYTE);
  });

  test('by the loopback identity -> the same bytes', async () => {
    const sw = await stage.startWithVm();
    await serveBoth(guest.namespace);
    const loopback = sw.stats().vms.a?.loopback as string;
    await expectBothWays(sw, stage.host.path, loopback, [5300, 5301]);
  });

  test('to a server outside -> the same bytes', async () => {
    const outside = stage.plugOutside();
    const sw = await stage.startWithVm();
    await serveBoth(outside);
    await expectBothWays(sw, guest.namespace, OUTSIDE, [5300, 5301]);
  });

  test('to a service of the host -> the same bytes', async () => {
    const networks = { default: stage.network({ hostServices: ['5300', '5301'] }) };
    const sw = await stage.start({ fastPath: 'auto', networks });
    await sw.attach('a', stage.vm(2));
    await serveBoth(stage.host.path);
    await expectBothWays(sw, guest.namespace, GATEWAY, [5300, 5301]);
  });

  test('in a shared network, beside the fast path -> the same bytes', async () => {
    const sw = await stage.startWithVm({ networks: { default: stage.network({ mode: 'shared' }) } });
    await serveBoth(guest.namespace);
    await expectBothWays(sw, stage.host.path, '127.0.0.1', [15300, 15301]);
  });

  test('to a guest on a TAP that a VMM holds -> the same bytes', async () => {
    const name = `tap${process.pid % 1e6}`;
    const vmm = stage.keep(stage.host.path, [process.execPath, VMM, name, stage.host.path, 'vm2']);
    await Promise.race([once(vmm.child.stdout as Readable, 'data'), vmm.ended]);
    const sw = await stage.start({ fastPath: 'auto' });
    await sw.attach('a', { ...stage.vm(2, { tap: name }), forwards: ['15300:5300', '15301:5301'] });
    await serveBoth(guest.namespace);
    await expectBothWays(sw, stage.host.path, '127.0.0.1', [15300, 15301]);
  });

  test('interfaces that compute and check every checksum -> the same bytes', async () => {
    const outside = stage.plugOutside();
    const places = [
      [guest.namespace, 'eth0'],
      [stage.host.path, 'vm2'],
      [stage.host.path, 'wan'],
      [outside, 'eth0'],
    ] as const;
    const settings = ['tx', 'rx', 'tso', 'gso', 'gro'].flatMap((each) => [each, 'off']);
    for (const [namespace, name] of places)
      expect(await runIn(namespace, ['ethtool', '-K', name, ...settings])).toMatchObject({ status: 0 });
    const sw = await stage.startWithVm();
    await serveBoth(outside);
    await expectBothWays(sw, guest.namespace, OUTSIDE, [5300, 5301]);
    for (const namespace of [guest.namespace, outside]) {
      const { stdout } = await runIn(namespace, ['nstat', '-asz', 'TcpInCsumErrors']);
      expect(stdout).toMatch(/TcpInCsumErrors\s+0 /);
    }
  });

  test('one frame in two hundred lost at guest and host -> the same bytes', async () => {
    await stage.startWithVm();
    const rules = `table inet loss {
      chain in { type filter hook prerouting priority raw; meta l4proto tcp numgen random mod 200 == 0 counter drop; }
    }`;
    for (const namespace of [guest.namespace, stage.host.path])
      expect(await runIn(namespace, ['nft', rules])).toMatchObject({ status: 0 });
    await serveBoth(guest.namespace);
    const pushed = await stage.call(stage.host.path, 'push', '127.0.0.1', 15300, MEBIBYTES);
    expect(pushed).toMatch(/^same /);
    expect(`same ${await stage.call(stage.host.path, 'fetch', '127.0.0.1', 15301)}`).toBe(pushed);
  });

  test('eight at once -> the same bytes through each', async () => {
    const sw = await stage.startWithVm();
    await stage.serve(guest.namespace, 'digest', 5300);
    const all = stage.call(stage.host.path, 'pushAll', '127.0.0.1', 15300, 8, 128);
    expect(JSON.parse(await all)).toEqual({ good: 8, errors: [] });
    await whenForgotten(sw);
  });

  test('the reader stops for seconds -> the same number of bytes', async () => {
    const sw = await stage.startWithVm();
    await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
    const script = `const s = require('net').connect(15301, '127.0.0.1');
      let n = 0, paused = false;
      s.on('data', (d) => {
        n += d.length;
        if (paused || n < 2e8) return;
        paused = true;
        s.pause();
        setTimeout(() => s.resume(), 4000);
      }).on('end', () => console.log(n));`;
    const reading = runIn(stage.host.path, [process.execPath, '-e', script], { timeoutMs: 60_000 });
    await whenOffloaded(sw);
    expect((await reading).stdout.trim()).toBe(String(MEBIBYTES * MEBIBYTE));
  });

  test('an idle one -> what it says next arrives', async () => {
    const sw = await stage.startWithVm();
    await stage.serve(guest.namespace, 'echo', 5300);
    const script = `const s = require('net').connect(15300, '127.0.0.1');
      let n = 0;
      s.on('data', (d) => {
        n += d.length;
        if (n === 2e8) setTimeout(() => s.end('x'), 3000);
        if (n === 2e8 + 1) console.log('back');
      });
      s.write(Buffer.alloc(2e8));`;
    const run = runIn(stage.host.path, [process.execPath, '-e', script], { timeoutMs: 60_000 });
    await whenOffloaded(sw);
    expect((await run).stdout.trim()).toBe('back');
    await whenForgotten(sw);
  });

  test('addresses and routes of the host change meanwhile -> it goes on', async () => {
    const sw = await stage.startWithVm();
    const { client } = await stage.stream(sw, guest.namespace);
    for (let n = 1; n <= 20; n++) {
      await stage.run('ip', 'addr', 'add', `198.51.100.${n}/32`, 'dev', 'lo');
      await stage.run('ip', 'route', 'add', `198.51.101.${n}/32`, 'dev', 'lo');
    }
    const before = sw.stats().vms.a?.txBytes ?? 0;
    await vi.waitFor(() => expect(sw.stats().vms.a?.txBytes).toBeGreaterThan(before + 5e7), PATIENCE);
    expect(await Promise.race([client.ended, 'goes on'])).toBe('goes on');
  });

  test('clones of one address -> each its own', async () => {
    const networks = { default: stage.network({ clones: true }) };
    const sw = await stage.start({ fastPath: 'auto', networks });
    const one = { ip: '10.1.0.2', mac: '06:00:00:00:00:02' };
    await sw.attach('one', { ...stage.vm(2, one), forwards: ['15300:5300'] });
    const other = await stage.guest(3);
    const script = `ip link set eth0 down
      ip link set eth0 address ${one.mac}
      ip addr flush dev eth0
      ip link set eth0 up
      ip addr add ${one.ip}/24 dev eth0
      ip route add default via ${GATEWAY}`;
    expect(await runIn(other.namespace, ['sh', '-ec', script])).toMatchObject({ status: 0 });
    await sw.attach('two', { ...stage.vm(3, one), forwards: ['15301:5300'] });
    await stage.serve(guest.namespace, 'blob', 5300, 400);
    await stage.serve(other.namespace, 'blob', 5300, 500);
    const heard = [15300, 15301].map((port) => stage.call(stage.host.path, 'fetch', '127.0.0.1', port));
    await Promise.all([whenOffloaded(sw, 'one'), whenOffloaded(sw, 'two')]);
    const wanted = [400, 500].map((size) => stage.call(stage.host.path, 'expect', size));
    expect(await Promise.all(heard)).toEqual(await Promise.all(wanted));
  });

  test('a capture meanwhile -> sees the beginning of its frames, and keeps others from being offloaded', async () => {
    const sw = await stage.startWithVm();
    await stage.stream(sw, guest.namespace);
    const filter = 'tcp port 5300';
    for (const snaplen of [96, 0]) {
      const capture = await sw.capture({ vms: ['a'], snaplen, count: 1000, filter });
      for await (const piece of capture) expect(piece.length).toBeGreaterThan(0);
      expect(capture.written).toBe(1000);
    }
    const capture = await sw.capture({ vms: ['a'], filter: 'udp' });
    await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
    const fetched = stage.call(stage.host.path, 'fetch', '127.0.0.1', 15301);
    expect(await mostOffloaded(sw, fetched)).toBe(1);
    capture.stop();
  });
});

for (const [what, options, changes] of [
  ['fastPath off', { fastPath: 'off' }, {}],
  ['a VM with faults', {}, { faults: { loss: 0.0001 } }],
] as const) {
  test(`${what} -> no connection is offloaded`, { timeout: TRANSFERS_MS }, async () => {
    const sw = await stage.start({ fastPath: 'auto', ...options });
    await sw.attach('a', stage.vm(2, { forwards: ['15300:5300'], ...changes }));
    await stage.serve(guest.namespace, 'digest', 5300);
    const push = stage.call(stage.host.path, 'push', '127.0.0.1', 15300, MEBIBYTES);
    expect(await mostOffloaded(sw, push)).toBe(0);
    expect(await push).toMatch(/^same /);
  });
}
