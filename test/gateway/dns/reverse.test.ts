import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatIp, formatPrefix, ipv4Words } from '../../../src/config/ip.ts';
import { parseReverse } from '../../../src/gateway/dns/reverse.ts';
import { anyInt32 } from '../../wire/bytes.ts';

function read(name: string): string {
  const reverse = parseReverse(name);
  if (reverse === undefined) return 'none';
  return `${formatPrefix(reverse.block)}${reverse.whole ? '' : ' and more'}`;
}

const NIBBLES = 'e.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f';

test.each([
  ['14.0.168.192.in-addr.arpa', '192.168.0.14/32'],
  ['168.192.in-addr.arpa', '192.168.0.0/16'],
  ['b._dns-sd._udp.0.168.192.in-addr.arpa', '192.168.0.0/24 and more'],
  ['1.14.0.168.192.in-addr.arpa', '192.168.0.14/32 and more'],
  ['256.168.192.in-addr.arpa', '192.168.0.0/16 and more'],
  ['014.0.168.192.in-addr.arpa', '192.168.0.0/24 and more'],
  ['-1.192.in-addr.arpa', '192.0.0.0/8 and more'],
  ['\\0491.192.in-addr.arpa', '192.0.0.0/8 and more'],
  [`${NIBBLES}.ip6.arpa`, 'fd00::e/128'],
  ['0.0.d.f.ip6.arpa', 'fd00::/16'],
  ['00.d.f.ip6.arpa', 'fd00::/8 and more'],
  [`1.${NIBBLES}.ip6.arpa`, 'fd00::e/128 and more'],
  ['g.d.f.ip6.arpa', 'fd00::/8 and more'],
  ['in-addr.arpa', 'none'],
  ['1.in-addr.arpa.example.com', 'none'],
  ['1.xin-addr.arpa', 'none'],
  ['', 'none'],
])('%s -> %s', (name, expected) => {
  expect(read(name)).toBe(expected);
});

test('any IPv4 address: its name -> the address', () => {
  fc.assert(
    fc.property(anyInt32, (address) => {
      const text = formatIp(ipv4Words(address));
      expect(read(`${text.split('.').reverse().join('.')}.in-addr.arpa`)).toBe(`${text}/32`);
    }),
  );
});

test('any IPv6 address: its name -> the address', () => {
  const first = fc.integer({ min: 0x20000000, max: 0x3fffffff }); // none of them an IPv4 address in disguise
  fc.assert(
    fc.property(first, anyInt32, anyInt32, anyInt32, (...words) => {
      const hex = words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
      const text = formatIp(words);
      expect(isIPv6(text)).toBe(true);
      expect(read(`${[...hex].reverse().join('.')}.ip6.arpa`)).toBe(`${text}/128`);
    }),
  );
});
