/** Captures of a running switch, read with tshark. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Capture, CaptureOptions, Switch } from 'tapswitch';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { NetnsGuest } from '../../src/lab/netns-guest.ts';
import { VNET_HEADER_BYTES } from '../../src/wire/vnet.ts';
import {
  addressOf,
  ethernetFrame,
  GATEWAY,
  macOf,
  openDescriptors,
  ping,
  Stage,
} from '../lib/engine-stage.ts';
import { sendFrames } from '../lib/net-raw.ts';

const hasTshark = spawnSync('tshark', ['--version']).status === 0;
const file = join(tmpdir(), `tapswitch-capture-${process.pid}.pcapng`);
const TO = Uint8Array.of(6, 0, 0, 0, 0, 12);
const GUEST = Uint8Array.of(6, 0, 0, 0, 0, 11);
const STRANGER = Uint8Array.of(6, 0, 0, 0, 0, 77);
let stage: Stage;
let one: NetnsGuest;
let sw: Switch;

beforeEach(async () => {
  stage = new Stage();
  one = await stage.guest(11);
  await stage.guest(12);
  sw = await stage.start({ fastPath: 'auto' });
  await sw.attach('a', stage.vm(11, { mac: macOf(11) }));
  await sw.attach('b', stage.vm(12));
});

afterEach(async () => {
  rmSync(file, { force: true });
  await stage.end();
});

/** A frame to send, behind an empty virtio-net header. */
const frame = (to: Uint8Array, from: Uint8Array, bytes: number) =>
  Buffer.concat([Buffer.alloc(VNET_HEADER_BYTES), ethernetFrame(to, from, bytes)]);

/** The file of a capture that is read to its end. */
async function read(capture: Capture): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of capture) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The file of what is captured while `work` is done. */
async function captured(options: CaptureOptions, work: () => Promise<unknown>): Promise<Buffer> {
  const capture = await sw.capture(options);
  const whole = read(capture);
  await work();
  capture.stop();
  return whole;
}

interface Packet {
  readonly port: string;
  readonly direction: string;
  readonly id: string;
  readonly length: number;
  readonly kept: number;
  readonly comment: string;
  readonly protocols: string;
}

function packets(pcapng: Buffer, filter = ''): Packet[] {
  writeFileSync(file, pcapng);
  const names = [
    'frame.interface_name',
    'frame.packet_flags_direction',
    'frame.packet_id',
    'frame.len',
    'frame.cap_len',
  ];
  const fields = [...names, 'frame.comment', 'frame.protocols'].flatMap((name) => ['-e', name]);
  const { stdout, status } = spawnSync('tshark', ['-r', file, '-Y', filter, '-T', 'fields', ...fields], {
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [port, flags, id, length, kept, comment, protocols] = line.split('\t') as string[];
    const direction = Number(flags) === 1 ? 'in' : 'out';
    return { port, direction, id, length: Number(length), kept: Number(kept), comment, protocols } as Packet;
  });
}

describe.skipIf(!hasTshark)('captures (Debian package tshark)', () => {
  test('ping between guests on the fast path -> seen both ways at both ports, each frame with one id', async () => {
    await ping(one.namespace, addressOf(12), 3);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const pcapng = await captured({ filter: 'icmp' }, () => ping(one.namespace, addressOf(12), 4));
    const requests = packets(pcapng, 'icmp.type == 8');
    expect(requests.map(({ port, direction }) => `${port} ${direction}`)).toEqual(
      Array.from({ length: 4 }, () => ['a in', 'b out']).flat(),
    );
    expect(new Set(requests.map(({ id }) => id)).size).toBe(4);
    expect(packets(pcapng, 'icmp.type == 0')).toHaveLength(8);
    expect(packets(pcapng, 'not icmp')).toEqual([]);
  });

  /** Pings of 1,000 bytes while `options` are captured, from VM a to VM b: both are on the fast path before. */
  async function pinged(options: CaptureOptions): Promise<Packet[]> {
    await ping(one.namespace, addressOf(12), 3);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const words = ['ping', '-n', '-c', '4', '-i', '0.02', '-s', '1000', addressOf(12)];
    return packets(await captured(options, () => stage.run('nsenter', `--net=${one.namespace}`, ...words)));
  }

  test('headers of frames on the fast path -> seen both ways at both ports', async () => {
    const seen = await pinged({ filter: 'icmp', snaplen: 96 });
    const ways = seen.map(({ port, direction }) => `${port} ${direction}`);
    for (const way of ['a in', 'b out', 'b in', 'a out']) {
      expect(
        ways.filter((one) => one === way),
        way,
      ).toHaveLength(4);
    }
    expect(seen.every(({ length, kept }) => length === 1042 && kept === 96)).toBe(true);
  });

  test('headers at one of two ports -> what goes in and out there', async () => {
    const seen = await pinged({ vms: ['a'], filter: 'icmp', snaplen: 96 });
    const ways = seen.map(({ port, direction }) => `${port} ${direction}`).sort();
    expect(ways).toEqual([...Array(4).fill('a in'), ...Array(4).fill('a out')]);
  });

  test.each([
    ['a byte by its place', { filter: 'icmp[0] == 8', snaplen: 96 }],
    ['more than the beginning', { filter: 'icmp and src host 10.1.0.11', snaplen: 600 }],
  ])('%s is asked for -> they leave the fast path meanwhile', async (_name, options) => {
    const seen = await pinged(options);
    expect(seen).toHaveLength(8);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(4);
  });

  test('a TAP that goes and comes back during a capture of headers -> seen again', async () => {
    // The first leaves the programs of such sockets behind.
    await captured({ snaplen: 96 }, async () => {});
    const before = openDescriptors().length;
    const capture = await sw.capture({ filter: 'icmp', snaplen: 96 });
    const whole = read(capture);
    await ping(one.namespace, addressOf(12), 3);
    await sw.detach('b');
    await sw.attach('b', stage.vm(12));
    await ping(one.namespace, addressOf(12), 3);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await ping(one.namespace, addressOf(12), 4)).toMatchObject({ received: 4 });
    capture.stop();
    const seen = packets(await whole, 'icmp.type == 8').slice(-4);
    expect(seen.map(({ port }) => port).sort()).toEqual(['a', 'a', 'b', 'b']);
    await vi.waitFor(() => expect(openDescriptors().length).toBe(before), { timeout: 5000 });
  });

  test('after a capture -> the fast path is back', async () => {
    await captured({}, () => ping(one.namespace, addressOf(12), 3));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = sw.stats().workers.reduce((sum, { heartbeat }) => sum + heartbeat, 0);
    expect(await ping(one.namespace, addressOf(12), 100, 5)).toMatchObject({ received: 100 });
    expect(sw.stats().workers.reduce((sum, { heartbeat }) => sum + heartbeat, 0) - before).toBeLessThan(100);
  });

  test('a spoofed frame -> there with the reason; `drop` selects it alone', async () => {
    const spoof = () => sendFrames(one.namespace, 'eth0', [frame(TO, STRANGER, 60)]);
    const work = async () => {
      await ping(one.namespace, GATEWAY, 2);
      spoof();
      await vi.waitFor(() => expect(sw.stats().vms.a?.drops['spoofed-mac']).toBeGreaterThan(0));
    };
    const all = packets(await captured({ vms: ['a'] }, work));
    expect(all.filter(({ comment }) => comment !== '')).toMatchObject([
      { port: 'a', direction: 'in', comment: 'dropped: spoofed-mac' },
    ]);
    expect(all.length).toBeGreaterThan(4);
  });

  test('filter with drop -> only what was dropped, for that reason', async () => {
    const work = async () => {
      sendFrames(one.namespace, 'eth0', [frame(TO, STRANGER, 60)]);
      await ping(one.namespace, GATEWAY, 1);
      await vi.waitFor(() => expect(sw.stats().vms.a?.drops['spoofed-mac']).toBeGreaterThan(0));
    };
    expect(
      packets(await captured({ filter: 'drop spoofed-mac' }, work)).map(({ comment }) => comment),
    ).toEqual(['dropped: spoofed-mac']);
    expect(packets(await captured({ filter: 'drop vlan' }, () => ping(one.namespace, GATEWAY, 1)))).toEqual(
      [],
    );
  });

  test('filter drop -> nothing that was not dropped', async () => {
    const pcapng = await captured({ filter: 'drop' }, async () => {
      sendFrames(one.namespace, 'eth0', [frame(TO, STRANGER, 60)]);
      await ping(one.namespace, GATEWAY, 3);
    });
    for (const { comment } of packets(pcapng)) expect(comment).toMatch(/^dropped: /);
  });

  test('answered with an ICMP error -> the question with its reason, whole, and the answer; `drop` selects the question', async () => {
    const ask = async () => {
      const words = ['bash', '-c', `exec 3<>/dev/udp/${GATEWAY}/9; printf 123456789 >&3; sleep 0.3`];
      await stage.run('nsenter', `--net=${one.namespace}`, ...words).catch(() => {});
    };
    const all = packets(await captured({ vms: ['a'], filter: 'udp port 9 or icmp' }, ask));
    expect(all).toMatchObject([
      { direction: 'in', comment: 'dropped: no-service', length: 51 },
      { direction: 'out', comment: '', protocols: expect.stringContaining('icmp') },
    ]);
    expect(all[0]?.protocols).not.toContain('icmp');
    const dropped = packets(await captured({ vms: ['a'], filter: 'drop no-service' }, ask));
    expect(dropped).toMatchObject([
      { direction: 'in', comment: 'dropped: no-service', length: 51, kept: 51 },
    ]);
  });

  test("one VM, snaplen -> that VM's frames, cut, with their length", async () => {
    const pcapng = await captured({ vms: ['b'], snaplen: 40, filter: 'icmp' }, () =>
      ping(one.namespace, addressOf(12), 2),
    );
    const seen = packets(pcapng);
    expect(new Set(seen.map(({ port }) => port))).toEqual(new Set(['b']));
    expect(seen.map(({ kept, length }) => [kept, length])).toEqual(Array.from({ length: 4 }, () => [40, 98]));
  });

  test('count and duration -> it ends by itself', async () => {
    const counted = sw.capture({ count: 3, filter: 'icmp' }).then(read);
    await ping(one.namespace, GATEWAY, 5);
    expect(packets(await counted)).toHaveLength(3);
    expect(packets(await read(await sw.capture({ durationMs: 50 })))).toBeDefined();
  });

  test('nobody reads -> frames pass, what finds no room is counted, in the file, too', async () => {
    const capture = await sw.capture({ vms: ['a'] });
    const flood = Array.from({ length: 100 }, () => frame(TO, GUEST, 1400));
    await vi.waitFor(
      async () => {
        sendFrames(one.namespace, 'eth0', flood);
        expect(capture.lost).toBeGreaterThan(0);
      },
      { timeout: 30_000, interval: 1 },
    );
    expect(await ping(one.namespace, GATEWAY, 3)).toMatchObject({ received: 3 });
    capture.stop();
    writeFileSync(file, await read(capture));
    const { stdout } = spawnSync('tshark', ['-r', file, '-T', 'fields', '-e', 'frame.number'], {
      encoding: 'utf8',
    });
    expect(stdout.trim().split('\n').length).toBeGreaterThan(1000);
    expect(sw.stats().vms.a?.drops['spoofed-mac']).toBeUndefined();
    expect(capture.written).toBe(stdout.trim().split('\n').length);
  });

  test('a worker dies -> the capture goes on', async () => {
    const pcapng = await captured({ filter: 'icmp' }, async () => {
      await ping(one.namespace, GATEWAY, 1);
      for (const worker of sw.stats().workers.keys()) sw.crashWorker(worker);
      await vi.waitFor(() => expect(sw.stats().workers.every(({ replaced }) => replaced === 1)).toBe(true));
      // A new thread may take longer to begin than a ping waits.
      const answered = async () =>
        expect(await ping(one.namespace, GATEWAY, 2)).toMatchObject({ received: 2 });
      await vi.waitFor(answered, { timeout: 30_000 });
    });
    expect(packets(pcapng).length).toBeGreaterThanOrEqual(6);
  });

  test('a VM that comes while all are captured -> there under its name', async () => {
    const three = await stage.guest(13);
    const pcapng = await captured({ filter: 'vm late and icmp' }, async () => {
      await sw.attach('late', stage.vm(13));
      await ping(three.namespace, GATEWAY, 2);
    });
    expect(packets(pcapng).map(({ port }) => port)).toEqual(['late', 'late', 'late', 'late']);
  });
});

test('bad requests -> refused, and nothing is left running', async () => {
  await expect(sw.capture({ filter: 'hots a' })).rejects.toMatchObject({ code: 'FILTER_INVALID' });
  await expect(sw.capture({ vms: ['c'] })).rejects.toMatchObject({ code: 'VM_UNKNOWN' });
  const eight = await Promise.all(Array.from({ length: 8 }, () => sw.capture()));
  await expect(sw.capture()).rejects.toMatchObject({ code: 'CAPTURE_LIMIT' });
  for (const capture of eight) for await (const _ of capture) break;
  const again = await sw.capture();
  again.stop();
  await read(again);
});

test('capture.maximum and capture.ringBytes -> one capture, whose ring is full after 256 KiB', async () => {
  const other = await stage.start({
    networks: { default: { subnet: '10.2.0.0/24', gateway: '10.2.0.1' } },
    capture: { maximum: 1, ringBytes: 262_144 },
  });
  const three = await stage.guest(13);
  await other.attach('c', stage.vm(13, { ip: '10.2.0.13' }));
  const capture = await other.capture({ filter: 'greater 1000' });
  await expect(other.capture()).rejects.toMatchObject({
    code: 'CAPTURE_LIMIT',
    message: '1 capture is running already',
  });
  const flood = Array.from({ length: 300 }, () => frame(TO, GUEST, 1400));
  sendFrames(three.namespace, 'eth0', flood);
  // Nobody reads: a record has 40 bytes before its frame, and what does not fit is lost.
  const room = Math.floor(262_144 / 1440);
  await vi.waitFor(() => expect(capture.lost).toBe(300 - room));
  capture.stop();
  await read(capture);
  expect(capture.written).toBe(room);
});
