import { describe, expect, test } from 'vitest';
import { diffConfig } from '../../src/config/diff.ts';
import { nowhere } from '../../src/config/fault.ts';
import { type DaemonConfig, resolveDaemonConfig } from '../../src/config/load.ts';
import { defaultWorkers } from '../../src/config/resolve.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { configInput, networkInput, vmInput } from './fixtures.ts';

const config = (value: ConfigInput): DaemonConfig =>
  resolveDaemonConfig({ value, locate: nowhere, lineOf: () => undefined }, {});

const linesOf = (before: ConfigInput, after: ConfigInput) =>
  diffConfig(config(before), config(after)).map(({ live, text }) => `${live ? 'live' : 'restart'} ${text}`);

const vm = vmInput({ ip: '192.168.0.14', forwards: ['16080:6080'] });

describe('diffConfig', () => {
  test('the same, defaults written out, keys in another order -> nothing', () => {
    const before = configInput({ a: vm, b: vmInput({ tap: 'b' }) });
    const after = configInput(
      { b: vmInput({ tap: 'b', network: 'default' }), a: { ...vm, forwards: ['127.0.0.1:16080:6080/tcp'] } },
      { workers: defaultWorkers(), networks: { default: networkInput({ mtu: 1500, mode: 'isolated' }) } },
    );
    expect(linesOf(before, after)).toEqual([]);
  });

  test.each<[fact: string, after: ConfigInput, lines: string[]]>([
    ['VM gone', configInput(), ['live vms.a: removed']],
    ['VM new', configInput({ a: vm, constructor: vmInput({ tap: 'b' }) }), ['live vms.constructor: added']],
    [
      'address',
      configInput({ a: { ...vm, ip: '192.168.0.15' } }),
      ['live vms.a.ip: 192.168.0.14 -> 192.168.0.15'],
    ],
    [
      'no address',
      configInput({ a: vmInput({ forwards: ['16080:6080'] }) }),
      ['live vms.a.ip: 192.168.0.14 -> none'],
    ],
    [
      'forward',
      configInput({ a: { ...vm, forwards: [{ listen: '16080:6080', wait: 5 }] } }),
      [
        'live vms.a.forwards: [{"listen":"127.0.0.1:16080:6080/tcp","wait":30}] -> [{"listen":"127.0.0.1:16080:6080/tcp","wait":5}]',
      ],
    ],
    [
      'profile that nobody has',
      configInput({ a: vm }, { profiles: { web: { egress: ['deny any'] } } }),
      ['live profiles.web: added'],
    ],
    [
      'network changed and another new, with a VM in it',
      configInput(
        { a: vm, b: vmInput({ tap: 'b', network: 'lab' }) },
        { networks: { default: networkInput({ mtu: 9000 }), lab: networkInput() } },
      ),
      ['live networks.default.mtu: 1500 -> 9000', 'live networks.lab: added', 'live vms.b: added'],
    ],
    [
      'a host port',
      configInput(
        { a: vm },
        { networks: { default: networkInput({ hostPort: { address: '192.168.0.2' } }) } },
      ),
      [
        'live networks.default.hostPort.name: none -> tapsw0',
        'live networks.default.hostPort.address: none -> 192.168.0.2',
        'live networks.default.hostPort.mtu: none -> 1500',
      ],
    ],
    [
      'record with a name like no other',
      configInput(
        { a: vm },
        {
          networks: { default: networkInput({ dns: { records: JSON.parse('{"__proto__": "10.0.0.1"}') } }) },
        },
      ),
      ['live networks.default.dns.records.__proto__: none -> ["10.0.0.1"]'],
    ],
    ['captures', configInput({ a: vm }, { capture: { maximum: 9 } }), ['live capture.maximum: 8 -> 9']],
    [
      'daemon',
      configInput(
        { a: vm },
        { workers: 3, api: { socket: '/run/a' }, autoAttach: [{ match: 'fc-*' }], guard: 'off' },
      ),
      [
        'live api.socket: /run/tapswitch/api.sock -> /run/a',
        'restart guard: required -> off',
        `restart workers: ${defaultWorkers()} -> 3`,
        'live autoAttach: none -> [{"match":"fc-*","network":"default"}]',
      ],
    ],
  ])('%s -> one line for each change', (_fact, after, lines) => {
    expect(linesOf(configInput({ a: vm }), after)).toEqual(lines);
  });
});
