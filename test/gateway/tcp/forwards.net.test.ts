import { execFileSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openListener } from '../../../src/forward/listener.ts';
import type { ForwardBinding } from '../../../src/gateway/forward-binding.ts';
import { Sockets } from '../../../src/gateway/sockets.ts';
import { TcpForwards } from '../../../src/gateway/tcp/forwards.ts';
import { TimerWheel } from '../../../src/gateway/timer-wheel.ts';
import { indexOf, withRoutes } from '../../../src/lab/netns-guest.ts';
import { allocateDescriptorSet, DescriptorSet } from '../../../src/sys/descriptor-set.ts';
import { Epoll, openEpoll } from '../../../src/sys/epoll.ts';
import { close, open } from '../../../src/sys/libc.ts';
import { createNamespace, enterNamespace } from '../../../src/sys/netns.ts';
import { forward } from '../../forward/fixtures.ts';
import { StubClock } from '../../lib/stub-clock.ts';

const PORT = 16080;
const undo: (() => void)[] = [];
const clock = new StubClock();
let binding: ForwardBinding;
let forwards: TcpForwards;
let sockets: Sockets;
let epoll: Epoll;
let timers: TimerWheel;
let accepted: number[];
/** Events that epoll reported */
let events: number;

beforeEach(() => {
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  withRoutes(namespace.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  undo.push(enterNamespace(namespace.path));
  const { fd } = openListener(forward(`${PORT}:80`), 'vm-1', []);
  undo.push(() => void close(fd));
  binding = { number: 5, fd, protocol: 'tcp', port: 1, guestPort: 80, waitMs: 0 };
  epoll = new Epoll(openEpoll(), 8);
  undo.push(() => {
    close(epoll.fd);
    epoll.release();
  });
  accepted = [];
  events = 0;
  undo.push(() => accepted.forEach((one) => void close(one)));
  sockets = new Sockets(epoll, 1, new DescriptorSet(allocateDescriptorSet()));
  timers = new TimerWheel(clock.ms);
  forwards = new TcpForwards({ sockets, timers, clock }, ({ number }, one) => {
    expect(number).toBe(5);
    accepted.push(one);
  });
});

afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

function turn(): number {
  const ready = epoll.wait(0);
  events += ready;
  const had = accepted.length;
  for (let i = 0; i < ready; i++) sockets.dispatch(epoll.token(i), epoll.events(i));
  sockets.settle();
  timers.advance(clock.ms);
  return accepted.length - had;
}

/** Connects as often as asked; the kernel accepts by itself. */
async function clients(count: number): Promise<Socket[]> {
  const made = Array.from({ length: count }, () => connect(PORT, '127.0.0.1'));
  await Promise.all(made.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  undo.push(() => made.forEach((socket) => void socket.destroy()));
  return made;
}

test('connections that wait: forward told -> each is handed over, ever more at a time, 64 at most', async () => {
  await clients(200);
  expect(turn()).toBe(0);
  forwards.add(binding);
  const turns = Array.from({ length: 10 }, turn);
  expect(turns).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 9, 0]);
  expect(new Set(accepted).size).toBe(200);
  expect(sockets.size).toBe(0);
});

test('removed forward: connection -> not taken; told again -> taken', async () => {
  forwards.add(binding);
  forwards.remove(5);
  forwards.remove(5);
  await clients(1);
  expect(turn()).toBe(0);
  expect(events).toBe(0);
  forwards.add(binding);
  expect(turn()).toBe(1);
});

test('all sockets of the thread closed: -> the listening one is not among them', async () => {
  forwards.add(binding);
  sockets.closeAll();
  await clients(1);
  expect(turn()).toBe(1);
});

test('no descriptor free: connection -> asked for again after 100 ms, not before; then taken', async () => {
  forwards.add(binding);
  await clients(1);
  const limit = (soft: string) =>
    execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`]);
  const [, soft = ''] =
    /(\d+) +\d+ *$/m.exec(
      execFileSync('prlimit', ['--pid', String(process.pid), '--nofile', '--noheadings', '-o', 'SOFT,HARD'], {
        encoding: 'utf8',
      }),
    ) ?? [];
  limit('400');
  const filling: number[] = [];
  try {
    for (let fd = 0; fd >= 0; ) {
      fd = open('/dev/null', 0, 0);
      if (fd >= 0) filling.push(fd);
    }
    expect([turn(), events]).toEqual([0, 1]);
    clock.pass(0.05);
    expect([turn(), turn(), events]).toEqual([0, 0, 1]);
    clock.pass(0.06);
    expect([turn(), turn(), events]).toEqual([0, 0, 2]);
  } finally {
    for (const fd of filling) close(fd);
    limit(soft);
  }
  clock.pass(0.2);
  expect([turn(), turn()]).toEqual([0, 1]);
});

test('listening socket that is none any more: -> left alone, asked again later, nothing thrown', async () => {
  const broken = { ...binding, fd: 9_999 };
  forwards.add(broken);
  clock.pass(0.2);
  await sleep(1);
  expect(turn()).toBe(0);
  forwards.remove(5);
});
