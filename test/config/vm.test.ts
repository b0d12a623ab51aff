import { describe, expect, test } from 'vitest';
import { resolveNetwork, resolveVm, type VmConfig } from '../../src/config/resolve.ts';
import type { VmInput } from '../../src/config/schema.ts';
import { VmIndex } from '../../src/config/vm-index.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { messageOf, networkInput, vmInput } from './fixtures.ts';

const networks = new Map([
  ['default', resolveNetwork('default', networkInput({ hostPort: { address: '192.168.255.254' } }))],
  ['lab', resolveNetwork('lab', networkInput())],
  ['old', resolveNetwork('old', networkInput({ subnet6: 'none' }))],
  ['swarm', resolveNetwork('swarm', networkInput({ clones: true, subnet6: 'fd00::/64' }))],
]);

const localhost = (port: number) => ({ kind: 'ip', address: [0, 0, 0xffff, 0x7f000001], port });

const resolve = (input: VmInput, others: VmConfig[] = [], id = 'vm-1') =>
  resolveVm(id, input, networks, new VmIndex(networks, others));

describe('resolveVm', () => {
  test('only a TAP given -> default network, nothing pinned, no takeover, no forwards', () => {
    expect(resolve(vmInput())).toEqual({
      id: 'vm-1',
      network: 'default',
      tap: 'fc-vm-02018',
      takeover: false,
      forwards: [],
      egress: [],
    });
  });

  test('everything given -> every value in numbers', () => {
    const input: VmInput = {
      network: 'lab',
      tap: 'veth0',
      netns: '/run/netns/vm',
      mac: '06:00:C0:A8:00:0E',
      ip: '192.168.0.14',
      ip6: 'fd16:9f0e:79d2::e',
      takeover: true,
      forwards: ['127.0.0.1:16080:6080', { listen: '8000-8001:80-81', wait: 0 }],
      egress: ['deny any'],
    };
    expect(resolve(input)).toEqual({
      id: 'vm-1',
      network: 'lab',
      tap: 'veth0',
      netns: '/run/netns/vm',
      mac: 0x0600c0a8000e,
      ip: 0xc0a8000e,
      takeover: true,
      ip6: [0xfd169f0e | 0, 0x79d20000 | 0, 0, 0xe],
      forwards: [
        { protocol: 'tcp', host: localhost(16080), guestPort: 6080, waitMs: 30_000 },
        { protocol: 'tcp', host: localhost(8000), guestPort: 80, waitMs: 0 },
        { protocol: 'tcp', host: localhost(8001), guestPort: 81, waitMs: 0 },
      ],
      egress: [{ text: 'deny any', action: 'deny' }],
    });
  });

  test.each<[fact: string, odd: object, code: ErrorCode, message: RegExp]>([
    ['no TAP', { tap: undefined }, 'CONFIG_INVALID', /vms\.vm-1\.tap: must be text/],
    ['TAP with a slash', { tap: 'a/b' }, 'CONFIG_INVALID', /vm-1\.tap: "a\/b" is not a valid interface name/],
    ['TAP without a name', { tap: '' }, 'CONFIG_INVALID', /vm-1\.tap: "" is not a valid interface name/],
    ['relative namespace', { netns: 'vm' }, 'CONFIG_INVALID', /vm-1\.netns: "vm" is not/],
    [
      'unknown network',
      { network: 'defualt' },
      'NETWORK_UNKNOWN',
      /no network "defualt", did you mean default\?/,
    ],
    [
      'MAC that is none',
      { mac: '06:00:c0:a8:00' },
      'CONFIG_INVALID',
      /vm-1\.mac: "06:00:c0:a8:00" is not a MAC/,
    ],
    [
      'multicast MAC',
      { mac: '01:00:5e:00:00:01' },
      'CONFIG_INVALID',
      /01:00:5e:00:00:01 is a multicast address/,
    ],
    ['broadcast MAC', { mac: 'ff:ff:ff:ff:ff:ff' }, 'CONFIG_INVALID', /is a multicast address/],
    ['MAC of zeros', { mac: '00:00:00:00:00:00' }, 'CONFIG_INVALID', /is no address/],
    [
      'IP that is none',
      { ip: '192.168.14' },
      'CONFIG_INVALID',
      /vm-1\.ip: "192.168.14" is not an IPv4 address/,
    ],
    ['IP outside', { ip: '192.169.0.1' }, 'ADDRESS_OUTSIDE_SUBNET', /192.169.0.1 is outside the subnet/],
    ['network address', { ip: '192.168.0.0' }, 'CONFIG_INVALID', /is the network address/],
    ['broadcast address', { ip: '192.168.255.255' }, 'CONFIG_INVALID', /is the broadcast address/],
    ["gateway's address", { ip: '192.168.0.1' }, 'ADDRESS_IN_USE', /already the address of the gateway/],
    [
      "host port's address",
      { ip: '192.168.255.254' },
      'ADDRESS_IN_USE',
      /already the address of the host port/,
    ],
    [
      "host port's name",
      { tap: 'tapsw0' },
      'TAP_IN_USE',
      /tapsw0 is already the host port of network default/,
    ],
    ['takeover no boolean', { takeover: 'yes' }, 'CONFIG_INVALID', /vm-1\.takeover: must be true or false/],
    ['IPv6 that is none', { ip6: '::g' }, 'CONFIG_INVALID', /vm-1\.ip6: "::g" is not an IPv6 address/],
    ['IPv6 outside', { ip6: 'fd00::1' }, 'ADDRESS_OUTSIDE_SUBNET', /vm-1\.ip6: fd00::1 is outside/],
    [
      "gateway's IPv6 address",
      { ip6: 'fd62:81cf:4767::1' },
      'ADDRESS_IN_USE',
      /ip6: fd62:81cf:4767::1 is already the address of the gateway$/,
    ],
    [
      'IPv6 where there is none',
      { network: 'old', ip6: 'fd00::1' },
      'CONFIG_INVALID',
      /vm-1\.ip6: there is no IPv6 in network old$/,
    ],
    ['rule that is none', { egress: ['permit any'] }, 'CONFIG_INVALID', /egress\[0\]: "permit any" is not/],
    ['forward twice', { forwards: ['1:1', '1:2'] }, 'FORWARD_IN_USE', /forwards\[1\]: .* leads to vm-1$/],
    [
      'forward that is a number',
      { forwards: ['1:1', 8080] },
      'CONFIG_INVALID',
      /forwards\[1\]: must be text or a mapping$/,
    ],
    ['forward without text', { forwards: [{}] }, 'CONFIG_INVALID', /forwards\[0\]: listen is missing$/],
    [
      'misspelt key of a forward',
      { forwards: ['1:1', { listen: '2:2', wiat: 5 }] },
      'CONFIG_INVALID',
      /forwards\[1\]\.wiat: unknown key, did you mean wait\?$/,
    ],
    [
      'negative wait',
      { forwards: [{ listen: '2:2', wait: -1 }] },
      'CONFIG_INVALID',
      /forwards\[0\]\.wait: must be at least 0$/,
    ],
    [
      'wait of more than an hour',
      { forwards: [{ listen: '2:2', wait: 3601 }] },
      'CONFIG_INVALID',
      /forwards\[0\]\.wait: must be at most 3600$/,
    ],
    ['forwards no list', { forwards: '1:2' }, 'CONFIG_INVALID', /vm-1\.forwards: must be a list/],
    [
      'forward that is none',
      { forwards: ['1:2', '3'] },
      'CONFIG_INVALID',
      /forwards\[1\]: "3" is not a port forward/,
    ],
    [
      'misspelt key',
      { forward: [] },
      'CONFIG_INVALID',
      /vm-1\.forward: unknown key, did you mean forwards\?/,
    ],
    ['key like no other', { colour: 'red' }, 'CONFIG_INVALID', /vm-1\.colour: unknown key$/],
  ])('%s -> refused with a code and one line', (_fact, odd, code, message) => {
    expect(messageOf(code, () => resolve(vmInput(odd as Partial<VmInput>)))).toMatch(message);
  });

  test.each(['', '-vm', '.vm', 'v m', 'v\nm', 'ü', 'x'.repeat(64)])('id %j -> CONFIG_INVALID', (id) => {
    expect(messageOf('CONFIG_INVALID', () => resolve(vmInput(), [], id))).toMatch(/is not a valid id$/);
  });

  test('id of 63 characters -> accepted', () => {
    expect(resolve(vmInput(), [], 'x'.repeat(63)).id).toHaveLength(63);
  });

  describe('beside another VM', () => {
    const taken: VmInput = {
      tap: 'tap1',
      mac: '06:00:00:00:00:01',
      ip: '192.168.0.14',
      ip6: 'fd62:81cf:4767::e',
      forwards: ['16080:6080', 'unix:/run/vm.sock:6080'],
    };
    const other = resolve(taken, [], 'other');

    test.each<[fact: string, odd: Partial<VmInput>, code: ErrorCode, message: RegExp]>([
      ['same TAP', { tap: 'tap1' }, 'TAP_IN_USE', /vm-1\.tap: tap1 is already the TAP of other/],
      ['same IP', { ip: '192.168.0.14' }, 'ADDRESS_IN_USE', /192.168.0.14 is already the address of other/],
      [
        'same MAC',
        { mac: '06:00:00:00:00:01' },
        'MAC_IN_USE',
        /06:00:00:00:00:01 is already the MAC address of other/,
      ],
      [
        'same IPv6',
        { ip6: 'fd62:81cf:4767:0::e' },
        'ADDRESS_IN_USE',
        /ip6: fd62:81cf:4767::e is already the address of other/,
      ],
    ])('%s -> refused with a code and one line', (_fact, odd, code, message) => {
      expect(messageOf(code, () => resolve(vmInput(odd), [other]))).toMatch(message);
    });

    test('same addresses in a network of clones -> accepted; same TAP -> refused', () => {
      const clone: VmInput = { ...taken, network: 'swarm', tap: 'tap2', ip6: 'fd00::e', forwards: [] };
      const first = resolve(clone, [], 'first');
      expect(resolve({ ...clone, tap: 'tap3' }, [first]).ip).toBe(first.ip);
      messageOf('TAP_IN_USE', () => resolve(clone, [first]));
    });

    test('same id -> VM_EXISTS', () => {
      messageOf('VM_EXISTS', () => resolve(vmInput(), [other], 'other'));
    });

    test('same TAP name in another namespace -> accepted', () => {
      expect(resolve(vmInput({ tap: 'tap1', netns: '/run/netns/b' }), [other]).tap).toBe('tap1');
    });

    test('same IP and MAC in another network -> accepted', () => {
      const input = vmInput({ network: 'lab', ip: '192.168.0.14', mac: '06:00:00:00:00:01' });
      expect(resolve(input, [other]).ip).toBe(other.ip);
    });

    test('neither has a MAC or an IP -> accepted', () => {
      expect(resolve(vmInput(), [resolve(vmInput({ tap: 'tap2' }), [], 'bare')]).id).toBe('vm-1');
    });
  });
});
