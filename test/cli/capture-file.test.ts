/** What `tapswitch capture` writes: blocks out of a stream in pieces, and rings of files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { interfaceDescription, interfaceStatistics, sectionHeader } from '../../src/capture/pcapng.ts';
import { ringSize } from '../../src/cli/capture.ts';
import { Blocks, singleTarget } from '../../src/cli/capture-file.ts';
import { ringTarget } from '../../src/cli/capture-ring.ts';
import { packetBlock } from '../capture/ring-records.ts';

const packet = (n: number, lost = 0) =>
  packetBlock(0, { frame: Buffer.alloc(1000, n), nanoseconds: n, id: n, lost });
const opening = [
  sectionHeader('test'),
  interfaceDescription({ name: 'a', description: '', snaplen: 0, filter: '' }),
];
const statistics = interfaceStatistics({
  interfaceId: 0,
  start: 0n,
  end: 1n,
  selected: 25n,
  lost: 5n,
  written: 20n,
});
const packets = Array.from({ length: 20 }, (_, n) => packet(n));
const whole = Buffer.concat([...opening, ...packets, statistics]);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapswitch-ring-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each([1, 7, 1000, 1_000_000])('pieces of %i bytes -> the same blocks, counted', (bytes) => {
  const blocks = new Blocks();
  const found: Buffer[] = [];
  for (let at = 0; at < whole.length; at += bytes) found.push(...blocks.take(whole.subarray(at, at + bytes)));
  expect(found.map(({ length }) => length)).toEqual(
    [...opening, ...packets, statistics].map(({ length }) => length),
  );
  expect(Buffer.concat(found)).toEqual(whole);
  expect([blocks.frames, blocks.lost]).toEqual([20, 5n]);
});

test('cut in a block -> that block is not written', () => {
  expect(new Blocks().take(whole.subarray(0, -1))).toHaveLength(22);
});

test('ring -> the last files are there, each with section and interface', async () => {
  const target = ringTarget(join(folder, 'x.pcapng'), { files: 3, bytes: 5000 });
  for (const block of new Blocks().take(whole)) await target.write(block);
  target.close();
  expect(readdirSync(folder).toSorted()).toEqual(['x-1.pcapng', 'x-2.pcapng', 'x-3.pcapng']);
  const counts = readdirSync(folder).map((name) => {
    const blocks = new Blocks();
    const [section, description] = blocks.take(readFileSync(join(folder, name)));
    expect([section, description]).toEqual(opening.map((block) => Buffer.from(block)));
    return blocks.frames;
  });
  expect(counts.every((count) => count > 0 && count <= 4)).toBe(true);
});

test('ring -> each file ends with statistics about itself; all together they are those of the capture', async () => {
  const lossy = packets.map((_, n) => packet(n, n === 5 ? 2 : 0));
  const target = ringTarget(join(folder, 'x.pcapng'), { files: 30, bytes: 5000 });
  for (const block of new Blocks().take(Buffer.concat([...opening, ...lossy, statistics]))) {
    await target.write(block);
  }
  target.close();
  const names = readdirSync(folder).toSorted((a, b) => Number(/\d+/.exec(a)) - Number(/\d+/.exec(b)));
  const ends = names.map((name) => {
    const bytes = readFileSync(join(folder, name));
    expect(bytes.length).toBeLessThanOrEqual(5000);
    const all = new Blocks();
    const last = all.take(bytes).at(-1) as Buffer;
    expect(last.readUInt32LE(0)).toBe(5);
    return { frames: all.frames, lost: all.lost };
  });
  expect(ends.map(({ frames }) => frames)).toEqual([4, 4, 4, 4, 4]);
  // Two that a frame of the second file tells of; three that only the capture's own statistics do.
  expect(ends.map(({ lost }) => lost)).toEqual([0n, 2n, 0n, 0n, 3n]);
});

test('ring that is closed without statistics of the capture -> they are in its file', async () => {
  const target = ringTarget(join(folder, 'x.pcapng'), { files: 2, bytes: 5000 });
  for (const block of opening) await target.write(Buffer.from(block));
  target.close();
  const found = new Blocks().take(readFileSync(join(folder, 'x-1.pcapng')));
  expect(found.map((block) => block.readUInt32LE(0))).toEqual([0x0a0d0d0a, 1, 5]);
});

test('a folder that is not there -> one line', () => {
  expect(() => singleTarget(join(folder, 'no/x.pcapng'))).toThrow(/x\.pcapng cannot be written: ENOENT/);
});

test('sizes of rings', () => {
  expect(ringSize('5x100MB')).toEqual({ files: 5, bytes: 100_000_000 });
  for (const text of ['', '5', '5x', '0x100MB', '5x1B', '5x99kB', '2000x1GB', '5 x 1GB', '-1x1GB']) {
    expect(() => ringSize(text)).toThrow('It is FILESxSIZE');
  }
});
