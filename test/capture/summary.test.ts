/** Frames in a few words. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameSummary, SUMMARY_BYTES } from '../../src/capture/summary/frame.ts';
import { dhcpFrame } from '../lib/dhcp-messages.ts';
import {
  A,
  ACK,
  arp,
  arpReply,
  arpRequest,
  B,
  ethernet,
  FIN,
  GATEWAY,
  icmp,
  icmpEcho,
  icmpError,
  ipv4,
  ipv4Tcp,
  ipv4Udp,
  MORE_FRAGMENTS,
  PSH,
  padded,
  patched,
  RST,
  SYN,
  VNET_BYTES,
  vlanTagged,
} from '../lib/frames.ts';
import { icmpv6, ip6Bytes, ipv6Packet, tcp6, udp6 } from '../lib/frames6.ts';
import { makeFrames } from './frame-corpus.ts';

const ends = { from: A, to: B };
const ends6 = { ...ends, source: 'fd00::e', destination: 'fd00::f' };
const summary = new FrameSummary();
const of = (frame: Uint8Array, length = frame.length - VNET_BYTES) =>
  summary.of(frame.subarray(VNET_BYTES), length);

/** Header and question of a DNS message about a name. */
function dns(name: string, type: number, flags = 0x0100, answers = 0): number[] {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return [0, 9, flags >> 8, flags & 0xff, 0, 1, 0, answers, 0, 0, 0, 0, ...labels, 0, 0, type, 0, 1];
}
const udp = (toPort: number, data: number[]) => ipv4Udp({ ...ends, toPort, data });
const answer = (data: number[]) => ipv4Udp({ from: GATEWAY, to: A, fromPort: 53, toPort: 4000, data });
const neighbour = (type: number) => icmpv6(ends6, type, 0, [0, 0, 0, 0, ...ip6Bytes('fd00::1')]);
const NOBODYS = 'fe:dc:ba:98:76:54';

test.each([
  [arpRequest({ from: A, about: GATEWAY }), 'ARP who-has 192.168.0.1 tell 192.168.0.14'],
  [padded(arpReply({ from: GATEWAY, to: A })), 'ARP 192.168.0.1 is-at 02:74:61:70:73:77'],
  [arpRequest({ from: A, about: B, senderMac: NOBODYS }), 'ARP who-has 192.168.0.15 tell 192.168.0.14'],
  [arp({ from: A, about: A, operation: 9 }), 'ARP operation 9 from 192.168.0.14'],
  [ethernet(ends, 0x0806, [0, 1]), 'ARP malformed, 2 bytes'],
  [
    ipv4Tcp({ ...ends, flags: SYN, sequence: 0xffff_ffff }),
    '192.168.0.14:40000 > 192.168.0.15:8080 TCP SYN seq 4294967295 win 65535 len 0',
  ],
  [
    ipv4Tcp({ ...ends, flags: PSH | ACK | FIN, data: [1, 2, 3], options: [1, 1, 1, 0] }),
    '192.168.0.14:40000 > 192.168.0.15:8080 TCP FIN,PSH,ACK seq 1 ack 2 win 65535 len 3',
  ],
  [
    padded(ipv4Tcp({ ...ends, flags: RST, window: 0 })),
    '192.168.0.14:40000 > 192.168.0.15:8080 TCP RST seq 1 win 0 len 0',
  ],
  [
    ipv4Tcp({ ...ends, flags: 0 }),
    '192.168.0.14:40000 > 192.168.0.15:8080 TCP no flags seq 1 win 65535 len 0',
  ],
  [tcp6({ ...ends6, flags: SYN }), '[fd00::e]:40000 > [fd00::f]:8080 TCP SYN seq 1 win 65535 len 0'],
  [udp(7000, [1, 2, 3, 4]), '192.168.0.14:40000 > 192.168.0.15:7000 UDP len 4'],
  [udp6(ends6, { toPort: 7000 }), '[fd00::e]:40000 > [fd00::f]:7000 UDP len 3'],
  [ipv4(ends, 17, [0, 1]), '192.168.0.14 > 192.168.0.15 UDP malformed, 2 bytes'],
  [
    ipv4({ ...ends, fragment: MORE_FRAGMENTS }, 17, [0, 1, 0, 2, 4, 8, 0, 0, 1, 2]),
    '192.168.0.14:1 > 192.168.0.15:2 UDP len 1024, first fragment',
  ],
  [
    ipv4({ ...ends, fragment: 5, identification: 77 }, 17, [1, 2, 3]),
    '192.168.0.14 > 192.168.0.15 fragment of 77, protocol 17, 3 bytes',
  ],
  [ipv4(ends, 47, [1, 2, 3]), '192.168.0.14 > 192.168.0.15 GRE, 3 bytes'],
  [ipv4(ends, 200, []), '192.168.0.14 > 192.168.0.15 protocol 200, 0 bytes'],
  [patched(ipv4(ends, 17, [1]), 14, 0x65), 'IPv4 malformed, 21 bytes'],
  [icmpEcho(ends), '192.168.0.14 > 192.168.0.15 ICMP echo request id 7 seq 1'],
  [icmpEcho({ ...ends, reply: true }), '192.168.0.14 > 192.168.0.15 ICMP echo reply id 7 seq 1'],
  [icmpError(ends, icmpEcho(ends)), '192.168.0.14 > 192.168.0.15 ICMP unreachable: port'],
  [icmp(ends, 3, 4, [0, 0, 5, 0x14]), '192.168.0.14 > 192.168.0.15 ICMP fragmentation needed, mtu 1300'],
  [icmp(ends, 11, 0, [0, 0, 0, 0]), '192.168.0.14 > 192.168.0.15 ICMP time exceeded'],
  [icmp(ends, 77, 3, [0, 0, 0, 0]), '192.168.0.14 > 192.168.0.15 ICMP type 77 code 3'],
  [icmpv6(ends6, 128, 0, [0, 7, 0, 2]), 'fd00::e > fd00::f ICMPv6 echo request id 7 seq 2'],
  [icmpv6(ends6, 1, 3, [0, 0, 0, 0]), 'fd00::e > fd00::f ICMPv6 unreachable: address'],
  [icmpv6(ends6, 2, 0, [0, 0, 5, 0]), 'fd00::e > fd00::f ICMPv6 packet too big, mtu 1280'],
  [icmpv6(ends6, 133, 0, [0, 0, 0, 0]), 'fd00::e > fd00::f ICMPv6 router solicitation'],
  [neighbour(135), 'fd00::e > fd00::f ICMPv6 neighbour solicitation of fd00::1'],
  [neighbour(136), 'fd00::e > fd00::f ICMPv6 neighbour advertisement of fd00::1'],
  [icmpv6(ends6, 135, 0, [0, 0, 0, 0]), 'fd00::e > fd00::f ICMPv6 neighbour solicitation, malformed'],
  [icmpv6(ends6, 143, 0, [0, 0, 0, 0]), 'fd00::e > fd00::f ICMPv6 multicast listener report'],
  [ipv6Packet(ends6, 44, new Uint8Array(12)), 'fd00::e > fd00::f fragment, 12 bytes'],
  [ipv6Packet(ends6, 0, [6, 200]), 'fd00::e > fd00::f IPv6 malformed, 42 bytes'],
  [dhcpFrame({ from: A, type: 1 }), '0.0.0.0:68 > 255.255.255.255:67 DHCP discover'],
  [
    dhcpFrame({ from: A, type: 3, requested: '192.168.0.14' }),
    '0.0.0.0:68 > 255.255.255.255:67 DHCP request 192.168.0.14',
  ],
  [dhcpFrame({ from: A, type: 5, operation: 2 }), '0.0.0.0:68 > 255.255.255.255:67 DHCP ack'],
  [udp(53, dns('Example.com', 1)), '192.168.0.14:40000 > 192.168.0.15:53 DNS query A example.com'],
  [udp(53, [1, 2, 3]), '192.168.0.14:40000 > 192.168.0.15:53 UDP len 3'],
  [answer(dns('a.b', 28, 0x8180, 2)), '192.168.0.1:53 > 192.168.0.14:4000 DNS response AAAA a.b, 2 answers'],
  [
    answer(dns('a.b', 99, 0x8380, 1)),
    '192.168.0.1:53 > 192.168.0.14:4000 DNS response TYPE99 a.b, 1 answer, truncated',
  ],
  [answer(dns('a.b', 1, 0x8183)), '192.168.0.1:53 > 192.168.0.14:4000 DNS NXDOMAIN A a.b'],
  [vlanTagged(arpRequest({ from: A, about: B })), 'VLAN 5 ARP who-has 192.168.0.15 tell 192.168.0.14'],
  [ethernet(ends, 0x88cc, [1, 2]), `${A.mac} > ${B.mac} EtherType 0x88cc, 2 bytes`],
  [new Uint8Array(VNET_BYTES + 5), 'runt of 5 bytes'],
])('%# -> %s', (frame, text) => {
  expect(of(frame)).toBe(text);
});

test('cut by a capture -> lengths are those the frame had', () => {
  const whole = ipv4Tcp({ ...ends, data: Array.from({ length: 1000 }, () => 1) });
  expect(of(whole.subarray(0, VNET_BYTES + 54), whole.length - VNET_BYTES)).toBe(of(whole));
  expect(of(arpReply(ends), 5)).toBe('runt of 5 bytes');
});

test('frames one after another, cut -> nothing of the one before shows', () => {
  of(udp(53, dns('secret.example', 1)));
  const query = udp(53, dns('secret.example', 1));
  expect(of(query.subarray(0, VNET_BYTES + 42), query.length - VNET_BYTES)).not.toContain('secret');
});

test('a DNS name of the longest kind in IPv6 -> within what a trace asks to keep', () => {
  const name = Array.from({ length: 4 }, () => 'x'.repeat(61)).join('.');
  const frame = udp6(ends6, { toPort: 53, data: dns(name, 1) });
  expect(of(frame.subarray(0, VNET_BYTES + SUMMARY_BYTES))).toContain(`DNS query A ${name}`);
});

test('whatever the bytes -> one line, and no error', () => {
  const isLine = (text: string) => expect(text).toMatch(/^[\x20-\x7e]+$/);
  for (const frame of makeFrames(5000, 11)) isLine(summary.of(frame, frame.length));
  const noise = fc.tuple(fc.uint8Array({ maxLength: 600 }), fc.nat(70_000), fc.constantFrom(8, 0x86, 0x81));
  fc.assert(
    fc.property(noise, ([bytes, more, type]) => {
      if (bytes.length > 14) bytes.set([type, type === 8 ? 0 : type === 0x86 ? 0xdd : 0, 0x45], 12);
      isLine(summary.of(bytes, bytes.length + more));
    }),
  );
});
