/** The filter selects the frames that tcpdump selects with the same words. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileFilter } from '../../src/capture/filter/compile.ts';
import { FilteredFrame } from '../../src/capture/filter/frame.ts';
import { makeFrames, numbers } from './frame-corpus.ts';

const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0;
const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const frames = makeFrames(800, 7);
const folder = mkdtempSync(join(tmpdir(), 'tapswitch-filter-'));
const file = join(folder, 'corpus.pcap');

/** A classic capture file; each frame's second is its number. */
function pcapOf(all: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(PCAP_HEADER);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const records = all.map((frame, i) => {
    const record = Buffer.alloc(RECORD_HEADER);
    record.writeUInt32LE(i, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return Buffer.concat([record, frame]);
  });
  return Buffer.concat([header, ...records]);
}

// -O: its optimiser may leave reads out that end a filter on a cut frame.
function selectedByTcpdump(filter: string): number[] {
  const out = execFileSync('tcpdump', ['-O', '-r', file, '-w', '-', filter], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const selected: number[] = [];
  for (let at = PCAP_HEADER; at < out.length; at += RECORD_HEADER + out.readUInt32LE(at + 8)) {
    selected.push(out.readUInt32LE(at));
  }
  return selected;
}

function selectedHere(filter: string): number[] {
  const condition = compileFilter(filter, new Map());
  const selected: number[] = [];
  for (const [i, bytes] of frames.entries()) {
    const frame = new FilteredFrame(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
    frame.length = bytes.length;
    if (condition(frame)) selected.push(i);
  }
  return selected;
}

const PRIMITIVES = [
  ...['ip', 'ip6', 'arp', 'rarp', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp'],
  ...['host 10.0.0.1', 'src host 10.0.0.2', 'dst 10.1.2.3', 'ip host 10.0.0.1', 'arp host 10.0.0.2'],
  ...['src or dst host 10.0.0.1', 'src and dst host 10.0.0.1', 'host fd00::1', 'ip6 src host fd00::2'],
  ...['net 10.0.0.0/8', 'net 10', 'src net 192.168', 'dst net 10.0.0.0 mask 255.255.0.0', 'net fd00::/16'],
  ...['ip net 10.0.0.0/24', 'net 0.0.0.0/0', 'net 10.1.2.3'],
  ...['port 80', 'tcp port 443', 'udp dst port 53', 'src port domain', 'tcp src port http', 'sctp port 22'],
  ...['portrange 20-80', 'tcp portrange 400-500', 'dst portrange 8080-20'],
  ...['ip proto 47', 'ip6 proto 58', 'proto 89', 'ip proto \\tcp', 'ether proto 0x88cc', 'ether proto \\arp'],
  ...['ether host 02:00:00:00:00:01', 'ether src 02:00:00:00:00:02', 'ether dst ff:ff:ff:ff:ff:ff'],
  ...['broadcast', 'ether broadcast', 'multicast', 'ether multicast', 'ip multicast', 'ip6 multicast'],
  ...['less 60', 'greater 100', 'len > 64', 'len - 14 <= 46', 'len % 2 = 1', '60 < len'],
  ...['tcp[tcpflags] & tcp-syn != 0', 'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', 'tcp[13] = 2'],
  ...[
    '(tcp[13] & 0x12) = 0x12',
    'ip[0] & 0xf > 5',
    'ip[6:2] & 0x1fff != 0',
    'ether[0] & 1 = 1',
    'ether[12:2] = 0x800',
  ],
  ...[
    'icmp[icmptype] = icmp-echo',
    'icmp6[icmp6type] == icmp6-neighborsolicit',
    'udp[4:2] > 20',
    'arp[6:2] = 1',
  ],
  ...[
    'tcp[4:4] > 0x80000000',
    'ip[16:4] - ip[12:4] = 1',
    'ip[12:4] >> 24 = 10',
    'ip[8] * 2 = 128',
    'ip[9] / 2 = 3',
  ],
  ...[
    'udp[ip[0] & 0xf] = 0',
    'ip6[6] = 44',
    'tcp[((tcp[12] & 0xf0) >> 2):1] = 0x41',
    'ip[2:2] < len',
    'ether[100] > 0',
  ],
];

const COMBINATIONS = [
  'not ip',
  'not host 10.0.0.1 and port 80',
  'port 80 or 443',
  'tcp port 80 or 443 or 8080',
  'host 10.0.0.1 or 10.0.0.2 and tcp',
  'port (80 or 443)',
  'src host (10.0.0.1 or 10.0.0.2) and not (udp or icmp)',
  'tcp or udp and port 53',
  '!tcp && !udp || ip6',
  'not (tcp port 80 and not host 10.0.0.1)',
  'not tcp[13] = 2',
  'not ether[90] = 0',
  'vlan',
  'vlan 100',
  'vlan and ip',
  'vlan 5 and tcp port 80',
  'vlan and vlan 1 and host 10.0.0.1',
  'not vlan and ip',
  'ip or vlan and tcp',
  'vlan and ip[9] = 6',
  'tcp and (tcp[13] & 2 != 0 or len > 80)',
];

describe.skipIf(!hasTcpdump)('the same frames as tcpdump (Debian package tcpdump)', () => {
  beforeAll(() => writeFileSync(file, pcapOf(frames)));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([...PRIMITIVES, ...COMBINATIONS])('%s', (filter) => {
    const expected = selectedByTcpdump(filter);
    expect(selectedHere(filter)).toEqual(expected);
  });

  test('the corpus -> nearly every condition selects some and not all', () => {
    const telling = PRIMITIVES.filter((filter) => {
      const count = selectedHere(filter).length;
      return count > 0 && count < frames.length;
    });
    expect(telling.length).toBeGreaterThan(PRIMITIVES.length * 0.95);
  });

  test('a hundred conditions put together at random -> the same', () => {
    const random = numbers(11);
    const words = (): string => PRIMITIVES[random(PRIMITIVES.length)] as string;
    for (let i = 0; i < 100; i++) {
      const joined = [words(), words(), words()]
        .map((primitive) => (random(3) === 0 ? `not (${primitive})` : `(${primitive})`))
        .join(random(2) === 0 ? ' and ' : ' or ');
      expect([joined, selectedHere(joined)]).toEqual([joined, selectedByTcpdump(joined)]);
    }
  });
});
