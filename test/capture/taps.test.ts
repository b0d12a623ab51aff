/** Which frames a worker's captures write, and which they do not even copy. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NOT_DROPPED } from '../../src/capture/filter/frame.ts';
import { allocateRing, RECEIVED, RingReader, SENT } from '../../src/capture/ring.ts';
import { CaptureTaps } from '../../src/capture/taps.ts';
import { FrameBatch } from '../../src/port/batch.ts';
import { PieceQueue } from '../../src/port/piece-queue.ts';
import { type Memory, mapMemory, unmapMemory } from '../../src/sys/memory.ts';
import { DROP } from '../../src/telemetry/drops.ts';
import { A, ACK, arpRequest, B, ipv4Tcp, ipv4Udp, VNET_BYTES } from '../lib/frames.ts';
import { takeFrom } from './ring-records.ts';

const RING_BYTES = 2048;
const PORT = 3;
const DATA = Array.from({ length: 200 }, (_, i) => i & 0xff);
const UDP = ipv4Udp({ from: A, to: B });
const TCP = ipv4Tcp({ from: A, to: B, flags: ACK, data: DATA });
const ARP = arpRequest({ from: A, about: B });
let batch: FrameBatch;
let taps: CaptureTaps;
let lost: SharedArrayBuffer;
let reader: RingReader;

beforeEach(() => {
  batch = new FrameBatch();
  taps = new CaptureTaps(0, batch);
  lost = new SharedArrayBuffer(4 * 16);
});

afterEach(() => taps.release());

function capture(filter: string): void {
  const ring = allocateRing(RING_BYTES);
  reader = new RingReader(ring);
  const rest = { snaplen: 65_535, ports: undefined, sniffers: [], vms: new Map(), rings: [ring], lost };
  taps.set({ number: 1, filter, ...rest });
}

/** Has frames come in, those with a reason be dropped for it, and the batch end. */
function pass(...frames: (readonly [Uint8Array, reason?: number])[]): void {
  for (const [slot, [frame]] of frames.entries()) {
    batch.u8.set(frame, batch.start[slot]);
    batch.length[slot] = frame.length;
  }
  taps.received(batch, frames.length, PORT);
  for (const [slot, [, reason]] of frames.entries()) {
    if (reason !== undefined) taps.dropped(batch, slot, PORT, reason);
  }
  taps.settle();
}

function written() {
  return takeFrom(reader).map(({ kind, reason, id, frame }) => ({ kind, reason, id, frame }));
}

const bytesOf = (frame: Uint8Array) => Buffer.from(frame.subarray(VNET_BYTES));
const lostFrames = () => new Int32Array(lost)[PORT];

test('drop -> what passes takes no room, what is dropped is there with its reason and id', () => {
  capture('drop');
  for (let i = 0; i < 20; i++) pass([TCP], [UDP], [TCP]);
  pass([TCP], [UDP, DROP.isolated], [ARP]);
  expect(written()).toEqual([{ kind: RECEIVED, reason: DROP.isolated, id: 62, frame: bytesOf(UDP) }]);
  expect(lostFrames()).toBe(0);
});

test.each([
  ['drop vlan', []],
  ['drop isolated', ['UDP']],
  ['drop and tcp', []],
  ['drop or arp', ['UDP', 'ARP']],
  ['not drop', ['TCP', 'ARP']],
  ['not drop isolated and udp', []],
  ['udp', ['UDP']],
  ['', ['TCP', 'UDP', 'ARP']],
])('%j, and UDP is dropped as isolated -> %j', (filter, names) => {
  capture(filter);
  pass([TCP], [UDP, DROP.isolated], [ARP]);
  const frames = { TCP, UDP, ARP };
  const name = (frame: Buffer) => Object.entries(frames).find(([, one]) => bytesOf(one).equals(frame))?.[0];
  const found = written();
  expect(found.map(({ frame }) => name(frame)).toSorted()).toEqual(names.toSorted());
  for (const { frame, reason } of found) {
    expect(reason).toBe(name(frame) === 'UDP' ? DROP.isolated : NOT_DROPPED);
  }
});

test('no room for a frame that is dropped then -> lost once', () => {
  capture('drop or udp');
  const full = Array.from({ length: 40 }, () => [UDP, DROP.isolated] as const);
  pass(...full);
  expect(written().length + (lostFrames() as number)).toBe(40);
  expect(lostFrames()).toBeGreaterThan(0);
});

test('the drop is of a slot that another batch has filled since -> not of the frame before', () => {
  capture('udp');
  pass([UDP]);
  pass([ARP, DROP.isolated]);
  expect(written()).toMatchObject([{ reason: NOT_DROPPED }]);
});

const HEADERS = VNET_BYTES + 54;
let payload: Memory;

/** Has the gateway send a frame whose payload lies elsewhere. */
function sendPieces(): { queue: PieceQueue; copies: () => number } {
  payload = mapMemory(4096);
  const queue = new PieceQueue();
  queue.u8.set(TCP.subarray(0, HEADERS));
  payload.u8.set(TCP.subarray(HEADERS));
  queue.set(0, HEADERS, payload.address, TCP.length - HEADERS);
  const copy = vi.spyOn(queue, 'copy');
  taps.sentPieces(queue, 0, 1, PORT);
  taps.settle();
  queue.release();
  unmapMemory(payload);
  return { queue, copies: () => copy.mock.calls.length };
}

test.each([
  ['', 1, true],
  ['tcp port 8080', 1, true],
  [`len = ${TCP.length - VNET_BYTES}`, 1, true],
  ['udp', 0, false],
  ['tcp port 99', 0, false],
  ['less 100', 0, false],
  ['drop', 0, false],
  ['tcp[25] = 5', 1, true],
  ['tcp[25] = 6', 1, false],
  ['not tcp[25] = 6', 1, true],
  ['tcp port 99 and tcp[25] = 5', 0, false],
  ['tcp[2000] = 5 or udp', 0, false],
])('sent in pieces, %j -> %i copies, written: %s', (filter, copies, isWritten) => {
  capture(filter);
  expect(sendPieces().copies()).toBe(copies);
  const found = written();
  expect(found.map(({ kind }) => kind)).toEqual(isWritten ? [SENT] : []);
  for (const { frame } of found) expect(frame).toEqual(bytesOf(TCP));
});

test('sent in pieces, then received -> the filter looks at the batch again', () => {
  capture('udp');
  sendPieces();
  pass([UDP]);
  expect(written()).toHaveLength(1);
});
