import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describe as describeFrame } from '../../src/wire/print.ts';
import { hex, hostile, viewOf } from './bytes.ts';

const MACS = '020000000001 0600c0a8000e';
const ARROW = '06:00:c0:a8:00:0e > 02:00:00:00:00:01';
const IPV4 = 'c0a8000e c0a80001';
const FLOW = '192.168.0.14 > 192.168.0.1';
const IPV6 = 'fe80000000000000000000000000000e fe800000000000000000000000000001';
const ARP_REQUEST = '0001 0800 06 04 0001 0600c0a8000e c0a8000e 000000000000 c0a80001';

const LINES: [string, string, string][] = [
  ['ARP request', `0806 ${ARP_REQUEST}`, 'ARP who-has 192.168.0.1 tell 192.168.0.14'],
  [
    'ARP reply',
    '0806 0001 0800 06 04 0002 020000000001 c0a80001 0600c0a8000e c0a8000e',
    'ARP 192.168.0.1 is-at 02:00:00:00:00:01',
  ],
  [
    'ARP operation 9',
    `0806 ${ARP_REQUEST.replace('0001 06', '0009 06')}`,
    'ARP operation 9 from 192.168.0.14',
  ],
  [
    'ARP with 8-byte hardware addresses',
    `0806 ${ARP_REQUEST.replace('06 04', '08 04')}`,
    'ARP malformed, length 28',
  ],
  [
    'echo request, padded to a minimum frame',
    `0800 4500001c 00004000 40010000 ${IPV4} 0800000000010002 ${'00'.repeat(18)}`,
    `IPv4 ${FLOW}: ICMP echo request, id 1, seq 2, length 8`,
  ],
  [
    'echo reply behind IPv4 options',
    `0800 46000020 00004000 40010000 ${IPV4} 94040000 0000000000010002`,
    `IPv4 ${FLOW}: ICMP echo reply, id 1, seq 2, length 8`,
  ],
  [
    'host unreachable',
    `0800 4500001c 00004000 40010000 ${IPV4} 0301000000000000`,
    `IPv4 ${FLOW}: ICMP host unreachable, length 8`,
  ],
  [
    'prohibited',
    `0800 4500001c 00004000 40010000 ${IPV4} 030d000000000000`,
    `IPv4 ${FLOW}: ICMP unreachable, admin prohibited, length 8`,
  ],
  [
    'port unreachable',
    `0800 4500001c 00004000 40010000 ${IPV4} 0303000000000000`,
    `IPv4 ${FLOW}: ICMP unreachable, code 3, length 8`,
  ],
  [
    'time exceeded',
    `0800 4500001c 00004000 40010000 ${IPV4} 0b00000000000000`,
    `IPv4 ${FLOW}: ICMP type 11 code 0, length 8`,
  ],
  ['short ICMP', `0800 45000015 00004000 40010000 ${IPV4} 08`, `IPv4 ${FLOW}: ICMP malformed, length 1`],
  [
    'TCP SYN-ACK with options',
    `0800 4500002c 00004000 40060000 ${IPV4} 1f909c40 00000001 00000002 6012faf0 00000000 020405b4`,
    'IPv4 192.168.0.14.8080 > 192.168.0.1.40000: TCP [S.], length 0',
  ],
  [
    'TCP data without flags',
    `0800 4500002c 00004000 40060000 ${IPV4} 1f909c40 00000001 00000002 5000faf0 00000000 61626364`,
    'IPv4 192.168.0.14.8080 > 192.168.0.1.40000: TCP [none], length 4',
  ],
  ['short TCP', `0800 45000016 00004000 40060000 ${IPV4} 1f90`, `IPv4 ${FLOW}: TCP malformed, length 2`],
  [
    'UDP',
    `0800 45000020 00004000 40110000 ${IPV4} 30390035 000c0000 61626364`,
    'IPv4 192.168.0.14.12345 > 192.168.0.1.53: UDP, length 4',
  ],
  ['short UDP', `0800 45000016 00004000 40110000 ${IPV4} 3039`, `IPv4 ${FLOW}: UDP malformed, length 2`],
  [
    'unknown protocol',
    `0800 45000016 00004000 40fd0000 ${IPV4} 3039`,
    `IPv4 ${FLOW}: protocol 253, length 2`,
  ],
  [
    'first fragment',
    `0800 4500001c 00072000 40110000 ${IPV4} 303900350fa00000`,
    `IPv4 ${FLOW}: fragment of 7, protocol 17, length 8`,
  ],
  ['IPv4 with a lying total length', `0800 4500ffff 00004000 40110000 ${IPV4}`, 'IPv4 malformed, length 20'],
  [
    'TCP over IPv6',
    `86dd 60000000 0014 06 40 ${IPV6} 1f909c40 00000001 00000002 5019faf0 00000000`,
    'IPv6 fe80::e.8080 > fe80::1.40000: TCP [FP.], length 0',
  ],
  ['ICMPv6', `86dd 60000000 0004 3a ff ${IPV6} 87000000`, 'IPv6 fe80::e > fe80::1: protocol 58, length 4'],
  ['short IPv6', '86dd 60000000', 'IPv6 malformed, length 4'],
  ['802.1Q tag', `8100 6005 0806 ${ARP_REQUEST}`, 'vlan 5 ARP who-has 192.168.0.1 tell 192.168.0.14'],
  ['two tags', '88a8 0001 8100 0002 88cc', 'vlan 1 vlan 2 ethertype 0x88cc, length 0'],
  ['half a tag', '8100 60', 'ethertype 0x8100, length 1'],
  ['unknown type', '88cc 0207', 'ethertype 0x88cc, length 2'],
];

test.each(LINES)('%s -> its line', (_name, rest, line) => {
  const bytes = hex(MACS + rest);
  expect(describeFrame(viewOf(bytes), 0, bytes.length)).toBe(`${ARROW} ${line}`);
});

test('13 bytes -> a truncated header, no throw', () => {
  expect(describeFrame(viewOf(new Uint8Array(13)), 0, 13)).toBe('truncated Ethernet header, length 13');
});

test('any bytes -> one line, no throw, no read outside', () => {
  const frames = LINES.map(([, rest]) => hostile(hex(MACS + rest)));
  fc.assert(
    fc.property(fc.oneof(...frames), ({ view, off, length }) => {
      expect(describeFrame(view, off, length)).toMatch(/^[^\n]+$/);
    }),
    { numRuns: 5000 },
  );
});
