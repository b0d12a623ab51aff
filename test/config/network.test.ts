import { describe, expect, test } from 'vitest';
import { resolveNetwork } from '../../src/config/resolve.ts';
import type { HostPortInput, NetworkInput } from '../../src/config/schema.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { messageOf, networkInput } from './fixtures.ts';

const hostPort = (odd: Partial<HostPortInput> = {}): Partial<NetworkInput> => ({
  hostPort: { address: '192.168.255.254', ...odd },
});

describe('resolveNetwork', () => {
  test('only subnet and gateway given -> isolated, no host port', () => {
    expect(resolveNetwork('default', networkInput())).toEqual({
      name: 'default',
      subnet: { address: 0xc0a80000, prefix: 16 },
      gateway: 0xc0a80001,
      mode: 'isolated',
    });
  });

  test('host port with only an address -> tapsw0, MTU 1500, nothing allowed from guests', () => {
    expect(resolveNetwork('default', networkInput(hostPort())).hostPort).toEqual({
      name: 'tapsw0',
      address: 0xc0a8fffe,
      mtu: 1500,
      allowFromGuests: [],
    });
  });

  test('host port with everything -> every value in numbers', () => {
    const input = hostPort({
      name: 'sw1',
      mtu: 9000,
      netns: '/run/netns/x',
      allowFromGuests: ['tcp/7000', 'udp/53'],
    });
    expect(resolveNetwork('lab', networkInput({ ...input, mode: 'shared' }))).toMatchObject({
      mode: 'shared',
      hostPort: {
        name: 'sw1',
        mtu: 9000,
        netns: '/run/netns/x',
        allowFromGuests: [
          { protocol: 'tcp', port: 7000 },
          { protocol: 'udp', port: 53 },
        ],
      },
    });
  });

  test.each<[fact: string, odd: object, code: ErrorCode, message: RegExp]>([
    [
      'subnet that is no CIDR',
      { subnet: '192.168.0.0' },
      'CONFIG_INVALID',
      /default\.subnet: "192.168.0.0" is not/,
    ],
    [
      'subnet with host bits',
      { subnet: '192.168.0.1/16' },
      'CONFIG_INVALID',
      /inside the subnet 192.168.0.0\/16/,
    ],
    ['subnet without room', { subnet: '192.168.0.0/31' }, 'CONFIG_INVALID', /prefix \/31 is not supported/],
    ['subnet too wide', { subnet: '0.0.0.0/0' }, 'CONFIG_INVALID', /prefix \/0 is not supported/],
    ['loopback subnet', { subnet: '127.0.0.0/8' }, 'CONFIG_INVALID', /cannot be used by hosts/],
    ['multicast subnet', { subnet: '224.0.0.0/8' }, 'CONFIG_INVALID', /cannot be used by hosts/],
    [
      'gateway that is no address',
      { gateway: '192.168.0.256' },
      'CONFIG_INVALID',
      /gateway: "192.168.0.256" is not/,
    ],
    [
      'gateway outside',
      { gateway: '10.0.0.1' },
      'ADDRESS_OUTSIDE_SUBNET',
      /10.0.0.1 is outside the subnet 192/,
    ],
    ['gateway first address', { gateway: '192.168.0.0' }, 'CONFIG_INVALID', /is the network address/],
    ['gateway last address', { gateway: '192.168.255.255' }, 'CONFIG_INVALID', /is the broadcast address/],
    ['unknown mode', { mode: 'bridged' }, 'CONFIG_INVALID', /default\.mode: must be isolated or shared/],
    [
      'host port outside',
      hostPort({ address: '10.1.2.3' }),
      'ADDRESS_OUTSIDE_SUBNET',
      /hostPort\.address: 10.1.2.3/,
    ],
    [
      'host port at the gateway',
      hostPort({ address: '192.168.0.1' }),
      'ADDRESS_IN_USE',
      /already the gateway/,
    ],
    [
      'host port name too long',
      hostPort({ name: 'sixteen-letters-' }),
      'CONFIG_INVALID',
      /not a valid interface/,
    ],
    ['host port name a pattern', hostPort({ name: 'tap%d' }), 'CONFIG_INVALID', /not a valid interface/],
    ['host port name with a newline', hostPort({ name: 'a\nb' }), 'CONFIG_INVALID', /"a\\nb" is not a valid/],
    ['host port without address', { hostPort: {} }, 'CONFIG_INVALID', /hostPort: address is missing/],
    ['MTU below 576', hostPort({ mtu: 575 }), 'CONFIG_INVALID', /hostPort\.mtu: must be at least 576/],
    ['MTU above 65520', hostPort({ mtu: 65521 }), 'CONFIG_INVALID', /hostPort\.mtu: must be at most 65520/],
    [
      'MTU no whole number',
      hostPort({ mtu: 1500.5 }),
      'CONFIG_INVALID',
      /hostPort\.mtu: must be a whole number/,
    ],
    ['relative namespace', hostPort({ netns: 'blue' }), 'CONFIG_INVALID', /hostPort\.netns: "blue" is not/],
    [
      'allowed port 0',
      hostPort({ allowFromGuests: ['tcp/0'] }),
      'CONFIG_INVALID',
      /allowFromGuests\[0\]: "tcp\/0"/,
    ],
    [
      'allowed port of SCTP',
      hostPort({ allowFromGuests: ['sctp/7'] }),
      'CONFIG_INVALID',
      /"sctp\/7" is not a port/,
    ],
    ['missing subnet', { subnet: undefined }, 'CONFIG_INVALID', /default\.subnet: must be text/],
    ['misspelt key', { gatway: '192.168.0.1' }, 'CONFIG_INVALID', /unknown key, did you mean gateway\?/],
  ])('%s -> refused with a code and one line', (_fact, odd, code, message) => {
    const input = networkInput(odd as Partial<NetworkInput>);
    expect(messageOf(code, () => resolveNetwork('default', input))).toMatch(message);
  });

  test('name that is no name -> CONFIG_INVALID', () => {
    const message = messageOf('CONFIG_INVALID', () => resolveNetwork('a b', networkInput()));
    expect(message).toBe('networks."a b": "a b" is not a valid name');
  });
});
