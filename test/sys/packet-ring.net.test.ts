/** Packet rings at one end of a veth, as the kernel fills them. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { setProgram } from '../../src/sys/classic-filter.ts';
import { check, close, send } from '../../src/sys/libc.ts';
import { createNamespace, inNamespace } from '../../src/sys/netns.ts';
import { openPacketRing, PacketRing, RING_RETIRE_MS } from '../../src/sys/packet-ring.ts';
import { bypassQueue, openPacketSocket, takeReceiveOverflow } from '../../src/sys/packet-socket.ts';
import { VNET_BYTES } from '../lib/frames.ts';
import { sendFrames } from '../lib/net-raw.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const RETURN = 0x06;
/** As linux/if_ether.h has it for experiments: nobody else speaks it */
const TYPE = [0x88, 0xb5];
const RING_FRAMES = 32 * 64;

const undo: (() => void)[] = [];
let host: string;
let guest: string;
let fd: number;
let ring: PacketRing;

beforeEach(() => {
  [host, guest] = [createNamespace(), createNamespace()].map((made) => {
    undo.push(() => made.close());
    return made.path;
  }) as [string, string];
  withRoutes(host, (routes) => {
    routes.createVeth('v0', 'v0', guest);
    routes.changeLink(indexOf(routes, 'v0'), { up: true });
  });
  withRoutes(guest, (routes) => routes.changeLink(indexOf(routes, 'v0'), { up: true }));
  const index = withRoutes(host, (routes) => indexOf(routes, 'v0'));
  fd = inNamespace(host, () => openPacketRing(index));
  undo.push(() => close(fd));
  ring = PacketRing.map(fd) as PacketRing;
  undo.push(() => ring.release());
});

afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

const look = (bytes: number) =>
  setProgram(fd, SOL_SOCKET, SO_ATTACH_FILTER, [[RETURN, 0, 0, bytes]], 'look on');

function frame(number: number, bytes: number): Uint8Array {
  const made = Buffer.alloc(VNET_BYTES + bytes, 0xaa);
  made
    .fill(0, 0, VNET_BYTES)
    .fill(0xff, VNET_BYTES, VNET_BYTES + 6)
    .set(TYPE, VNET_BYTES + 12);
  made.writeUInt32BE(number, VNET_BYTES + 14);
  return made;
}

/** Past the queue, as the switch sends, no packet socket would see it. */
function sendThroughQueue(sent: Uint8Array): void {
  const index = withRoutes(host, (routes) => indexOf(routes, 'v0'));
  const sender = inNamespace(host, () => openPacketSocket(index, 2 ** 20));
  bypassQueue(sender, false);
  check('send a frame', send(sender, sent, sent.length, 0));
  close(sender);
}

interface Seen {
  number: number;
  kept: number;
  length: number;
  isOutgoing: boolean;
  time: number;
}

/** Adds the frames of this test that the ring has by now. */
function take(seen: Seen[]): void {
  while (ring.next()) {
    const { start, kept, length, isOutgoing, seconds, nanoseconds } = ring;
    if (ring.view.getUint8(start + 12) !== TYPE[0] || ring.view.getUint8(start + 13) !== TYPE[1]) continue;
    const number = ring.view.getUint32(start + 14);
    seen.push({ number, kept, length, isOutgoing, time: seconds * 1000 + nanoseconds / 1e6 });
  }
}

test('not given a filter -> nothing; then what comes in and what leaves, cut, with its length and its time', async () => {
  const seen: Seen[] = [];
  sendFrames(guest, 'v0', [frame(1, 100)]);
  await new Promise((resolve) => setTimeout(resolve, 5 * RING_RETIRE_MS));
  take(seen);
  expect(seen).toEqual([]);
  look(40);
  const before = Date.now();
  sendFrames(guest, 'v0', [frame(2, 1000)]);
  sendThroughQueue(frame(3, 60));
  await vi.waitFor(() => {
    take(seen);
    expect(seen).toHaveLength(2);
  });
  expect(seen).toMatchObject([
    { number: 2, kept: 40, length: 1000, isOutgoing: false },
    { number: 3, kept: 40, length: 60, isOutgoing: true },
  ]);
  for (const { time } of seen) {
    expect(time).toBeGreaterThan(before - 2);
    expect(time).toBeLessThan(Date.now() + 2);
  }
});

test('several times what the ring holds, read meanwhile -> each frame once, in order, none lost', async () => {
  look(512);
  const seen: Seen[] = [];
  const total = 5 * RING_FRAMES;
  for (let first = 0; first < total; first += 256) {
    sendFrames(
      guest,
      'v0',
      Array.from({ length: 256 }, (_, i) => frame(first + i, 900)),
    );
    take(seen);
  }
  await vi.waitFor(() => {
    take(seen);
    expect(seen).toHaveLength(total);
  });
  expect(seen.every(({ number, kept, length }, i) => number === i && kept === 512 && length === 900)).toBe(
    true,
  );
  expect(takeReceiveOverflow(fd)).toBe(0);
});

test('nobody reads -> what does not fit is lost and counted, and it goes on once it is read', async () => {
  look(512);
  const sent = 3 * RING_FRAMES;
  sendFrames(
    guest,
    'v0',
    Array.from({ length: sent }, (_, i) => frame(i, 900)),
  );
  const lost = takeReceiveOverflow(fd);
  expect(lost).toBeGreaterThan(0);
  const seen: Seen[] = [];
  await vi.waitFor(() => {
    take(seen);
    expect(seen.length + lost).toBeGreaterThanOrEqual(sent);
  });
  expect(seen.every(({ number }, i) => number === i)).toBe(true);
  sendFrames(guest, 'v0', [frame(sent, 60)]);
  await vi.waitFor(() => {
    take(seen);
    expect(seen.at(-1)?.number).toBe(sent);
  });
});

test('interface gone -> refused', () => {
  expect(() => inNamespace(host, () => openPacketRing(99))).toThrow(/ENODEV|ENXIO/);
});
