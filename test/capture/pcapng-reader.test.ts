/** What pcapng.ts writes, read again while it comes. */
import { expect, test } from 'vitest';
import {
  type CapturedPacket,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  nameResolution,
  sectionHeader,
} from '../../src/capture/pcapng.ts';
import { BlockReader, lostFrames, PacketReader } from '../../src/capture/pcapng-reader.ts';

const FIRST: CapturedPacket = {
  ...{ interfaceId: 0, time: 1_790_000_000_123_456_789n, bytes: Buffer.from('abcde'), originalLength: 1514 },
  ...{ direction: 'in', packetId: 7n, comment: '', lost: 0 },
};
const SECOND: CapturedPacket = {
  ...{ ...FIRST, interfaceId: 1, time: FIRST.time + 1n, direction: 'out' },
  ...{ bytes: Buffer.alloc(64), comment: 'dropped: port-down', lost: 3 },
};
const statistics = interfaceStatistics({
  ...{ interfaceId: 1, start: 0n, end: 1n, selected: 4n, lost: 3n, written: 1n },
});
const stream = Buffer.concat([
  sectionHeader('test'),
  interfaceDescription({ name: 'web', description: 'VM web', snaplen: 0, filter: 'tcp' }),
  nameResolution([{ address: '10.0.0.1', name: 'web' }]),
  enhancedPacket(FIRST),
  interfaceDescription({ name: 'höst', description: '', snaplen: 0, filter: '' }),
  enhancedPacket(SECOND),
  statistics,
]);

test.each([1, 13, 1000])('pieces of %i bytes -> every frame with its fields and interface', (bytes) => {
  const reader = new PacketReader();
  const found = [];
  for (let at = 0; at < stream.length; at += bytes)
    found.push(...reader.take(stream.subarray(at, at + bytes)));
  const { packetId: _, ...first } = { ...FIRST, interfaceName: 'web' };
  const { packetId: __, ...second } = { ...SECOND, interfaceName: 'höst' };
  expect(found).toEqual([first, second]);
});

test('statistics -> frames that found no room', () => {
  expect(lostFrames(Buffer.from(statistics))).toBe(3n);
});

test.each([0, 4, 11])('block of %i bytes -> an error, not an endless loop', (length) => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(length, 4);
  expect(() => new BlockReader().take(bytes)).toThrow(RangeError);
});
