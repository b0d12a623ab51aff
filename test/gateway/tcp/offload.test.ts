/** When a connection is offloaded, and that it goes on as before where it cannot be. The kernel's part is in offload.net.test.ts. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OffloadGrant } from '../../../src/fastpath/flow-entry.ts';
import type { GatewayContext } from '../../../src/gateway/context.ts';
import { ESTABLISHED, TcpFlow } from '../../../src/gateway/tcp/flow.ts';
import type { FlowEvents } from '../../../src/gateway/tcp/flow-events.ts';
import { Offload, type Offloads } from '../../../src/gateway/tcp/offload.ts';
import { TimerWheel } from '../../../src/gateway/timer-wheel.ts';
import { SysError } from '../../../src/sys/errno.ts';
import { MAPPED } from '../../../src/sys/inet-socket.ts';

const MEBIBYTE = 1024 * 1024;
const E2BIG = 7;
const NO_EVENTS = {} as FlowEvents;
const GRANT: OffloadGrant = { tap: 5, host: 1, mtu: 70_000 };
const UNBOUND = new TcpFlow(NO_EVENTS).windowBound;

/** Hash map of the kernel's, played; `room` entries at most. */
class Entries {
  readonly #entries = new Map<string, Uint8Array>();
  room = Infinity;

  get size(): number {
    return this.#entries.size;
  }

  set(key: Uint8Array, entry: Uint8Array): void {
    if (this.#entries.size >= this.room) throw new SysError('access a BPF map', E2BIG);
    this.#entries.set(key.join(), entry);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#entries.get(key.join());
  }

  delete(key: Uint8Array): void {
    this.#entries.delete(key.join());
  }
}

let server: Server;
let peer: Socket;
let clock: { ms: number };
let timers: TimerWheel;
let entries: Entries;
let asked: number[];
let did: string[];
let offload: Offload;
let flow: TcpFlow;

beforeEach(async () => {
  server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(peer, 'connect');
  clock = { ms: 1000 };
  timers = new TimerWheel(clock.ms);
  entries = new Entries();
  asked = [];
  did = [];
  const note = (what: string) => () => void did.push(what);
  const owner = { abort: note('abort'), close: note('close'), wake: note('wake'), list: note('list') };
  const offloads = {
    flows: entries,
    worker: 0,
    ask: (question: number) => void asked.push(question),
  } as unknown as Offloads;
  offload = new Offload({ clock, timers } as unknown as GatewayContext, offloads, {} as never, owner);
  flow = openFlow();
});

afterEach(() => {
  peer.destroy();
  server.close();
});

function openFlow(): TcpFlow {
  const made = new TcpFlow(NO_EVENTS);
  made.state = ESTABLISHED;
  made.guest2 = made.remote2 = MAPPED;
  made.hasSack = made.hasTimestamps = true;
  made.fd = (peer as unknown as { _handle: { fd: number } })._handle.fd;
  made.bulkSinceMs = clock.ms;
  return made;
}

/** Lets the flow move so much in so long, in steps of a MiB. */
function move(mebibytes: number, ms: number): void {
  for (let i = 0; i < mebibytes; i++) {
    clock.ms += ms / mebibytes;
    flow.rcvNxt = (flow.rcvNxt + MEBIBYTE) | 0;
    offload.watch(flow);
  }
}

function pass(ms: number): void {
  for (let i = 0; i < ms; i++) {
    clock.ms++;
    timers.advance(clock.ms);
  }
}

describe('a connection that moves', () => {
  test('16 MiB within 256 ms -> is asked for, once', () => {
    move(64, 512);
    expect(asked).toEqual([1]);
  });

  test('as much in a longer time -> is not', () => {
    move(64, 2048);
    expect(asked).toEqual([]);
  });

  test('a little, and then nothing for long -> is not', () => {
    for (let i = 0; i < 100; i++) {
      move(1, 1);
      clock.ms += 100;
    }
    expect(asked).toEqual([]);
  });

  test.each<[string, Partial<TcpFlow>]>([
    ['IPv6', { guest2: 0, remote2: 0 }],
    ['no timestamps', { hasTimestamps: false }],
    ['no selective acknowledgments', { hasSack: false }],
    ['one side that has ended', { hostEnded: true }],
    ['the other side that has ended', { hasFin: true }],
    ['no socket any more', { fd: -1 }],
  ])('much, but has %s -> is not', (_, changes) => {
    Object.assign(flow, changes);
    move(64, 64);
    expect(asked).toEqual([]);
  });

  test('refused -> relayed on, asked for three times in all', () => {
    for (let i = 0; i < 10; i++) {
      move(16, 16);
      for (const question of asked) offload.answered(question, undefined);
    }
    expect(asked).toEqual([1, 2, 3]);
    expect(flow.offloading).toBeUndefined();
    expect(did).toEqual([]);
  });
});

describe('a connection that may be offloaded', () => {
  test('but finds no room -> relayed on, its windows as before', () => {
    entries.room = 0;
    move(16, 16);
    offload.answered(1, GRANT);
    expect(flow.offloading).toBeUndefined();
    expect(flow.windowBound).toBe(UNBOUND);
    expect(entries.size).toBe(0);
  });

  test('but whose segments do not fit -> relayed on', () => {
    move(16, 16);
    offload.answered(1, { ...GRANT, mtu: 1500 });
    expect(flow.offloading).toBeUndefined();
    expect(entries.size).toBe(0);
  });

  test('comes to rest -> its windows are closed meanwhile; if it does not, they open again and it is relayed on', () => {
    move(16, 16);
    offload.answered(1, GRANT);
    expect(flow.windowBound).toBe(0);
    expect(entries.size).toBe(1);
    flow.waiting = 1;
    pass(249);
    expect(flow.offloading).toBeDefined();
    pass(2);
    expect(flow.offloading).toBeUndefined();
    expect(flow.windowBound).toBe(UNBOUND);
    expect(entries.size).toBe(0);
    expect(flow.owesAck).toBe(true);
    expect(did).toEqual(['list', 'wake']);
  });

  test('ends meanwhile -> the answer is nobody`s', () => {
    move(16, 16);
    offload.recall(flow);
    offload.forget(flow, false);
    offload.answered(1, GRANT);
    expect(entries.size).toBe(0);
    expect(flow.offloading).toBeUndefined();
  });

  test('ends while it comes to rest -> nothing is left of it', () => {
    move(16, 16);
    offload.answered(1, GRANT);
    offload.recall(flow);
    offload.forget(flow, true);
    pass(200);
    expect(entries.size).toBe(0);
    expect(did).toEqual([]);
  });
});
