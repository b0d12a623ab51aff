import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { messageOf } from './fixtures.ts';

const directory = mkdtempSync(join(tmpdir(), 'tapswitch-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

const path = join(directory, 'switch.yaml');

function load(text: string) {
  writeFileSync(path, text);
  return loadConfig(path);
}

const EXAMPLE = `
networks:
  default: { subnet: 192.168.0.0/16, gateway: 192.168.0.1, mode: isolated, hostPort: { name: tapsw0, address: 192.168.255.254, allowFromGuests: ["tcp/7000"] } }
vms:
  vm-02018: { network: default, tap: fc-vm-02018, mac: "06:00:c0:a8:00:0e", ip: 192.168.0.14, forwards: ["127.0.0.1:16080:6080"] }
`;
const NETWORK = 'networks:\n  default: { subnet: 192.168.0.0/16, gateway: 192.168.0.1 }\n';

describe('loadConfig', () => {
  test('the example of the documentation -> read', () => {
    const { networks, vms } = load(EXAMPLE);
    expect(networks.get('default')?.hostPort?.allowFromGuests).toEqual([{ protocol: 'tcp', port: 7000 }]);
    expect(vms.get('vm-02018')).toMatchObject({ mac: 0x0600c0a8000e, ip: 0xc0a8000e });
  });

  test('JSON indented by tabs -> read', () => {
    const input = { networks: { default: { subnet: '10.0.0.0/8', gateway: '10.0.0.1' } }, workers: 2 };
    expect(load(JSON.stringify(input, null, '\t')).workers).toBe(2);
  });

  test('section with everything commented out -> counts as not given', () => {
    expect(load(`${NETWORK}vms:\n  # vm-1: { tap: tap1 }\n`).vms.size).toBe(0);
  });

  test('one network under two names through an alias -> read', () => {
    const { networks } = load(
      'networks:\n  a: &a { subnet: 10.0.0.0/8, gateway: 10.0.0.1, subnet6: none }\n  b: *a\n',
    );
    expect(networks.get('b')).toEqual({ ...networks.get('a'), name: 'b' });
  });

  test.each([
    ['empty file', '', ':1:1: networks is missing'],
    [
      'unknown key',
      `${NETWORK}vms:\n  a:\n    tap: t\n    mca: x\n`,
      ':6:5: vms.a.mca: unknown key, did you mean mac?',
    ],
    ['missing key', `${NETWORK}vms:\n  a: { ip: 192.168.0.2 }\n`, ':4:3: vms.a: tap is missing'],
    [
      'wrong list item',
      `${NETWORK}vms:\n  a:\n    tap: t\n    forwards: [1:2, x]\n`,
      ':6:21: vms.a.forwards[1]: "x"',
    ],
    [
      'wrong value behind an alias',
      `${NETWORK}vms:\n  a: &a { tap: a/b }\n  b: *a\n`,
      ':4:11: vms.a.tap: "a/b"',
    ],
    [
      'wrong key of a forward',
      `${NETWORK}vms:\n  a:\n    tap: t\n    forwards:\n      - 1:2\n      - { listen: 3:4, wait: 1h }\n`,
      ':8:24: vms.a.forwards[1].wait: must be a whole number',
    ],
    [
      'forward out of range in a mapping',
      `${NETWORK}vms:\n  a: { tap: t, forwards: [{ wait: 5, listen: 70000:1 }] }\n`,
      ':4:38: vms.a.forwards[0].listen: "70000"',
    ],
    [
      'rule of a VM',
      `${NETWORK}vms:\n  a:\n    tap: t\n    egress:\n      - deny any\n      - allow 1.2.3\n`,
      ':8:9: vms.a.egress[1]: "1.2.3" is not a destination',
    ],
    [
      'rule of a network',
      `${NETWORK.replace(' }', ', egress: [deny any, deny any icmp/8] }')}`,
      ':2:79: networks.default.egress[1]: ICMP has no ports',
    ],
    [
      'service of the host',
      `${NETWORK.replace(' }', ', hostServices: ["53"] }')}`,
      ':2:75: networks.default.hostServices[0]: port 53/tcp',
    ],
    [
      'record, whose name has dots',
      'networks:\n  n:\n    subnet: 10.0.0.0/8\n    gateway: 10.0.0.1\n    dns:\n      records:\n        a.b: 1.1.1.1\n        b.c: [::1, x]\n',
      ':8:20: networks.n.dns.records.b.c[1]: "x"',
    ],
    [
      'name server',
      `${NETWORK.replace(' }', ', dns: { upstreams: [dns] } }')}`,
      ':2:79: networks.default.dns.upstreams[0]: "dns"',
    ],
    [
      'IPv6 subnet',
      `${NETWORK.replace(' }', ', subnet6: "fd00::/48" }')}`,
      ':2:60: networks.default.subnet6: prefix /48',
    ],
    [
      'clones in a shared network',
      `${NETWORK.replace(' }', ', clones: true, mode: shared }')}`,
      ':2:60: networks.default.clones: VMs with',
    ],
    ['number as an id', `${NETWORK}vms:\n  7: { tap: 7 }\n`, ':4:8: vms.7.tap: must be text'],
  ])('%s -> CONFIG_INVALID with file, line and column', (_fact, text, message) => {
    expect(messageOf('CONFIG_INVALID', () => load(text))).toContain(`${path}${message}`);
  });

  test('forward of another VM -> FORWARD_IN_USE with file, line and column', () => {
    const text = `${NETWORK}vms:\n  a: { tap: t, forwards: [1:2] }\n  b: { tap: u, forwards: [2:2, 1:3] }\n`;
    expect(messageOf('FORWARD_IN_USE', () => load(text))).toMatch(
      /switch\.yaml:5:32: vms\.b\.forwards\[1\]: 127\.0\.0\.1:1\/tcp already leads to a$/,
    );
  });

  test('fault found by meaning -> its own code with file, line and column', () => {
    const text = `${NETWORK}vms:\n  a: { tap: t, ip: 10.0.0.1 }\n`;
    expect(messageOf('ADDRESS_OUTSIDE_SUBNET', () => load(text))).toMatch(
      /switch\.yaml:4:16: vms\.a\.ip: 10\.0\.0\.1 is/,
    );
  });

  test.each([
    [
      'VM id given twice',
      `${NETWORK}vms:\n  a: { tap: t }\n  a: { tap: u }\n`,
      ':5:3: "a" is given twice in the same',
    ],
    ['quoted id given twice', `${NETWORK}vms: { "a b": 1, "a b": 2 }`, ':3:18: "a b" is given twice'],
    ['number given twice', `${NETWORK}vms: { 7: 1, "7": 2 }`, ':3:14: "7" is given twice'],
    ['bracket left open', 'networks: {\n', ':2:1: '],
    ['two documents', `${NETWORK}---\nvms: {}\n`, ':3:1: '],
    ['alias without anchor', 'networks: *nothing\n', ': Unresolved alias'],
  ])('%s -> CONFIG_SYNTAX with the place', (_fact, text, message) => {
    expect(messageOf('CONFIG_SYNTAX', () => load(text))).toContain(`${path}${message}`);
  });

  test('no such file -> CONFIG_UNREADABLE', () => {
    const missing = join(directory, 'missing.yaml');
    expect(messageOf('CONFIG_UNREADABLE', () => loadConfig(missing))).toBe(`${missing}: no such file`);
  });

  test('a directory -> CONFIG_UNREADABLE', () => {
    expect(messageOf('CONFIG_UNREADABLE', () => loadConfig(directory))).toContain('cannot be read (EISDIR)');
  });
});
