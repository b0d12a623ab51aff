/** How connections that the kernel carries end, and do not: by their ends, by us, by strangers. */
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { sendToHost } from '../../src/gateway/tcp/host-segment.ts';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { sendPacket } from '../../src/sys/tcp-state.ts';
import { ACK, RST, SYN } from '../../src/wire/tcp.ts';
import { openDescriptors } from '../lib/engine-stage.ts';
import {
  bpfAllowed,
  OffloadStage,
  OUTSIDE,
  offloaded,
  PATIENCE,
  soon,
  whenForgotten,
  whenOffloaded,
} from '../lib/offload-stage.ts';

/** What iperf3 says of a connection that ended before its time */
const BROKEN = /error|reset|closed|terminated/i;
const LOOPBACK = 0x7f000001;

let stage: OffloadStage;
let guest: NetnsGuest;

beforeEach(async () => {
  stage = new OffloadStage();
  guest = await stage.guest(2);
});

afterEach(() => stage.end());

async function nft(namespace: string, ...words: string[]): Promise<void> {
  expect(await runIn(namespace, ['nft', ...words])).toMatchObject({ status: 0 });
}

/** The host's end of the stream's connection that has moved most: port of its client. */
async function clientPort(): Promise<number> {
  const { stdout } = await runIn(stage.host.path, [
    'ss',
    '-tniHO',
    'state',
    'established',
    'dport',
    '=',
    ':15300',
  ]);
  const moved = (line: string) =>
    Math.max(
      ...['bytes_sent', 'bytes_received'].map((word) =>
        Number(new RegExp(`${word}:(\\d+)`).exec(line)?.[1] ?? 0),
      ),
    );
  const [busiest = ''] = stdout
    .trim()
    .split('\n')
    .sort((a, b) => moved(b) - moved(a));
  return Number(/127\.0\.0\.1:(\d+)/.exec(busiest)?.[1]);
}

/** A connection that has moved 200 MB to the guest's echo and back and waits 4 s, then says one byte more. */
function idle(): Promise<string> {
  const script = `const s = require('net').connect(15300, '127.0.0.1');
    let n = 0;
    s.on('error', ({ code }) => console.log(code));
    s.on('data', (d) => {
      n += d.length;
      if (n === 2e8) setTimeout(() => s.end('x'), 4000);
      if (n === 2e8 + 1) console.log('back');
    });
    s.write(Buffer.alloc(2e8));`;
  const run = runIn(stage.host.path, [process.execPath, '-e', script], { timeoutMs: 60_000 });
  return run.then(({ stdout }) => stdout.trim());
}

/** Waits until nothing has been counted for a VM for so long. */
async function quiet(sw: Switch, forMs: number): Promise<void> {
  let last = -1;
  let since = Date.now();
  await vi.waitFor(() => {
    const { rxBytes = 0 } = sw.stats().vms.a ?? {};
    if (rxBytes !== last) since = Date.now();
    last = rxBytes;
    expect(Date.now() - since).toBeGreaterThan(forMs);
  }, PATIENCE);
}

describe.skipIf(!bpfAllowed())('offloaded:', () => {
  for (const [direction, options] of [
    ['to the guest', []],
    ['from the guest', ['-R']],
  ] as const) {
    test(`${direction}: the guest's program is killed -> its client hears of it soon`, async () => {
      const sw = await stage.startWithVm();
      const { server, client } = await stage.stream(sw, guest.namespace, ...options);
      server.child.kill('SIGKILL');
      expect(await soon(client.ended)).toMatch(BROKEN);
      await vi.waitFor(async () => expect(await offloaded(sw)).toBe(0), PATIENCE);
    });

    test(`${direction}: the client is killed -> the guest's program hears of it soon, nothing is left`, async () => {
      const sw = await stage.startWithVm();
      const { client } = await stage.stream(sw, guest.namespace, ...options);
      client.child.kill('SIGKILL');
      await whenForgotten(sw);
      const { stdout } = await runIn(guest.namespace, ['ss', '-tnH', 'state', 'established']);
      expect(stdout).toBe('');
    });

    test(`${direction}: the VM is detached -> the client hears of it soon`, async () => {
      const sw = await stage.startWithVm();
      const { client } = await stage.stream(sw, guest.namespace, ...options);
      await sw.detach('a');
      expect(await soon(client.ended)).toMatch(BROKEN);
    });

    test(`${direction}: its forward is removed, with a reset -> the client hears of it soon`, async () => {
      const sw = await stage.startWithVm();
      const { client } = await stage.stream(sw, guest.namespace, ...options);
      await sw.removeForward('a', '15300:5300', { reset: true });
      expect(await soon(client.ended)).toMatch(BROKEN);
    });

    test(`${direction}: its flows are ended -> client and guest hear of it soon`, async () => {
      const sw = await stage.startWithVm();
      const { client } = await stage.stream(sw, guest.namespace, ...options);
      expect(await sw.resetFlows('a')).toBeGreaterThan(0);
      expect(await soon(client.ended)).toMatch(BROKEN);
      await vi.waitFor(async () => {
        const { stdout } = await runIn(guest.namespace, ['ss', '-tnH', 'state', 'established']);
        expect(stdout).toBe('');
      }, PATIENCE);
    });

    test(`${direction}: the workers die -> the client hears of it soon, and the next connection works`, async () => {
      const sw = await stage.startWithVm();
      const { client } = await stage.stream(sw, guest.namespace, ...options);
      for (const worker of sw.stats().workers.keys()) sw.crashWorker(worker);
      expect(await soon(client.ended)).toMatch(BROKEN);
      await stage.serve(guest.namespace, 'name', 5301, 'here');
      expect((await stage.probe(stage.host.path, '127.0.0.1', 15301)).result).toBe('heard here');
    });
  }

  test('the switch is closed -> the client hears of it soon, and no descriptor is left', async () => {
    const once = async () => {
      const sw = await stage.startWithVm();
      const { client, server } = await stage.stream(sw, guest.namespace);
      await sw.close();
      expect(await soon(client.ended)).toMatch(BROKEN);
      server.child.kill('SIGKILL');
      await server.ended;
    };
    await once();
    // What is kept for the next time is there by now.
    const before = openDescriptors();
    await once();
    await vi.waitFor(() => expect(openDescriptors()).toEqual(before), PATIENCE);
  });

  test('the guest forgets all, as by a reboot -> its client hears of it with the next segment', async () => {
    const sw = await stage.startWithVm();
    const { server, client } = await stage.stream(sw, guest.namespace);
    await nft(
      guest.namespace,
      'table inet dead { chain out { type filter hook output priority 0; policy drop; }; }',
    );
    server.child.kill('SIGKILL');
    await server.ended;
    await nft(guest.namespace, 'delete table inet dead');
    expect(await soon(client.ended)).toMatch(BROKEN);
    await vi.waitFor(async () => expect(await offloaded(sw)).toBe(0), PATIENCE);
  });

  test('a stranger`s resets and odd segments, whose numbers are wrong -> it goes on', async () => {
    const sw = await stage.startWithVm();
    const { client } = await stage.stream(sw, guest.namespace);
    const ends = { local: LOOPBACK, localPort: await clientPort(), remote: LOOPBACK, remotePort: 15300 };
    for (let i = 0; i < 100; i++) {
      const numbers = { sequence: i * 0x1234567, acknowledgment: i * 0x7654321, timestamp: i, echo: i };
      for (const flags of [RST, RST | ACK, SYN, ACK]) sendToHost(ends, { flags, window: 0, ...numbers });
    }
    // A header of 24 bytes: options of no shape that is known.
    const odd = Buffer.from('4500002c000000004006000000000000', 'hex');
    const packet = Buffer.concat([odd, Buffer.alloc(28)]);
    packet.writeInt32BE(LOOPBACK, 12);
    packet.writeInt32BE(LOOPBACK, 16);
    packet.writeUInt16BE(ends.localPort, 20);
    packet.writeUInt16BE(15300, 22);
    packet.writeUInt16BE(0x6010, 32);
    expect(sendPacket(packet, LOOPBACK)).toBe(0);
    const before = sw.stats().vms.a?.txBytes ?? 0;
    await vi.waitFor(() => expect(sw.stats().vms.a?.txBytes).toBeGreaterThan(before + 2e8), PATIENCE);
    expect(await Promise.race([client.ended, 'goes on'])).toBe('goes on');
    expect(await offloaded(sw)).toBe(1);
  });

  test('a stranger`s reset while it is idle -> what it says next arrives', async () => {
    const sw = await stage.startWithVm();
    await stage.serve(guest.namespace, 'echo', 5300);
    const answer = idle();
    await whenOffloaded(sw);
    await quiet(sw, 500);
    const ends = { local: LOOPBACK, localPort: await clientPort(), remote: LOOPBACK, remotePort: 15300 };
    const numbers = { sequence: 1, acknowledgment: 1, timestamp: 1, echo: 1 };
    sendToHost(ends, { flags: RST, window: 0, ...numbers });
    expect(await answer).toBe('back');
    await whenForgotten(sw);
  });

  test('reset, and the same port again at once -> another connection', async () => {
    const outside = stage.plugOutside();
    const sw = await stage.startWithVm();
    await stage.serve(outside, 'blob', 5300, 200);
    const script = `const { connect } = require('net');
      const { once } = require('events');
      (async () => {
        for (let i = 0; i < 5; i++) {
          const s = connect({ host: '${OUTSIDE}', port: 5300, localPort: 33000 });
          let n = 0;
          s.on('data', (d) => {
            n += d.length;
            if (n > 1e8) s.resetAndDestroy();
          });
          await once(s, 'close');
          console.log(n > 1e8);
        }
      })();`;
    const run = await runIn(guest.namespace, [process.execPath, '-e', script], { timeoutMs: 60_000 });
    expect(run.stderr).toBe('');
    expect(run.stdout.trim().split('\n')).toEqual(new Array(5).fill('true'));
    await whenForgotten(sw);
  });
});
