/** Connections of bulk that the kernel carries: the same bytes, the same ends, and nothing left behind. */
import { once } from 'node:events';
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn, spawnIn } from '../../src/lab/process.ts';
import { BpfMap } from '../../src/sys/bpf.ts';
import { close } from '../../src/sys/libc.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import { GATEWAY } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const OUTSIDE = '203.0.113.2';
const MEBIBYTES = 512;
const TRANSFERS_MS = 240_000;
/** Longest the end of a connection may take to be heard of, `ms` */
const SOON_MS = 3000;
/** How long a connection may take to be offloaded, on a machine that is busy */
const PATIENCE = { timeout: 20_000, interval: 50 };

function bpfAllowed(): boolean {
  try {
    close(BpfMap.make(4, 4, 1).fd);
    return true;
  } catch {
    return false;
  }
}

let stage: GatewayStage;
let guest: NetnsGuest;
let outside: string;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
});

afterEach(() => stage.end());

/** Starts a switch with one VM, its connections for the kernel where that may be. */
async function start(options: Parameters<GatewayStage['start']>[0] = {}): Promise<Switch> {
  const sw = await stage.start({ fastPath: 'auto', ...options });
  await sw.attach('a', stage.vm(2, { forwards: ['15300:5300', '15301:5301'] }));
  return sw;
}

/** A network beyond the host, `203.0.113.0/24`. */
function plugOutside(): void {
  const namespace = createNamespace();
  outside = namespace.path;
  stage.atEnd(() => namespace.close());
  withRoutes(stage.host.path, (routes) => {
    routes.createVeth('wan', 'eth0', outside);
    const index = indexOf(routes, 'wan');
    routes.changeLink(index, { up: true });
    routes.addAddress(index, '203.0.113.1/24');
  });
  withRoutes(outside, (routes) => {
    const index = indexOf(routes, 'eth0');
    routes.changeLink(index, { up: true });
    routes.addAddress(index, `${OUTSIDE}/24`);
  });
}

async function offloaded(sw: Switch, id = 'a'): Promise<number> {
  return (await sw.flows(id)).filter(({ state }) => state === 'offloaded').length;
}

/** Resolves when so many connections of a VM are carried by the kernel. */
async function whenOffloaded(sw: Switch, count = 1, id = 'a'): Promise<void> {
  await vi.waitFor(async () => expect(await offloaded(sw, id)).toBeGreaterThanOrEqual(count), PATIENCE);
}

/** Sends a blob to the digest service at the first port, takes one from the blob service at the second. */
async function expectBothWays(sw: Switch, from: string, to: string, ports: [number, number]): Promise<void> {
  const push = stage.call(from, 'push', to, ports[0], MEBIBYTES);
  await whenOffloaded(sw);
  const pushed = await push;
  expect(pushed).toMatch(/^same /);
  await vi.waitFor(async () => expect(await sw.flows('a')).toEqual([]), PATIENCE);
  const fetch = stage.call(from, 'fetch', to, ports[1]);
  await whenOffloaded(sw);
  expect(`same ${await fetch}`).toBe(pushed);
  // Forgotten, once both sides have ended.
  await vi.waitFor(async () => expect(await sw.flows('a')).toEqual([]), PATIENCE);
}

/** A stream without end, by iperf3: from here to the guest's server, or back. What its client says when it ends. */
async function stream(sw: Switch, ...options: string[]) {
  const server = spawnIn(guest.namespace, ['iperf3', '-s', '-p', '5300'], { stdio: 'ignore' });
  const gone = once(server, 'exit');
  stage.atEnd(async () => {
    server.kill('SIGKILL');
    await gone;
  });
  await vi.waitFor(async () => {
    const { stdout } = await runIn(guest.namespace, ['ss', '-tlnH', 'sport', '=', ':5300']);
    expect(stdout).not.toBe('');
  }, PATIENCE);
  const command = ['iperf3', '-c', '127.0.0.1', '-p', '15300', '-t', '60', ...options];
  const client = spawnIn(stage.host.path, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const output of [client.stdout, client.stderr])
    output?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const ended = once(client, 'exit').then(() => said);
  stage.atEnd(async () => {
    client.kill('SIGKILL');
    await ended;
  });
  await whenOffloaded(sw);
  return { server, ended };
}

/** Resolves with what a promise does, soon; rejects else. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('not soon')), SOON_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

describe.skipIf(!bpfAllowed())('offloaded:', () => {
  test(
    `${MEBIBYTES} MB through a forward, each way -> the same bytes, and all of them counted`,
    async () => {
      const sw = await start();
      await stage.serve(guest.namespace, 'digest', 5300);
      await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
      await expectBothWays(sw, stage.host.path, '127.0.0.1', [15300, 15301]);
      const { rxBytes = 0, txBytes = 0 } = sw.stats().vms.a ?? {};
      for (const bytes of [rxBytes, txBytes]) expect(bytes).toBeGreaterThan(MEBIBYTES * 1024 * 1024);
    },
    TRANSFERS_MS,
  );

  test(
    'by the loopback identity -> the same bytes',
    async () => {
      const sw = await start();
      await stage.serve(guest.namespace, 'digest', 5300);
      await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
      const loopback = sw.stats().vms.a?.loopback as string;
      await expectBothWays(sw, stage.host.path, loopback, [5300, 5301]);
    },
    TRANSFERS_MS,
  );

  test(
    'to a server outside -> the same bytes',
    async () => {
      plugOutside();
      const sw = await start();
      await stage.serve(outside, 'digest', 5300);
      await stage.serve(outside, 'blob', 5301, MEBIBYTES);
      await expectBothWays(sw, guest.namespace, OUTSIDE, [5300, 5301]);
    },
    TRANSFERS_MS,
  );

  test(
    'to a service of the host -> the same bytes',
    async () => {
      const sw = await start({ networks: { default: stage.network({ hostServices: ['5300', '5301'] }) } });
      await stage.serve(stage.host.path, 'digest', 5300);
      await stage.serve(stage.host.path, 'blob', 5301, MEBIBYTES);
      await expectBothWays(sw, guest.namespace, GATEWAY, [5300, 5301]);
    },
    TRANSFERS_MS,
  );

  test(
    'one frame in two hundred lost at guest and host -> the same bytes',
    async () => {
      await start();
      const rules = `table inet loss {
        chain in { type filter hook prerouting priority raw; meta l4proto tcp numgen random mod 200 == 0 counter drop; }
      }`;
      for (const namespace of [guest.namespace, stage.host.path])
        expect(await runIn(namespace, ['nft', rules])).toMatchObject({ status: 0 });
      await stage.serve(guest.namespace, 'digest', 5300);
      const pushed = stage.call(stage.host.path, 'push', '127.0.0.1', 15300, MEBIBYTES);
      expect(await pushed).toMatch(/^same /);
    },
    TRANSFERS_MS,
  );

  test('eight at once -> the same bytes through each', async () => {
    const sw = await start();
    await stage.serve(guest.namespace, 'digest', 5300);
    const all = stage.call(stage.host.path, 'pushAll', '127.0.0.1', 15300, 8, 128);
    expect(JSON.parse(await all)).toEqual({ good: 8, errors: [] });
    await vi.waitFor(async () => expect(await sw.flows('a')).toEqual([]), PATIENCE);
  });

  test('the reader stops for seconds -> the same bytes', async () => {
    const sw = await start();
    await stage.serve(guest.namespace, 'blob', 5301, MEBIBYTES);
    const script = `const s=require('net').connect(15301,'127.0.0.1');let n=0,p=false;
      s.on('data',d=>{n+=d.length;if(!p&&n>2e8){p=true;s.pause();setTimeout(()=>s.resume(),4000)}}).on('end',()=>console.log(n))`;
    const reading = runIn(stage.host.path, [process.execPath, '-e', script], { timeoutMs: 60_000 });
    await whenOffloaded(sw);
    expect((await reading).stdout.trim()).toBe(String(MEBIBYTES * 1024 * 1024));
  });

  test('addresses and routes of the host change meanwhile -> it goes on', async () => {
    const sw = await start();
    const { ended } = await stream(sw);
    for (let n = 1; n <= 20; n++) {
      await stage.run('ip', 'addr', 'add', `198.51.100.${n}/32`, 'dev', 'lo');
      await stage.run('ip', 'route', 'add', `198.51.101.${n}/32`, 'dev', 'lo');
    }
    const before = sw.stats().vms.a?.txBytes ?? 0;
    await vi.waitFor(() => expect(sw.stats().vms.a?.txBytes).toBeGreaterThan(before + 5e7), PATIENCE);
    expect(await Promise.race([ended, 'goes on'])).toBe('goes on');
  });

  for (const [direction, options] of [
    ['to the guest', []],
    ['from the guest', ['-R']],
  ] as const) {
    test(`${direction}: the guest's end is killed -> the client hears of it soon`, async () => {
      const sw = await start();
      const { server, ended } = await stream(sw, ...options);
      server.kill('SIGKILL');
      expect(await soon(ended)).toMatch(/error|reset|closed|terminated/i);
      await vi.waitFor(async () => expect(await offloaded(sw)).toBe(0), PATIENCE);
    });

    test(`${direction}: the VM is detached -> the client hears of it soon`, async () => {
      const sw = await start();
      const { ended } = await stream(sw, ...options);
      await sw.detach('a');
      expect(await soon(ended)).toMatch(/error|reset|closed|terminated/i);
    });

    test(`${direction}: its flows are ended -> client and guest hear of it soon`, async () => {
      const sw = await start();
      const { ended } = await stream(sw, ...options);
      expect(await sw.resetFlows('a')).toBeGreaterThan(0);
      expect(await soon(ended)).toMatch(/error|reset|closed|terminated/i);
      await vi.waitFor(async () => {
        const { stdout } = await runIn(guest.namespace, ['ss', '-tnH', 'state', 'established']);
        expect(stdout).toBe('');
      }, PATIENCE);
    });

    test(`${direction}: its worker dies -> the client hears of it soon, and the next works`, async () => {
      const sw = await start();
      const { ended } = await stream(sw, ...options);
      for (const worker of sw.stats().workers.keys()) sw.crashWorker(worker);
      expect(await soon(ended)).toMatch(/error|reset|closed|terminated/i);
      await stage.serve(guest.namespace, 'name', 5301, 'here');
      expect((await stage.probe(stage.host.path, '127.0.0.1', 15301)).result).toBe('heard here');
    });
  }

  test('an idle one -> what it says next arrives', async () => {
    const sw = await start();
    await stage.serve(guest.namespace, 'echo', 5300);
    const script = `const s=require('net').connect(15300,'127.0.0.1');let n=0;const want=1e8;
      s.on('data',d=>{n+=d.length;if(n===want){setTimeout(()=>s.end('x'),3000)}if(n===want+1)console.log('back')});
      s.write(Buffer.alloc(want))`;
    const run = runIn(stage.host.path, [process.execPath, '-e', script], { timeoutMs: 60_000 });
    await whenOffloaded(sw);
    expect((await run).stdout.trim()).toBe('back');
    await vi.waitFor(async () => expect(await sw.flows('a')).toEqual([]), PATIENCE);
  });

  test('a capture of headers meanwhile -> it sees them', async () => {
    const sw = await start();
    await stream(sw);
    const capture = await sw.capture({ vms: ['a'], snaplen: 96, count: 1000, filter: 'tcp port 5300' });
    let bytes = 0;
    for await (const piece of capture) bytes += piece.length;
    expect(capture.written).toBe(1000);
    expect(bytes).toBeGreaterThan(1000 * 60);
  });

  test('clones of one address -> each its own', async () => {
    const networks = { default: stage.network({ clones: true }) };
    const sw = await stage.start({ fastPath: 'auto', networks });
    const one = { ip: '10.1.0.2', mac: '06:00:00:00:00:02' };
    await sw.attach('one', { ...stage.vm(2, one), forwards: ['15300:5300'] });
    const other = await stage.guest(3);
    const script =
      'ip link set eth0 down; ip link set eth0 address 06:00:00:00:00:02; ip addr flush dev eth0; ip link set eth0 up; ip addr add 10.1.0.2/24 dev eth0; ip route add default via 10.1.0.1';
    expect(await runIn(other.namespace, ['sh', '-c', script])).toMatchObject({ status: 0 });
    await sw.attach('two', { ...stage.vm(3, one), forwards: ['15301:5300'] });
    await stage.serve(guest.namespace, 'blob', 5300, 200);
    await stage.serve(other.namespace, 'blob', 5300, 300);
    const heard = [15300, 15301].map((port) => stage.call(stage.host.path, 'fetch', '127.0.0.1', port));
    const wanted = [200, 300].map((size) => stage.call(stage.host.path, 'expect', size));
    expect(await Promise.all(heard)).toEqual(await Promise.all(wanted));
  });
});

test('fastPath off -> no connection is offloaded', async () => {
  const sw = await start({ fastPath: 'off' });
  await stage.serve(guest.namespace, 'digest', 5300);
  const push = stage.call(stage.host.path, 'push', '127.0.0.1', 15300, MEBIBYTES);
  let most = 0;
  const looking = setInterval(async () => {
    most = Math.max(most, await offloaded(sw));
  }, 50);
  expect(await push).toMatch(/^same /);
  clearInterval(looking);
  expect(most).toBe(0);
});
