/** Capture files, as tshark and tcpdump read them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  interfaceDescription,
  interfaceStatistics,
  nameResolution,
  sectionHeader,
} from '../../src/capture/pcapng.ts';
import { SENT } from '../../src/capture/ring.ts';
import { DROP } from '../../src/telemetry/drops.ts';
import { packetBlock } from './ring-records.ts';

const hasTshark = spawnSync('tshark', ['--version']).status === 0;
const START = 1_790_000_000_123_456_789n;
const FRAME = Buffer.from(
  `020000000001020000000002${'0800'}4500002800010000400666cd0a0000010a0000020050c000${'00'.repeat(8)}5002ffff00000000`,
  'hex',
);
const GSO_BYTES = 65_549;

const NANOSECONDS = 123_456_789;
const PACKET = { frame: FRAME, seconds: 1_790_000_000, nanoseconds: NANOSECONDS, id: 77 };
const cut = FRAME.subarray(0, 33);
const gso = Buffer.alloc(GSO_BYTES, FRAME);
gso.set(FRAME);

const blocks = [
  sectionHeader('tapswitch test'),
  interfaceDescription({ name: 'vm-web', description: 'VM web', snaplen: 0, filter: 'tcp port 80' }),
  interfaceDescription({ name: 'höst', description: 'Host port', snaplen: 60, filter: '' }),
  nameResolution([
    { address: '10.0.0.1', name: 'web' },
    { address: 'fd00::1', name: 'web' },
  ]),
  packetBlock(0, PACKET),
  packetBlock(1, { ...PACKET, nanoseconds: NANOSECONDS + 1, kind: SENT, reason: DROP['port-down'], lost: 3 }),
  packetBlock(0, { ...PACKET, nanoseconds: NANOSECONDS + 2, frame: cut, length: FRAME.length, id: -1 }),
  packetBlock(0, { ...PACKET, nanoseconds: NANOSECONDS + 3, frame: gso }),
  interfaceStatistics({ interfaceId: 0, start: START, end: START + 9n, selected: 3n, lost: 0n, written: 3n }),
  interfaceStatistics({ interfaceId: 1, start: START, end: START + 9n, selected: 4n, lost: 3n, written: 1n }),
];

describe.skipIf(!hasTshark)('a capture file (Debian package tshark)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-pcapng-'));
  const file = join(folder, 'all.pcapng');
  beforeAll(() => writeFileSync(file, Buffer.concat(blocks)));
  afterAll(() => rmSync(folder, { recursive: true }));

  const fields = (...names: string[]) =>
    execFileSync('tshark', ['-r', file, '-T', 'fields', ...names.flatMap((name) => ['-e', name])], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));

  test('interfaces, lengths and nanoseconds', () => {
    const read = fields(
      'frame.interface_name',
      'frame.interface_description',
      'frame.cap_len',
      'frame.len',
      'frame.time_epoch',
    );
    const seconds = (ns: number) => `1790000000.12345678${9 + ns}`;
    const whole = String(FRAME.length);
    expect(read.map((row) => row.slice(0, 4))).toEqual([
      ['vm-web', 'VM web', whole, whole],
      ['höst', 'Host port', whole, whole],
      ['vm-web', 'VM web', '33', whole],
      ['vm-web', 'VM web', String(GSO_BYTES), String(GSO_BYTES)],
    ]);
    expect(read[0]?.[4]).toBe(seconds(0));
    expect(read[1]?.[4]).toBe('1790000000.123456790');
  });

  test('direction, packet id, comment and frames lost before', () => {
    const read = fields(
      'frame.packet_flags_direction',
      'frame.packet_id',
      'frame.comment',
      'frame.drop_count',
    );
    const [first, second, third] = read;
    expect(first?.slice(0, 3)).toEqual(['0x00000001', '77', '']);
    expect(second).toEqual(['0x00000002', '77', 'dropped: port-down', '3']);
    expect(third?.[1]).toBe(String(2 ** 32 - 1));
  });

  test('names of addresses', () => {
    const out = execFileSync('tshark', ['-r', file, '-N', 'n', '-c', '1'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(out).toContain('web');
  });

  test('statistics and filter of each interface', () => {
    const { stdout } = spawnSync('capinfos', [file], { encoding: 'utf8' });
    expect(stdout).toContain('Filter string = tcp port 80');
    expect(stdout).toContain('Number of stat entries = 1');
    expect(stdout).toContain('Number of packets:   4');
    expect(stdout).toContain('Time precision = nanoseconds (9)');
  });

  test('tcpdump -> reads all of a file with one interface', () => {
    const single = join(folder, 'single.pcapng');
    writeFileSync(single, Buffer.concat([blocks[0], blocks[1], blocks[4], blocks[8]] as Uint8Array[]));
    const { stdout, status } = spawnSync('tcpdump', ['-nr', single], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, expect.stringContaining('10.0.0.1.80 > 10.0.0.2.49152: Flags [S]')]);
  });

  test('cut anywhere in its last block -> what came before is read', () => {
    const broken = join(folder, 'cut.pcapng');
    writeFileSync(broken, Buffer.concat(blocks.slice(0, 6)).subarray(0, -5));
    const out = spawnSync('tshark', ['-r', broken, '-T', 'fields', '-e', 'frame.number'], {
      encoding: 'utf8',
    }).stdout;
    expect(out.trim()).toBe('1');
  });
});

test('every block -> a multiple of four bytes, its length at both ends', () => {
  for (const bytes of blocks.map((block) => Buffer.from(block))) {
    expect(bytes.length % 4).toBe(0);
    expect(bytes.readUInt32LE(4)).toBe(bytes.length);
    expect(bytes.readUInt32LE(bytes.length - 4)).toBe(bytes.length);
  }
});
