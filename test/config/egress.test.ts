import { describe, expect, test } from 'vitest';
import { type EgressRule, resolveEgress } from '../../src/config/egress.ts';
import { nowhere } from '../../src/config/fault.ts';
import { ipv4Words } from '../../src/config/ip.ts';
import { messageOf } from './fixtures.ts';

const resolve = (...texts: string[]) => resolveEgress(texts, nowhere, ['egress']);

describe('resolveEgress', () => {
  test.each<[string, Omit<EgressRule, 'text'>]>([
    ['deny any', { action: 'deny' }],
    ['allow any udp', { action: 'allow', protocol: 'udp' }],
    ['deny 10.1.2.0/24', { action: 'deny', destination: { address: ipv4Words(0x0a010200), length: 120 } }],
    [
      'allow 192.168.7.0/24 tcp/443',
      {
        action: 'allow',
        destination: { address: ipv4Words(0xc0a80700), length: 120 },
        protocol: 'tcp',
        ports: { first: 443, last: 443 },
      },
    ],
    [
      'allow 0.0.0.0/0 udp/53-54',
      {
        action: 'allow',
        destination: { address: ipv4Words(0), length: 96 },
        protocol: 'udp',
        ports: { first: 53, last: 54 },
      },
    ],
    ['deny 8.8.8.8', { action: 'deny', destination: { address: ipv4Words(0x08080808), length: 128 } }],
    [
      'deny  fd00::/8\ticmp',
      { action: 'deny', destination: { address: [0xfd000000 | 0, 0, 0, 0], length: 8 }, protocol: 'icmp' },
    ],
    ['deny ::1', { action: 'deny', destination: { address: [0, 0, 0, 1], length: 128 } }],
    ['deny ::/0', { action: 'deny', destination: { address: [0, 0, 0, 0], length: 0 } }],
  ])('%s -> read', (text, rule) => {
    expect(resolve(text)).toEqual([{ text, ...rule }]);
  });

  test('several -> in their order', () => {
    const texts = ['deny 10.1.2.0/24', 'allow any', 'deny any'];
    expect(resolve(...texts).map(({ text }) => text)).toEqual(texts);
  });

  test.each([
    ['', '"" is not an outbound rule'],
    ['any', '"any" is not an outbound rule'],
    ['reject any', '"reject any" is not an outbound rule'],
    ['ALLOW any', '"ALLOW any" is not an outbound rule'],
    ['allow', '"allow" is not an outbound rule'],
    ['allow any sctp', '"allow any sctp" is not an outbound rule'],
    ['allow any /443', '"allow any /443" is not an outbound rule'],
    ['allow any tcp 443', '"allow any tcp 443" is not an outbound rule'],
    ['allow any any', '"allow any any" is not an outbound rule'],
    [' allow any', '" allow any" is not an outbound rule'],
    ['allow all', '"all" is not a destination'],
    ['allow example.com tcp/443', '"example.com" is not a destination'],
    ['allow 10.0.0.0/33', '"10.0.0.0/33" is not a destination'],
    ['allow [::1]', '"[::1]" is not a destination'],
    ['allow fe80::1%eth0', '"fe80::1%eth0" is not a destination'],
    ['allow 10.1.2.3/8', '10.1.2.3/8 is an address inside 10.0.0.0/8'],
    ['allow fd00::1/64', 'fd00::1/64 is an address inside fd00::/64'],
    ['allow any tcp/', '"" is not a port or range of ports'],
    ['allow any tcp/0', '"0" is not a port or range of ports'],
    ['allow any tcp/443-80', '"443-80" is not a port or range of ports'],
    ['allow any udp/1-65536', '"1-65536" is not a port or range of ports'],
    ['allow any icmp/8', 'ICMP has no ports'],
  ])('%j -> CONFIG_INVALID, one line', (text, message) => {
    expect(messageOf('CONFIG_INVALID', () => resolve('deny any', text))).toBe(`egress[1]: ${message}`);
  });
});
