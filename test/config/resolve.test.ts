import { describe, expect, test } from 'vitest';
import { defaultWorkers, resolveConfig } from '../../src/config/resolve.ts';
import type { CaptureInput, VmInput } from '../../src/config/schema.ts';
import { configInput, messageOf, networkInput, vmInput } from './fixtures.ts';

describe('resolveConfig', () => {
  test('smallest configuration -> guard required, one worker, no VM', () => {
    const { networks, vms, guard, workers } = resolveConfig({ networks: { default: networkInput() } });
    expect([...networks.keys()]).toEqual(['default']);
    expect(vms.size).toBe(0);
    expect({ guard, workers }).toEqual({ guard: 'required', workers: defaultWorkers() });
  });

  test('guard off and four workers -> taken over', () => {
    expect(resolveConfig(configInput({}, { guard: 'off', workers: 4 }))).toMatchObject({
      guard: 'off',
      workers: 4,
    });
  });

  test('what captures may take -> as given, else 8 and 4 MiB', () => {
    const of = (capture: CaptureInput) => resolveConfig(configInput({}, { capture })).capture;
    expect(of({})).toEqual({ maximum: 8, ringBytes: 4_194_304 });
    expect(of({ maximum: 1, ringBytes: 262_144 })).toEqual({ maximum: 1, ringBytes: 262_144 });
  });

  test('ids that are members of every object -> ordinary VMs', () => {
    const { vms } = resolveConfig(
      configInput({ constructor: vmInput(), toString: vmInput({ tap: 'tap2' }) }),
    );
    expect([...vms.keys()]).toEqual(['constructor', 'toString']);
  });

  test.each([
    ['no configuration', undefined, /^must be a mapping$/],
    ['a list', [], /^must be a mapping$/],
    ['no networks', {}, /^networks is missing$/],
    ['networks a list', { networks: [] }, /^networks: must be a mapping$/],
    ['VM without a body', { ...configInput(), vms: { a: null } }, /^vms\.a: must be a mapping$/],
    ['VM without a TAP', { ...configInput(), vms: { a: {} } }, /^vms\.a: tap is missing$/],
    ['unknown guard', configInput({}, { guard: 'on' as 'off' }), /^guard: must be required or off$/],
    ['no worker', configInput({}, { workers: 0 }), /^workers: must be at least 1$/],
    ['17 workers', configInput({}, { workers: 17 }), /^workers: must be at most 16$/],
    ['no capture', configInput({}, { capture: { maximum: 0 } }), /^capture\.maximum: must be at least 1$/],
    [
      'odd ring',
      configInput({}, { capture: { ringBytes: 1e6 } }),
      /^capture\.ringBytes: 1000000 is no power of two$/,
    ],
    ['misspelt section', { ...configInput(), vm: {} }, /^vm: unknown key, did you mean vms\?$/],
    ['key of many lines', { ...configInput(), 'a\nb': {} }, /^"a\\nb": unknown key$/],
  ])('%s -> CONFIG_INVALID', (_fact, input, message) => {
    expect(messageOf('CONFIG_INVALID', () => resolveConfig(input))).toMatch(message);
  });

  test('two VMs with one TAP -> TAP_IN_USE, naming the first', () => {
    const input = configInput({ a: vmInput(), b: vmInput() });
    expect(messageOf('TAP_IN_USE', () => resolveConfig(input))).toBe(
      'vms.b.tap: fc-vm-02018 is already the TAP of a',
    );
  });

  test('two VMs with one address -> ADDRESS_IN_USE', () => {
    const ip = '192.168.0.14';
    const input = configInput({ a: vmInput({ ip }), b: vmInput({ ip, tap: 'tap2' }) });
    messageOf('ADDRESS_IN_USE', () => resolveConfig(input));
  });

  test('two VMs with one MAC -> MAC_IN_USE', () => {
    const mac = '06:00:c0:a8:00:0e';
    const input = configInput({ a: vmInput({ mac }), b: vmInput({ mac, tap: 'tap2' }) });
    messageOf('MAC_IN_USE', () => resolveConfig(input));
  });

  test('two VMs with one forward -> FORWARD_IN_USE, naming the first', () => {
    const input = configInput({
      a: vmInput({ forwards: ['8000-8010:80-90'] }),
      b: vmInput({ tap: 'tap2', forwards: ['1:1', '8010:90'] }),
    });
    expect(messageOf('FORWARD_IN_USE', () => resolveConfig(input))).toBe(
      'vms.b.forwards[1]: 127.0.0.1:8010/tcp already leads to a',
    );
  });

  test('a thousand clones of one VM -> accepted', () => {
    const ip = '192.168.0.14';
    const mac = '06:00:c0:a8:00:0e';
    const clone = (i: number): [string, VmInput] => [
      `vm-${i}`,
      { tap: `tap${i}`, ip, mac, forwards: ['0:80'] },
    ];
    const vms = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => clone(i)));
    const networks = { default: networkInput({ clones: true }) };
    expect(resolveConfig({ networks, vms }).vms.size).toBe(1000);
  });

  test('VM in a network that is not there -> NETWORK_UNKNOWN', () => {
    messageOf('NETWORK_UNKNOWN', () => resolveConfig(configInput({ a: vmInput({ network: 'blue' }) })));
  });

  describe('two networks with a host port', () => {
    const withHostPorts = (name: string, subnet: string) =>
      configInput(
        {},
        {
          networks: {
            a: networkInput({ hostPort: { address: '192.168.255.254' } }),
            b: {
              subnet: `${subnet}.0/24`,
              gateway: `${subnet}.1`,
              hostPort: { name, address: `${subnet}.2` },
            },
          },
        },
      );

    test('one name -> TAP_IN_USE', () => {
      messageOf('TAP_IN_USE', () => resolveConfig(withHostPorts('tapsw0', '10.0.0')));
    });

    test('overlapping subnets -> CONFIG_INVALID', () => {
      const message = messageOf('CONFIG_INVALID', () => resolveConfig(withHostPorts('tapsw1', '192.168.7')));
      expect(message).toBe('networks.b.subnet: 192.168.7.0/24 overlaps 192.168.0.0/16 of network a');
    });

    test('names and subnets apart -> accepted', () => {
      expect(resolveConfig(withHostPorts('tapsw1', '10.0.0')).networks.size).toBe(2);
    });
  });
});
