import { describe, expect, test } from 'vitest';
import { resolveNetwork } from '../../src/config/resolve.ts';
import type { HostPortInput, NetworkInput } from '../../src/config/schema.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { messageOf, networkInput } from './fixtures.ts';

const hostPort = (odd: Partial<HostPortInput> = {}): Partial<NetworkInput> => ({
  hostPort: { address: '192.168.255.254', ...odd },
});

describe('resolveNetwork', () => {
  test('only subnet and gateway given -> isolated, IPv6 by the name, nothing else', () => {
    const first = [0xfd6281cf | 0, 0x47670000];
    expect(resolveNetwork('default', networkInput())).toEqual({
      name: 'default',
      subnet: { address: 0xc0a80000, prefix: 16 },
      gateway: 0xc0a80001,
      ipv6: { subnet: [...first, 0, 0], gateway: [...first, 0, 1] },
      mtu: 1500,
      mode: 'isolated',
      clones: false,
      hostServices: [],
      dns: { records: new Map() },
      egress: [],
      limits: { tcpFlows: 8192, halfOpenFlows: 1024, udpFlows: 1024, bufferBytes: 67_108_864 },
    });
  });

  test('services, DNS and rules given -> every value in numbers', () => {
    const input = networkInput({
      subnet6: 'none',
      mtu: 9000,
      clones: true,
      hostServices: ['8080:9000', '8080/udp'],
      dns: { records: { 'a.example': ['10.0.0.5'] }, upstreams: ['[::1]:5353'] },
      egress: ['allow 10.0.0.5 tcp/443', 'deny any'],
    });
    const network = resolveNetwork('default', input);
    expect(network).toMatchObject({
      mtu: 9000,
      clones: true,
      hostServices: [
        { protocol: 'tcp', gatewayPort: 8080, hostPort: 9000 },
        { protocol: 'udp', gatewayPort: 8080, hostPort: 8080 },
      ],
      dns: {
        records: new Map([['a.example', [[0, 0, 0xffff, 0x0a000005]]]]),
        upstreams: [{ address: [0, 0, 0, 1], port: 5353 }],
      },
      egress: [{ action: 'allow' }, { action: 'deny' }],
    });
    expect(network).not.toHaveProperty('ipv6');
  });

  test('host port without an MTU -> the MTU of its network', () => {
    expect(resolveNetwork('default', networkInput({ mtu: 9000, ...hostPort() })).hostPort?.mtu).toBe(9000);
    expect(
      resolveNetwork('default', networkInput({ mtu: 9000, ...hostPort({ mtu: 600 }) })).hostPort?.mtu,
    ).toBe(600);
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
    ['MTU too small for IPv6', { mtu: 1279 }, 'CONFIG_INVALID', /default\.mtu: must be at least 1280/],
    ['MTU above 65520', { mtu: 65521 }, 'CONFIG_INVALID', /default\.mtu: must be at most 65520/],
    ['subnet6 that is none', { subnet6: 'fd00::' }, 'CONFIG_INVALID', /default\.subnet6: "fd00::" is not/],
    ['gateway6 outside', { gateway6: 'fd00::1' }, 'ADDRESS_OUTSIDE_SUBNET', /default\.gateway6: fd00::1 is/],
    ['clones no boolean', { clones: 'yes' }, 'CONFIG_INVALID', /default\.clones: must be true or false/],
    [
      'clones that share a network',
      { clones: true, mode: 'shared' },
      'CONFIG_INVALID',
      /default\.clones: VMs with the same addresses cannot share a network$/,
    ],
    [
      'clones beside a host port',
      { clones: true, ...hostPort() },
      'CONFIG_INVALID',
      /default\.clones: a host port cannot tell VMs with the same address apart$/,
    ],
    [
      'service of the host that is none',
      { hostServices: ['8080:9000', 'http'] },
      'CONFIG_INVALID',
      /hostServices\[1\]: "http" is not a service/,
    ],
    [
      'service of the host as a number',
      { hostServices: [8080] },
      'CONFIG_INVALID',
      /hostServices\[0\]: must be text/,
    ],
    [
      'port of the gateway twice',
      { hostServices: ['8080:9000', '8080/udp', '8080'] },
      'CONFIG_INVALID',
      /hostServices\[2\]: port 8080\/tcp of the gateway is given twice/,
    ],
    [
      'record that is no address',
      { dns: { records: { a: ['x'] } } },
      'CONFIG_INVALID',
      /default\.dns\.records\.a\[0\]: "x" is not an IP address/,
    ],
    [
      'record that is a number',
      { dns: { records: { a: 1 } } },
      'CONFIG_INVALID',
      /records\.a: must be text or a list$/,
    ],
    [
      'address in a record that is a number',
      { dns: { records: { a: ['::1', 1] } } },
      'CONFIG_INVALID',
      /records\.a\[1\]: must be text$/,
    ],
    [
      'record of too many addresses',
      { dns: { records: { a: Array(33).fill('::1') } } },
      'CONFIG_INVALID',
      /records\.a: must have at most 32 entries$/,
    ],
    [
      'misspelt key of dns',
      { dns: { upstream: [] } },
      'CONFIG_INVALID',
      /dns\.upstream: unknown key, did you mean upstreams\?$/,
    ],
    ['no upstream', { dns: { upstreams: [] } }, 'CONFIG_INVALID', /upstreams: must have at least 1 entry$/],
    [
      'too many upstreams',
      { dns: { upstreams: Array(9).fill('::1') } },
      'CONFIG_INVALID',
      /upstreams: must have at most 8 entries$/,
    ],
    [
      'upstream that is a name',
      { dns: { upstreams: ['dns.google'] } },
      'CONFIG_INVALID',
      /upstreams\[0\]: "dns\.google" is not/,
    ],
    ['rule that is none', { egress: ['deny'] }, 'CONFIG_INVALID', /default\.egress\[0\]: "deny" is not/],
    [
      'too many rules',
      { egress: Array(1025).fill('deny any') },
      'CONFIG_INVALID',
      /default\.egress: must have at most 1024 entries$/,
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
