/** What pcapng.ts writes, read again while it comes. */
import { expect, test } from 'vitest';
import {
  interfaceDescription,
  interfaceStatistics,
  nameResolution,
  sectionHeader,
} from '../../src/capture/pcapng.ts';
import { BlockReader, lostFrames, PacketReader } from '../../src/capture/pcapng-reader.ts';
import { SENT } from '../../src/capture/ring.ts';
import { DROP } from '../../src/telemetry/drops.ts';
import { packetBlock } from './ring-records.ts';

const FIRST = { frame: Buffer.from('abcde'), length: 1514, seconds: 1_790_000_000, nanoseconds: 123_456_789 };
const SECOND = {
  ...{ ...FIRST, nanoseconds: 123_456_790, kind: SENT },
  ...{ frame: Buffer.alloc(64), reason: DROP['port-down'], lost: 3 },
};
const TIME = 1_790_000_000_123_456_789n;
const statistics = interfaceStatistics({
  ...{ interfaceId: 1, start: 0n, end: 1n, selected: 4n, lost: 3n, written: 1n },
});
const stream = Buffer.concat([
  sectionHeader('test'),
  interfaceDescription({ name: 'web', description: 'VM web', snaplen: 0, filter: 'tcp' }),
  nameResolution([{ address: '10.0.0.1', name: 'web' }]),
  packetBlock(0, FIRST),
  interfaceDescription({ name: 'höst', description: '', snaplen: 0, filter: '' }),
  packetBlock(1, SECOND),
  statistics,
]);

test.each([1, 13, 1000])('pieces of %i bytes -> every frame with its fields and interface', (bytes) => {
  const reader = new PacketReader();
  const found = [];
  for (let at = 0; at < stream.length; at += bytes)
    found.push(...reader.take(stream.subarray(at, at + bytes)));
  const first = { interfaceId: 0, interfaceName: 'web', time: TIME, direction: 'in', comment: '', lost: 0 };
  const second = { interfaceId: 1, interfaceName: 'höst', time: TIME + 1n, direction: 'out', lost: 3 };
  expect(found).toEqual([
    { ...first, bytes: FIRST.frame, originalLength: 1514 },
    { ...second, bytes: SECOND.frame, originalLength: 1514, comment: 'dropped: port-down' },
  ]);
});

test('statistics -> frames that found no room', () => {
  expect(lostFrames(Buffer.from(statistics))).toBe(3n);
});

test.each([0, 4, 11])('block of %i bytes -> an error, not an endless loop', (length) => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(length, 4);
  expect(() => new BlockReader().take(bytes)).toThrow(RangeError);
});
