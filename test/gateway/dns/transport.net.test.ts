/** The gateway's DNS with real sockets, against name servers of another process in a namespace of their own. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as breathe } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GatewayDns } from '../../../src/gateway/dns/dns.ts';
import { Sockets } from '../../../src/gateway/sockets.ts';
import { TimerWheel } from '../../../src/gateway/timer-wheel.ts';
import { indexOf, withRoutes } from '../../../src/lab/netns-guest.ts';
import { spawnIn } from '../../../src/lab/process.ts';
import { Clock } from '../../../src/sys/clock.ts';
import { allocateDescriptorSet, DescriptorSet } from '../../../src/sys/descriptor-set.ts';
import { Epoll, openEpoll } from '../../../src/sys/epoll.ts';
import { AF_UNIX, endWriting, SOCK_NONBLOCK_CLOEXEC, SOCK_STREAM } from '../../../src/sys/inet-socket.ts';
import { check, close, recv, send, socketpair } from '../../../src/sys/libc.ts';
import { createNamespace, inNamespace, type Namespace } from '../../../src/sys/netns.ts';
import { allocateCounters, CounterBlock } from '../../../src/telemetry/counters.ts';
import { atTestEnd } from '../../lib/net-cleanup.ts';
import { kill } from '../../lib/net-place.ts';
import { decode, FakeBook, FakeClient, ip, NAMES, NETWORK, query, viewOf } from './fakes.ts';

const SERVER = fileURLToPath(new URL('../../lib/net-dns-server.mjs', import.meta.url));
const GOOD = '127.0.0.1';
const SILENT = '127.0.0.2';
const FAILED = '127.0.0.3';
const SPOOFED = '127.0.0.4';
const HANGUP = '127.0.0.5';
const NOBODY = '127.0.0.6';
const PATIENCE_MS = 8000;

let namespace: Namespace;
let servers: ChildProcess;

beforeAll(async () => {
  namespace = createNamespace();
  withRoutes(namespace.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  const roles = [
    `${GOOD}=good`,
    `${SILENT}=silent`,
    `${FAILED}=failed`,
    `${SPOOFED}=spoofed`,
    `${HANGUP}=hangup`,
    '::1=good',
  ];
  servers = spawnIn(namespace.path, [process.execPath, SERVER, ...roles], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(servers.stdout as NodeJS.ReadableStream, 'data');
});

afterAll(async () => {
  await kill(servers);
  namespace.close();
});

/** A datapath's surroundings of the DNS, without the datapath. */
class Loop {
  readonly dns: GatewayDns;
  readonly sockets: Sockets;
  readonly #clock = new Clock();
  readonly #wheel = new TimerWheel(this.#clock.ms);
  readonly #epoll = new Epoll(openEpoll(), 64);

  constructor(upstreams: string[]) {
    this.sockets = new Sockets(this.#epoll, 1, new DescriptorSet(allocateDescriptorSet()));
    const counters = new CounterBlock(allocateCounters(1, 2), 0, 2);
    this.dns = new GatewayDns(this.sockets, this.#clock, this.#wheel, new FakeBook(), counters);
    this.dns.setNetwork(NETWORK, NAMES);
    this.dns.setUpstreams(
      NETWORK,
      upstreams.map((text) => ({ address: ip(text), port: 53 })),
    );
    atTestEnd().add(() => {
      this.sockets.closeAll();
      close(this.#epoll.fd);
      this.#epoll.release();
    });
  }

  turn(): void {
    const ready = this.#epoll.wait(1);
    this.#clock.tick();
    for (let i = 0; i < ready; i++) this.sockets.dispatch(this.#epoll.token(i), this.#epoll.events(i));
    this.#wheel.advance(this.#clock.ms);
    this.sockets.settle();
  }

  /** Runs until `done`. */
  async until(done: () => boolean): Promise<void> {
    const endMs = Date.now() + PATIENCE_MS;
    while (!done()) {
      if (Date.now() > endMs) throw new Error('nothing came of it');
      inNamespace(namespace.path, () => this.turn());
      await breathe();
    }
  }

  /** Asks like a guest's datagram does; what comes back. */
  async ask(name = 'name.example', client = new FakeClient()): Promise<FakeClient> {
    const bytes = query({ name, type: 'TXT', edns: 1232 });
    inNamespace(namespace.path, () => this.dns.datagram(client, viewOf(bytes), 0, bytes.length));
    await this.until(() => client.replies.length > 0);
    return client;
  }

  /** A guest's connection: the end that is its own. */
  connect(): number {
    const fds = new Int32Array(2);
    check(
      'socketpair',
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0, new Uint8Array(fds.buffer)),
    );
    const [ours, guests] = fds as unknown as [number, number];
    atTestEnd().add(() => close(guests));
    expect(this.dns.stream(NETWORK, 1, ours)).toBe(true);
    return guests;
  }
}

/** Texts of the only record of an answer. */
function textsOf(bytes: Uint8Array): string[] {
  const [record] = decode(bytes).answers ?? [];
  return record?.type === 'TXT' ? (record.data as Buffer[]).map(String) : [];
}

test.each([GOOD, '::1'])(
  'a question -> asked at %s by UDP, answered, its socket closed',
  async (upstream) => {
    const loop = new Loop([upstream]);
    const { answer, replies } = await loop.ask();
    expect(answer).toMatchObject({ id: 0x1111, rcode: 'NOERROR' });
    expect(textsOf(replies[0] as Uint8Array).slice(0, 2)).toEqual(['good', 'udp']);
    expect(loop.sockets.size).toBe(0);
  },
);

test('50 questions -> ports and ids that differ, and are not in a row', async () => {
  const loop = new Loop([GOOD]);
  const clients = await Promise.all(Array.from({ length: 50 }, () => loop.ask()));
  const texts = clients.map(({ replies }) => textsOf(replies[0] as Uint8Array));
  for (const place of [2, 3]) {
    const numbers = texts.map((text) => Number(text[place]));
    expect(new Set(numbers).size).toBeGreaterThan(45);
    const steps = numbers.slice(1).filter((number, i) => Math.abs(number - (numbers[i] as number)) <= 2);
    expect(steps.length).toBeLessThan(10);
  }
});

test('a forged answer from another address, one with a wrong id -> not taken', async () => {
  const loop = new Loop([SPOOFED]);
  const { replies } = await loop.ask();
  expect(textsOf(replies[0] as Uint8Array)[0]).toBe('spoofed');
  expect(loop.dns.counts.ignored).toBe(1);
});

test('nobody listens at the first, the second fails -> the third answers, at once', async () => {
  const loop = new Loop([NOBODY, FAILED, GOOD]);
  const start = Date.now();
  const { replies } = await loop.ask();
  expect(textsOf(replies[0] as Uint8Array)[0]).toBe('good');
  expect(Date.now() - start).toBeLessThan(1000);
});

test('the first is silent -> the second answers after 1.5 s, and is asked first from then on', async () => {
  const loop = new Loop([SILENT, GOOD]);
  const start = Date.now();
  await loop.ask();
  expect(Date.now() - start).toBeGreaterThanOrEqual(1490);
  const again = Date.now();
  await loop.ask();
  expect(Date.now() - again).toBeLessThan(1000);
});

test('an upstream without a route -> SERVFAIL at once', async () => {
  const loop = new Loop(['10.9.9.9', 'fd99::1']);
  const { codes } = await loop.ask();
  expect(codes).toEqual(['SERVFAIL']);
  expect(loop.sockets.size).toBe(0);
});

test('an answer too big for UDP -> cut by the server, passed on so', async () => {
  const { answer } = await new Loop([GOOD]).ask('big.example');
  expect(answer).toMatchObject({ flag_tc: true, answers: [] });
});

function framed(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([bytes.length >> 8, bytes.length & 255, ...bytes]);
}

/** Reads messages from the guest's end until there are `count`. */
async function messages(loop: Loop, fd: number, count: number): Promise<Uint8Array[]> {
  const room = Buffer.alloc(70_000);
  const found: Uint8Array[] = [];
  let waiting = Buffer.alloc(0);
  await loop.until(() => {
    const bytes = recv(fd, room, room.length, 0);
    if (bytes > 0) waiting = Buffer.concat([waiting, room.subarray(0, bytes)]);
    while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
      const end = 2 + waiting.readUInt16BE(0);
      found.push(Uint8Array.from(waiting.subarray(2, end)));
      waiting = waiting.subarray(end);
    }
    return found.length >= count;
  });
  return found;
}

test('over TCP: queries in one segment -> our own name and one of 60,000 bytes, asked by TCP', async () => {
  const loop = new Loop([NOBODY, HANGUP, GOOD]);
  const fd = loop.connect();
  const asked = [
    query({ name: 'big.example', type: 'TXT', id: 1 }),
    query({ name: 'gateway.tapswitch.internal', id: 2 }),
    query({ name: 'name.example', type: 'TXT', id: 3 }),
  ].flatMap((bytes) => [...framed(bytes)]);
  send(fd, Uint8Array.from(asked), asked.length, 0);
  const answers = await messages(loop, fd, 3);
  const byId = new Map(answers.map((bytes) => [decode(bytes).id, bytes]));
  expect(decode(byId.get(2) as Uint8Array).answers).toMatchObject([{ data: '192.168.0.1' }]);
  expect((byId.get(1) as Uint8Array).length).toBeGreaterThan(60_000);
  expect(textsOf(byId.get(3) as Uint8Array).slice(0, 2)).toEqual(['good', 'tcp']);
  expect(loop.sockets.size).toBe(1);
});

test('over TCP: the guest ends its half behind a query -> its answer, then the end', async () => {
  const loop = new Loop([GOOD]);
  const fd = loop.connect();
  const bytes = framed(query({ name: 'name.example', type: 'TXT' }));
  send(fd, bytes, bytes.length, 0);
  endWriting(fd);
  expect(await messages(loop, fd, 1)).toHaveLength(1);
  await loop.until(() => recv(fd, new Uint8Array(1), 1, 0) === 0);
  expect(loop.sockets.size).toBe(0);
});

test('over TCP: the guest does not read -> its answers stop at the bound, it is hung up on', async () => {
  const loop = new Loop([GOOD]);
  const fd = loop.connect();
  const one = framed(query({ name: 'big.example', type: 'TXT' }));
  const bytes = Uint8Array.from(Array.from({ length: 8 }, () => [...one]).flat());
  send(fd, bytes, bytes.length, 0);
  await loop.until(() => loop.sockets.size === 0);
  expect(loop.dns.counts.forwarded).toBe(8);
});

test('a VM that goes -> no socket of its stays open', async () => {
  const loop = new Loop([SILENT]);
  loop.dns.addVm(1, NETWORK, 'vm-1');
  const fd = loop.connect();
  const bytes = framed(query({ name: 'name.example', type: 'TXT' }));
  send(fd, bytes, bytes.length, 0);
  const datagram = query();
  inNamespace(namespace.path, () =>
    loop.dns.datagram(new FakeClient(), viewOf(datagram), 0, datagram.length),
  );
  await loop.until(() => loop.sockets.size === 3);
  loop.dns.removeVm(1);
  expect(loop.sockets.size).toBe(0);
});
