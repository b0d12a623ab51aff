import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { nowhere } from '../../src/config/fault.ts';
import { formatIp } from '../../src/config/ip.ts';
import { formatSubnet6, resolveIpv6, subnet6Of } from '../../src/config/network6.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { messageOf } from './fixtures.ts';

const resolve = (input: Parameters<typeof resolveIpv6>[1], name = 'default') =>
  resolveIpv6(name, input, nowhere, ['networks', name]);

function shown(input: Parameters<typeof resolveIpv6>[1], name?: string) {
  const { subnet, gateway } = resolve(input, name) ?? {};
  return { subnet: subnet && formatSubnet6(subnet), gateway: gateway && formatIp(gateway) };
}

describe('the default subnet', () => {
  test.each(['default', 'lab', 'x'.repeat(63)])('%s -> fd and 40 bits of the hash of its name', (name) => {
    const hex = createHash('sha256').update(`tapswitch:${name}`).digest('hex');
    const words = [`fd${hex.slice(0, 6)}`, `${hex.slice(6, 10)}0000`].map(
      (word) => Number.parseInt(word, 16) | 0,
    );
    expect(subnet6Of(name)).toEqual([...words, 0, 0]);
  });

  test('nothing given -> that one, the gateway at its ::1', () => {
    expect(shown({})).toEqual({ subnet: 'fd62:81cf:4767::/64', gateway: 'fd62:81cf:4767::1' });
  });
});

describe('resolveIpv6', () => {
  test('"none" -> no IPv6', () => {
    expect(resolve({ subnet6: 'none' })).toBeUndefined();
  });

  test('subnet and gateway given -> both', () => {
    expect(shown({ subnet6: '2001:db8:0:5::/64', gateway6: '2001:db8:0:5:ffff::53' })).toEqual({
      subnet: '2001:db8:0:5::/64',
      gateway: '2001:db8:0:5:ffff::53',
    });
  });

  test('subnet given -> gateway at its ::1', () => {
    expect(shown({ subnet6: 'fd12:3456:789a:1::/64' }).gateway).toBe('fd12:3456:789a:1::1');
  });

  test('gateway in the default subnet -> accepted', () => {
    expect(shown({ gateway6: 'fd62:81cf:4767::fe' }).gateway).toBe('fd62:81cf:4767::fe');
  });

  test.each<[object, ErrorCode, string]>([
    [{ subnet6: '' }, 'CONFIG_INVALID', 'subnet6: "" is not an IPv6 subnet'],
    [{ subnet6: 'off' }, 'CONFIG_INVALID', 'subnet6: "off" is not an IPv6 subnet'],
    [{ subnet6: 'fd00::' }, 'CONFIG_INVALID', 'subnet6: "fd00::" is not an IPv6 subnet'],
    [{ subnet6: '10.0.0.0/8' }, 'CONFIG_INVALID', 'subnet6: "10.0.0.0/8" is not an IPv6 subnet'],
    [{ subnet6: 'fd00::/48' }, 'CONFIG_INVALID', 'subnet6: prefix /48 is not supported'],
    [{ subnet6: 'fd00::/65' }, 'CONFIG_INVALID', 'subnet6: prefix /65 is not supported'],
    [
      { subnet6: 'fd00::1/64' },
      'CONFIG_INVALID',
      'subnet6: fd00::1/64 is an address inside the subnet fd00::/64',
    ],
    [{ subnet6: 'fe80::/64' }, 'CONFIG_INVALID', 'subnet6: fe80::/64 cannot be used by hosts'],
    [{ subnet6: 'ff02::/64' }, 'CONFIG_INVALID', 'subnet6: ff02::/64 cannot be used by hosts'],
    [{ subnet6: '::/64' }, 'CONFIG_INVALID', 'subnet6: ::/64 cannot be used by hosts'],
    [{ gateway6: '192.168.0.1' }, 'CONFIG_INVALID', 'gateway6: "192.168.0.1" is not an IPv6 address'],
    [{ gateway6: 'fd00::1/64' }, 'CONFIG_INVALID', 'gateway6: "fd00::1/64" is not an IPv6 address'],
    [
      { subnet6: 'fd00::/64', gateway6: 'fd00:0:0:1::1' },
      'ADDRESS_OUTSIDE_SUBNET',
      'gateway6: fd00:0:0:1::1 is outside the subnet fd00::/64',
    ],
    [
      { subnet6: 'fd00::/64', gateway6: 'fd00::' },
      'CONFIG_INVALID',
      'gateway6: fd00:: is the address of every router of its subnet',
    ],
    [
      { subnet6: 'none', gateway6: 'fd00::1' },
      'CONFIG_INVALID',
      'gateway6: there is no IPv6 in this network: its subnet6 is "none"',
    ],
  ])('%j -> %s', (input, code, message) => {
    expect(messageOf(code, () => resolve(input))).toBe(`networks.default.${message}`);
  });
});
