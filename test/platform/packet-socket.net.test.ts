/** What the datapath takes for granted of AF_PACKET, veth and TAP. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { BATCH_FRAMES, FrameBatch } from '../../src/port/batch.ts';
import { PacketVectors } from '../../src/port/packet-port.ts';
import { lacksSegmentation } from '../../src/sys/device-features.ts';
import {
  bind,
  check,
  close,
  errno,
  ioctlValue,
  read,
  recv,
  recvmmsg,
  send,
  sendmmsg,
  socket,
} from '../../src/sys/libc.ts';
import { mapMemory } from '../../src/sys/memory.ts';
import {
  addressHigh,
  addressLow,
  MessageVector,
  MSG_DONTWAIT,
  MSG_TRUNC,
} from '../../src/sys/message-vector.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import {
  AUXDATA_STATUS_OFFSET,
  bypassQueue,
  openPacketSocket,
  STATUS_VLAN_VALID,
} from '../../src/sys/packet-socket.ts';
import { openPersistentTap } from '../../src/sys/tun.ts';
import { checksum, fold, pseudoHeader4, sum } from '../../src/wire/checksum.ts';
import { ethernetFrame, receiveFrames, Stage, sendFrame } from '../lib/engine-stage.ts';

const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK = 0x803;
const ENOBUFS = 105;
const EMSGSIZE = 90;
const TUNSETOFFLOAD = 0x400454d0;
const BUFFER_BYTES = 16 * 1024 * 1024;
const A = Uint8Array.of(6, 0, 0, 0, 0, 1);
const B = Uint8Array.of(6, 0, 0, 0, 0, 2);

let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.end());

const closing = (fd: number): number => {
  stage.atEnd(() => close(fd));
  return fd;
};

/** A veth, both ends up; packet sockets on either. */
function veth(): { left: number; right: number; open(index: number): number } {
  return withRoutes(stage.host.path, (routes) => {
    routes.createVeth('left', 'right');
    const [left, right] = [indexOf(routes, 'left'), indexOf(routes, 'right')];
    for (const index of [left, right]) routes.changeLink(index, { addrGenMode: 'none', up: true });
    const open = (index: number) =>
      closing(inNamespace(stage.host.path, () => openPacketSocket(index, BUFFER_BYTES)));
    return { left, right, open };
  });
}

/** A TAP whose holder has set `offloads` (TUN_F_…), its descriptor, and a packet socket on it. */
function tap(offloads: number, queue = 1000): { fd: number; packets: number } {
  const fd = closing(inNamespace(stage.host.path, () => openPersistentTap('t1')));
  expect(ioctlValue(fd, TUNSETOFFLOAD, offloads)).toBe(0);
  const index = withRoutes(stage.host.path, (routes) => {
    const found = indexOf(routes, 't1');
    routes.changeLink(found, { addrGenMode: 'none', txQueueLength: queue });
    routes.changeLink(found, { up: true });
    return found;
  });
  return { fd, packets: closing(inNamespace(stage.host.path, () => openPacketSocket(index, BUFFER_BYTES))) };
}

/** Frames that wait at a TAP's descriptor, each behind its virtio-net header. */
function readTap(fd: number): Buffer[] {
  const memory = mapMemory(70_000);
  const frames: Buffer[] = [];
  for (;;) {
    const length = read(fd, memory.address, memory.bytes);
    if (length < 0) return frames;
    frames.push(Buffer.from(memory.u8.slice(0, length)));
  }
}

/** A TCP segment as a guest's stack hands it over: checksum and segmentation left to others. */
function offloaded(payload: Buffer, segment: number): { header: Buffer<ArrayBuffer>; frame: Buffer } {
  const frame = ethernetFrame(B, A, 54 + payload.length);
  frame.writeUInt16BE(0x0800, 12);
  frame.set([0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14);
  frame.writeUInt16BE(40 + payload.length, 16);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  frame.writeUInt16BE(checksum(view, 14, 20), 24);
  frame.set([0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0], 34);
  frame.set(payload, 54);
  const pseudo = pseudoHeader4((10 << 24) | 1, (10 << 24) | 2, 6, 20 + payload.length);
  frame.writeUInt16BE(fold(pseudo), 50);
  const header = Buffer.alloc(10);
  header.set([1, segment > 0 ? 1 : 0]);
  header.writeUInt16LE(segment > 0 ? 54 : 0, 2);
  header.writeUInt16LE(segment, 4);
  header.writeUInt16LE(34, 6);
  header.writeUInt16LE(16, 8);
  return { header, frame };
}

/** Whether the TCP checksum of a finished frame is right. */
function verifies(frame: Buffer): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const bytes = frame.readUInt16BE(16) - 20;
  const pseudo = pseudoHeader4((10 << 24) | 1, (10 << 24) | 2, 6, bytes);
  return fold(pseudo + sum(view, 34, bytes)) === 0xffff;
}

function vectorOf(frames: readonly Buffer[]): MessageVector {
  const memory = mapMemory(frames.length * 70_000);
  const vector = new MessageVector(frames.length, 0);
  for (const [i, frame] of frames.entries()) {
    const at = i * 70_000;
    memory.u8.fill(0, at, at + 10);
    memory.u8.set(frame, at + 10);
    const address = memory.address + at;
    vector.setBuffer(i, addressLow(address), addressHigh(address), 10 + frame.length);
  }
  return vector;
}

test('packet socket of protocol 0: nothing until it is bound, then what comes in', () => {
  const { left, right, open } = veth();
  const from = open(left);
  const unbound = closing(
    inNamespace(stage.host.path, () => check('socket', socket(AF_PACKET, SOCK_RAW_NONBLOCK, 0))),
  );
  sendFrame(from, ethernetFrame(B, A, 60));
  expect(recv(unbound, new Uint8Array(100), 100, MSG_DONTWAIT)).toBe(-1);
  const address = Buffer.from([17, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  address.writeInt32LE(right, 4);
  expect(bind(unbound, address, address.length)).toBe(0);
  sendFrame(from, ethernetFrame(B, A, 60));
  expect(recv(unbound, new Uint8Array(100), 100, MSG_DONTWAIT)).toBe(60);
});

test('PACKET_IGNORE_OUTGOING: -> frames sent on the interface, by us or by others, do not come back', () => {
  const { left, right, open } = veth();
  const [ours, theirs, other] = [open(left), open(left), open(right)];
  sendFrame(theirs, ethernetFrame(B, A, 60));
  expect(receiveFrames(ours)).toEqual([]);
  expect(receiveFrames(theirs)).toEqual([]);
  expect(receiveFrames(other)).toHaveLength(1);
});

test('tagged frame: -> the tag is gone from the bytes, PACKET_AUXDATA says it was there', () => {
  const { left, right, open } = veth();
  const [from, to] = [open(left), open(right)];
  const plain = ethernetFrame(B, A, 60);
  sendFrame(from, Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0, 0, 7]), plain.subarray(12)]));
  sendFrame(from, plain);
  const batch = new FrameBatch(BATCH_FRAMES);
  const { receive } = new PacketVectors(batch);
  receive.resetControl(BATCH_FRAMES);
  expect(recvmmsg(to, receive.address, BATCH_FRAMES, MSG_DONTWAIT, 0)).toBe(2);
  expect([0, 1].map((i) => receive.receivedBytes(i))).toEqual([70, 70]);
  const status = [0, 1].map((i) => receive.controlWord(i, AUXDATA_STATUS_OFFSET) & STATUS_VLAN_VALID);
  expect(status).toEqual([STATUS_VLAN_VALID, 0]);
});

test('frame longer than its buffer: -> MSG_TRUNC on that one alone', () => {
  const { left, right, open } = veth();
  const [from, to] = [open(left), open(right)];
  for (const bytes of [60, 1000, 60]) sendFrame(from, ethernetFrame(B, A, bytes));
  const memory = mapMemory(3 * 100);
  const vector = new MessageVector(3, 0);
  for (let i = 0; i < 3; i++) {
    const address = memory.address + i * 100;
    vector.setBuffer(i, addressLow(address), addressHigh(address), 100);
  }
  expect(recvmmsg(to, vector.address, 3, MSG_DONTWAIT, 0)).toBe(3);
  expect([0, 1, 2].map((i) => (vector.flags(i) & MSG_TRUNC) !== 0)).toEqual([false, true, false]);
});

test('sendmmsg: -> stops before the first frame that fails, names its error when begun there, goes on behind it', () => {
  const { left, right, open } = veth();
  const [from, to] = [open(left), open(right)];
  const frames = [60, 60, 4000, 60].map((bytes, i) => ethernetFrame(B, A, bytes, i));
  const vector = vectorOf(frames);
  expect(sendmmsg(from, vector.address, 4, MSG_DONTWAIT)).toBe(2);
  expect(sendmmsg(from, vector.headerAddress(2), 2, MSG_DONTWAIT)).toBe(-1);
  expect(errno()).toBe(EMSGSIZE);
  expect(sendmmsg(from, vector.headerAddress(3), 1, MSG_DONTWAIT)).toBe(1);
  expect(receiveFrames(to).map((frame) => frame[20])).toEqual([0, 1, 3]);
});

test('TAP nobody reads: past the queue -> ENOBUFS once its ring is full; through the queue -> silence', () => {
  const { packets } = tap(0, 20);
  const frame = Buffer.concat([Buffer.alloc(10), ethernetFrame(B, A, 60)]);
  const results = Array.from({ length: 30 }, () =>
    send(packets, frame, frame.length, MSG_DONTWAIT) < 0 ? errno() : 0,
  );
  expect(results.filter((result) => result === 0)).toHaveLength(20);
  expect(results.slice(20)).toEqual(new Array(10).fill(ENOBUFS));
  bypassQueue(packets, false);
  expect(send(packets, frame, frame.length, MSG_DONTWAIT)).toBe(frame.length);
});

test('unfinished checksum, TAP without offloads: -> the kernel finishes it', () => {
  const { fd, packets } = tap(0);
  const { header, frame } = offloaded(Buffer.from('any payload'), 0);
  expect(verifies(frame)).toBe(false);
  sendFrame(packets, frame, header);
  const [arrived] = readTap(fd);
  expect(arrived?.subarray(0, 2)).toEqual(Buffer.from([0, 0]));
  expect(verifies((arrived as Buffer).subarray(10))).toBe(true);
});

test('GSO frame, TAP without offloads: past the queue -> refused; through it -> segments with right checksums', () => {
  const { fd, packets } = tap(0);
  const payload = Buffer.from(Array.from({ length: 10_000 }, (_, i) => i & 0xff));
  const { header, frame } = offloaded(payload, 1448);
  const bytes = Buffer.concat([header, frame]);
  expect(send(packets, bytes, bytes.length, MSG_DONTWAIT)).toBe(-1);
  expect(errno()).toBe(ENOBUFS);
  expect(readTap(fd)).toEqual([]);
  expect(lacksSegmentation(packets, 1)).toBe(true);
  bypassQueue(packets, false);
  expect(send(packets, bytes, bytes.length, MSG_DONTWAIT)).toBe(bytes.length);
  const segments = readTap(fd).map((got) => got.subarray(10));
  expect(segments).toHaveLength(7);
  expect(segments.map(verifies)).not.toContain(false);
  expect(Buffer.concat(segments.map((segment) => segment.subarray(54)))).toEqual(payload);
});

test('GSO frame, TAP with TSO: past the queue -> arrives whole', () => {
  const { fd, packets } = tap(0x7);
  const { header, frame } = offloaded(Buffer.alloc(10_000), 1448);
  expect(lacksSegmentation(packets, 1)).toBe(false);
  sendFrame(packets, frame, header);
  const [arrived, ...more] = readTap(fd);
  expect(more).toEqual([]);
  expect(arrived).toHaveLength(10 + frame.length);
  expect(arrived?.readUInt16LE(4)).toBe(1448);
});

test('TAP that another descriptor holds: second open -> EBUSY, until that is closed', () => {
  const open = () => inNamespace(stage.host.path, () => openPersistentTap('t2'));
  const first = open();
  expect(open).toThrow(expect.objectContaining({ code: 'EBUSY' }));
  close(first);
  close(open());
});
