import { readSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { FrameBatch } from '../../src/port/batch.ts';
import { PacketPort, PacketVectors } from '../../src/port/packet-port.ts';
import { nowSeconds } from '../../src/sys/clock.ts';
import { lacksSegmentation } from '../../src/sys/device-features.ts';
import { close, ioctlValue } from '../../src/sys/libc.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { openPacketSocket } from '../../src/sys/packet-socket.ts';
import { allocateCounters, CounterBlock, CounterReader } from '../../src/telemetry/counters.ts';
import { GSO_TCPV4, GSO_TCPV6, GSO_UDP } from '../../src/wire/vnet.ts';
import { received } from '../lib/batches.ts';
import { receiveFrames, Stage } from '../lib/engine-stage.ts';
import { A, B, ethernet, ipv4Tcp, ipv4Udp, ipv6, patched, TCP, withVnet } from '../lib/frames.ts';

vi.mock('../../src/sys/clock.ts', { spy: true });
vi.mock('../../src/sys/device-features.ts', { spy: true });

const BUFFER_BYTES = 16 * 1024 * 1024;
const EXPERIMENTAL = 0x88b5;
const TUNSETOFFLOAD = 0x400454d0;
const TUN_F_CSUM_TSO = 0x7;
const TAP_QUEUE = 4;
/** Offset of the mark in a frame with its virtio-net header */
const MARK = 24;
const IPV6_NEXT_HEADER = 20;

let stage: Stage;
let batch: FrameBatch;
let vectors: PacketVectors;

beforeEach(() => {
  stage = new Stage();
  batch = new FrameBatch();
  vectors = new PacketVectors(batch);
  vi.mocked(lacksSegmentation).mockClear();
});

afterEach(async () => {
  vi.mocked(nowSeconds).mockReset();
  vectors.release();
  batch.release();
  await stage.end();
});

function setLink(name: string, changes: { up?: boolean; txQueueLength?: number }): void {
  withRoutes(stage.host.path, (routes) => {
    routes.changeLink(indexOf(routes, name), { addrGenMode: 'none', ...changes });
  });
}

function packetSocket(name: string): number {
  const index = withRoutes(stage.host.path, (routes) => indexOf(routes, name));
  const fd = inNamespace(stage.host.path, () => openPacketSocket(index, BUFFER_BYTES));
  stage.atEnd(() => close(fd));
  return fd;
}

/** A port on an interface, its statistics, and a way to send whole frames by it. */
function portOn(name: string) {
  setLink(name, { up: true });
  const memory = allocateCounters(1, 1);
  const port = new PacketPort(packetSocket(name), 0, vectors, new CounterBlock(memory, 0, 1));
  const reader = new CounterReader(memory, 1);
  return {
    port,
    stats: () => reader.read(0),
    send(...frames: Uint8Array[]): void {
      for (const [slot, frame] of frames.entries()) {
        batch.place(slot, frame.subarray(10));
        batch.u8.set(frame, batch.start[slot]);
      }
      port.transmit(batch, Int32Array.from(frames.keys()), 0, frames.length);
    },
  };
}

/** A TAP held as by a VMM that has negotiated `offloads`, a few frames of room in its queue. */
function tap(offloads: number) {
  const { fd } = stage.holdTap('t1');
  const negotiate = (bits: number) => expect(ioctlValue(fd, TUNSETOFFLOAD, bits)).toBe(0);
  negotiate(offloads);
  setLink('t1', { txQueueLength: TAP_QUEUE });
  return {
    negotiate,
    write: (frame: Uint8Array) => writeSync(fd, frame),
    read(): Uint8Array[] {
      const frames: Uint8Array[] = [];
      const room = new Uint8Array(70_000);
      try {
        for (;;) frames.push(room.slice(0, readSync(fd, room)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
      return frames;
    },
  };
}

const plain = (mark: number) => ethernet({ from: A, to: B }, EXPERIMENTAL, new Uint8Array(100).fill(mark));
/** Says that it is TCP to be segmented, and is not: a TAP lets its VMM say so, a packet socket refuses to send it. */
const untrue = (mark: number) => withVnet(plain(mark), { gsoType: GSO_TCPV4, gsoSize: 20 });
/** A UDP datagram to be fragmented (UFO): a TAP takes it, a packet socket has no way to hand it over. */
const unspeakable = () =>
  withVnet(ipv4Udp({ from: A, to: B, data: new Uint8Array(3000) }), {
    flags: 1,
    gsoType: GSO_UDP,
    headerLength: 42,
    gsoSize: 1000,
    checksumStart: 34,
    checksumOffset: 6,
  });
const tcpToSegment = () =>
  withVnet(ipv4Tcp({ from: A, to: B, data: new Uint8Array(2500) }), {
    flags: 1,
    gsoType: GSO_TCPV4,
    headerLength: 54,
    gsoSize: 1000,
    checksumStart: 34,
    checksumOffset: 16,
  });
const TCP_ACK = [0, 7, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0];
const tcpOverIpv6ToSegment = () => {
  const payload = [...TCP_ACK, ...new Uint8Array(2500)];
  const frame = patched(ipv6({ from: A, to: B }, 'fd00::1', 'fd00::2', payload), IPV6_NEXT_HEADER, TCP);
  return withVnet(frame, {
    flags: 1,
    gsoType: GSO_TCPV6,
    headerLength: 74,
    gsoSize: 1000,
    checksumStart: 54,
    checksumOffset: 16,
  });
};
const marksOf = (frames: readonly Uint8Array[]) => frames.map((frame) => frame[MARK]);

test('frames whose offload fields do not fit their protocol, among others: sent -> those counted send-refused, the rest arrive in order', () => {
  withRoutes(stage.host.path, (routes) => routes.createVeth('left', 'right'));
  setLink('right', { up: true });
  const other = packetSocket('right');
  const left = portOn('left');
  const frames = Array.from({ length: 20 }, (_, i) => (i % 3 === 1 || i === 9 ? untrue(i) : plain(i)));
  left.send(...frames);
  const good = Array.from({ length: 20 }, (_, i) => i).filter((i) => i % 3 !== 1 && i !== 9);
  expect(receiveFrames(other).map((frame) => frame[MARK - 10])).toEqual(good);
  expect(left.stats()).toEqual({
    rxFrames: 0,
    rxBytes: 0,
    txFrames: good.length,
    txBytes: good.length * 114,
    drops: { 'send-refused': 20 - good.length },
  });
});

test('frame the kernel cannot hand over, alone: receive -> bad-offload, the next one comes', () => {
  const guest = tap(TUN_F_CSUM_TSO);
  const { port, stats } = portOn('t1');
  guest.write(unspeakable());
  guest.write(plain(7));
  expect(received(port, batch)).toEqual([]);
  expect(stats().drops).toEqual({ 'bad-offload': 1 });
  expect(marksOf(received(port, batch))).toEqual([7]);
  expect(received(port, batch)).toEqual([]);
  expect(stats()).toMatchObject({ rxFrames: 1, drops: { 'bad-offload': 1 } });
});

test('frames the kernel cannot hand over, among others: receive -> each counted once, the others come in order', () => {
  const guest = tap(TUN_F_CSUM_TSO);
  const { port, stats } = portOn('t1');
  for (let i = 0; i < 30; i++) guest.write(i % 3 === 1 ? unspeakable() : plain(i));
  const marks = Array.from({ length: 30 }, () => marksOf(received(port, batch))).flat();
  expect(marks).toEqual(Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 3 !== 1));
  expect(stats()).toMatchObject({ rxFrames: 20, drops: { 'bad-offload': 10 } });
});

test('frame the kernel could not hand over behind one it could: the next send -> arrives, and the loss is counted', () => {
  const guest = tap(TUN_F_CSUM_TSO);
  const { port, stats, send } = portOn('t1');
  guest.write(plain(1));
  guest.write(unspeakable());
  expect(marksOf(received(port, batch))).toEqual([1]);
  send(plain(2), untrue(3), plain(4));
  expect(marksOf(guest.read())).toEqual([2, 4]);
  expect(stats()).toMatchObject({ txFrames: 2, drops: { 'bad-offload': 1, 'send-refused': 1 } });
  expect(received(port, batch)).toEqual([]);
  expect(stats().drops).toEqual({ 'bad-offload': 1, 'send-refused': 1 });
});

test('nothing waiting, interface down: receive -> nothing, nothing counted', () => {
  tap(0);
  const { port, stats } = portOn('t1');
  expect(received(port, batch)).toEqual([]);
  setLink('t1', { up: false });
  for (let i = 0; i < 3; i++) expect(received(port, batch)).toEqual([]);
  expect(stats().drops).toEqual({});
});

test('GSO frames for a TAP whose VMM segments nothing: -> segments arrive, the device asked once for each kind', () => {
  const guest = tap(0);
  const { send, stats } = portOn('t1');
  vi.mocked(nowSeconds).mockReturnValue(1000);
  for (const make of [tcpToSegment, tcpToSegment, tcpOverIpv6ToSegment, tcpOverIpv6ToSegment, tcpToSegment]) {
    send(make());
    expect(guest.read()).toHaveLength(3);
  }
  expect(vi.mocked(lacksSegmentation).mock.calls.map(([, type]) => type)).toEqual([GSO_TCPV4, GSO_TCPV6]);
  expect(stats()).toMatchObject({ txFrames: 5, drops: {} });
});

test('VMM that stops segmenting, its TAP full before: -> asked once while full, noticed a second later', () => {
  const guest = tap(TUN_F_CSUM_TSO);
  const { send, stats } = portOn('t1');
  vi.mocked(nowSeconds).mockReturnValue(1000);
  send(...Array.from({ length: TAP_QUEUE + 10 }, tcpToSegment));
  expect(stats()).toMatchObject({ txFrames: TAP_QUEUE, drops: { 'queue-full': 10 } });
  expect(lacksSegmentation).toHaveBeenCalledTimes(1);
  expect(guest.read()).toHaveLength(TAP_QUEUE);
  guest.negotiate(0);
  send(tcpToSegment());
  expect(stats().drops).toEqual({ 'queue-full': 11 });
  vi.mocked(nowSeconds).mockReturnValue(1001);
  send(tcpToSegment());
  expect(guest.read()).toHaveLength(3);
  expect(stats()).toMatchObject({ txFrames: TAP_QUEUE + 1, drops: { 'queue-full': 11 } });
  expect(lacksSegmentation).toHaveBeenCalledTimes(2);
});
