import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EgressRule, resolveEgress } from '../../src/config/egress.ts';
import { nowhere } from '../../src/config/fault.ts';
import { firstOf, formatIp, type IpPrefix, type IpWords, ipv4Words, parseIp } from '../../src/config/ip.ts';
import {
  compileEgress,
  DEFAULT_DENIALS,
  EGRESS_ALLOW,
  EgressPolicy,
  NO_RULE,
} from '../../src/gateway/egress-policy.ts';
import { DROP } from '../../src/telemetry/drops.ts';

const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;
type ProtocolName = keyof typeof PROTOCOLS;

const rules = (texts: readonly string[]): EgressRule[] => resolveEgress(texts, nowhere, ['egress']);
const ip = (text: string): IpWords => parseIp(text) as IpWords;

interface Lists {
  readonly vm?: readonly string[];
  readonly network?: readonly string[];
  readonly host?: readonly string[];
}

function policyOf({ vm = [], network = [], host = [] }: Lists = {}): EgressPolicy {
  return compileEgress({ vm: rules(vm), network: rules(network), hostAddresses: host.map(ip) });
}

/** What the policy says about a flow, after a journey to another thread. */
function verdict(policy: EgressPolicy, to: string, protocol: ProtocolName = 'tcp', port = 443): string {
  const [w0, w1, w2, w3] = ip(to);
  const decided = policy.decide(PROTOCOLS[protocol], w0, w1, w2, w3, port);
  expect([EGRESS_ALLOW, DROP['egress-denied']]).toContain(decided);
  const posted = new EgressPolicy(structuredClone(policy.words));
  expect(posted.decide(PROTOCOLS[protocol], w0, w1, w2, w3, port)).toBe(decided);
  expect(posted.lastRule).toBe(policy.lastRule);
  return decided === EGRESS_ALLOW ? 'allow' : 'deny';
}

/** The first and the last address of a block. */
function ends({ address, length }: IpPrefix): [string, string] {
  const last = address.map((word, i) => {
    const bits = Math.min(Math.max(length - 32 * i, 0), 32);
    return bits === 32 ? word : word | (-1 >>> bits);
  });
  return [formatIp(address), formatIp(last as unknown as IpWords)];
}

/** The address before (-1) or after (1) another. */
function neighbour(text: string, step: 1 | -1): string {
  const value = ip(text).reduce((sum, word) => (sum << 32n) | BigInt(word >>> 0), 0n) + BigInt(step);
  const words = [96n, 64n, 32n, 0n].map((shift) => Number(BigInt.asIntN(32, value >> shift)));
  return formatIp(words as unknown as IpWords);
}

describe('without rules', () => {
  const policy = policyOf();

  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '223.255.255.255',
    '2606:4700::1111',
    '2001:db8::1',
    '2a00::1',
  ])('%s, an address of the internet -> allowed by no rule', (to) => {
    for (const protocol of ['icmp', 'tcp', 'udp'] as const)
      expect(verdict(policy, to, protocol)).toBe('allow');
    expect(policy.lastRule).toBe(NO_RULE);
    expect(policy.lastOrigin()).toBeUndefined();
  });

  test.each([
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.255.255.255',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '100.64.0.1',
    '100.127.255.255',
    '169.254.169.254',
    '168.63.129.16',
    '192.0.0.192',
    '224.0.0.251',
    '239.255.255.250',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fc00::1',
    'fd00:ec2::254',
    'fdff:ffff::1',
    'fe80::1',
    'febf::1',
    'fec0::1',
    'ff02::1',
    'ff05::1:3',
    '64:ff9b:1::7f00:1',
  ])('%s -> denied, whatever the protocol and port', (to) => {
    for (const protocol of ['icmp', 'tcp', 'udp', 'icmpv6'] as const) {
      for (const port of [0, 1, 53, 65535]) expect(verdict(policy, to, protocol, port)).toBe('deny');
    }
    expect(policy.lastOrigin()?.from).toBe('default');
  });

  test.each(DEFAULT_DENIALS)('%s -> denied from its first address to its last', (text) => {
    const [rule] = rules([`deny ${text}`]);
    for (const end of ends(rule?.destination as IpPrefix)) expect(verdict(policy, end)).toBe('deny');
  });

  test.each([
    '100.64.0.0/10',
    '169.254.0.0/16',
    '172.16.0.0/12',
    '168.63.129.16',
    'fc00::/7',
    '64:ff9b:1::/48',
  ])('%s -> not denied beyond', (text) => {
    const [rule] = rules([`deny ${text}`]);
    const [first, last] = ends(rule?.destination as IpPrefix);
    expect(verdict(policy, neighbour(first, -1))).toBe('allow');
    expect(verdict(policy, neighbour(last, 1))).toBe('allow');
  });

  test('a protocol the gateway does not know -> judged by its address', () => {
    expect(policy.decide(132, ...ip('1.1.1.1'), 0)).toBe(EGRESS_ALLOW);
    expect(policy.decide(0, ...ip('10.0.0.1'), 0)).toBe(DROP['egress-denied']);
  });
});

describe('the same address in disguise', () => {
  const bytes = (address: string) => address.split('.').map(Number) as [number, number, number, number];
  const pair = (high: number, low: number) => ((high << 8) | low).toString(16);
  const hex = (address: string) => {
    const [a, b, c, d] = bytes(address);
    return `${pair(a, b)}:${pair(c, d)}`;
  };
  const inverted = (address: string) => {
    const [a, b, c, d] = bytes(address);
    return `${pair(255 - a, 255 - b)}:${pair(255 - c, 255 - d)}`;
  };
  const disguises: [string, (address: string) => string][] = [
    ['mapped', (address) => `::ffff:${hex(address)}`],
    ['compatible', (address) => `::${hex(address)}`],
    ['translated', (address) => `::ffff:0:${hex(address)}`],
    ['NAT64', (address) => `64:ff9b::${hex(address)}`],
    ['6to4', (address) => `2002:${hex(address)}::1`],
    ['6to4 in a subnet of it', (address) => `2002:${hex(address)}:ffff:1:2:3:4`],
    ['Teredo', (address) => `2001:0:102:304:0:0:${inverted(address)}`],
  ];

  describe.each(disguises)('%s', (_name, disguise) => {
    test.each([
      '10.0.0.1',
      '127.0.0.1',
      '169.254.169.254',
      '192.168.255.255',
      '100.64.0.1',
      '224.0.0.1',
      '0.0.0.2',
    ])('of %s -> denied by default', (address) => {
      expect(verdict(policyOf(), disguise(address))).toBe('deny');
    });

    test('of an address of the internet -> allowed', () => {
      expect(verdict(policyOf(), disguise('8.8.8.8'))).toBe('allow');
    });

    test('of an address that a rule denies -> denied, by that rule', () => {
      const policy = policyOf({ network: ['allow 8.8.4.4', 'deny 8.8.8.8 tcp/443'] });
      expect(verdict(policy, disguise('8.8.8.8'))).toBe('deny');
      expect(policy.lastOrigin()).toEqual({ from: 'network', index: 1 });
      expect(verdict(policy, disguise('8.8.8.8'), 'tcp', 80)).toBe('allow');
    });

    test("of the host's own address -> denied", () => {
      const policy = policyOf({ host: ['203.0.113.7'] });
      expect(verdict(policy, disguise('203.0.113.7'))).toBe('deny');
      expect(policy.lastOrigin()).toEqual({ from: 'host', index: 0 });
    });

    test('all of IPv6 allowed -> what is in it is still denied', () => {
      expect(verdict(policyOf({ vm: ['allow ::/0'] }), disguise('10.0.0.1'))).toBe('deny');
    });

    test('the address allowed -> allowed', () => {
      expect(verdict(policyOf({ vm: ['allow 10.0.0.1'] }), disguise('10.0.0.1'))).toBe('allow');
    });
  });

  test('any IPv4 address -> a disguise reaches no more than the address', () => {
    const policy = policyOf({ network: ['deny 8.0.0.0/7', 'allow 10.1.0.0/16 tcp'] });
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 2 ** 32 - 1 }),
        fc.constantFrom(...disguises),
        (value, [, disguise]) => {
          const address = formatIp(ipv4Words(value));
          expect(verdict(policy, disguise(address))).toBe(verdict(policy, address));
        },
      ),
    );
  });

  test('NAT64 denied by name -> denied by that rule', () => {
    const policy = policyOf({ vm: ['deny 64:ff9b::/96'] });
    expect(verdict(policy, '64:ff9b::8.8.8.8')).toBe('deny');
    expect(policy.lastOrigin()).toEqual({ from: 'vm', index: 0 });
  });

  test('NAT64 allowed by name -> the rule that allowed it is the one told', () => {
    const policy = policyOf({ vm: ['deny 1.1.1.1', 'allow 64:ff9b::/96'] });
    expect(verdict(policy, '64:ff9b::8.8.8.8')).toBe('allow');
    expect(policy.lastRule).toBe(1);
  });

  test('::1 allowed by name -> allowed, and taken for no IPv4 address', () => {
    expect(verdict(policyOf({ vm: ['allow ::1 tcp/8080'] }), '::1', 'tcp', 8080)).toBe('allow');
    expect(verdict(policyOf({ vm: ['allow ::1 tcp/8080'] }), '::1', 'tcp', 8081)).toBe('deny');
  });
});

describe('rules', () => {
  const issue = ['deny 10.1.2.0/24', 'allow 192.168.7.0/24 tcp/443', 'allow 0.0.0.0/0 udp/53', 'deny any'];

  test.each<[string, ProtocolName, number, string, number]>([
    ['10.1.2.3', 'udp', 53, 'deny', 0],
    ['192.168.7.1', 'tcp', 443, 'allow', 1],
    ['192.168.7.1', 'tcp', 444, 'deny', 3],
    ['192.168.7.1', 'udp', 443, 'deny', 3],
    ['192.168.8.1', 'tcp', 443, 'deny', 3],
    ['8.8.8.8', 'udp', 53, 'allow', 2],
    ['10.9.9.9', 'udp', 53, 'allow', 2],
    ['8.8.8.8', 'udp', 54, 'deny', 3],
    ['2606:4700::1111', 'udp', 53, 'deny', 3],
    ['8.8.8.8', 'icmp', 0, 'deny', 3],
  ])('first match: %s %s/%i -> %s, by rule %i', (to, protocol, port, expected, rule) => {
    const policy = policyOf({ network: issue });
    expect(verdict(policy, to, protocol, port)).toBe(expected);
    expect(policy.lastRule).toBe(rule);
    expect(policy.lastOrigin()).toEqual({ from: 'network', index: rule });
  });

  test.each<[string, Lists, string, string, object]>([
    [
      "the VM's before its network's",
      { vm: ['allow 8.8.8.8'], network: ['deny any'] },
      '8.8.8.8',
      'allow',
      { from: 'vm', index: 0 },
    ],
    [
      "the network's after its VM's",
      { vm: ['allow 1.1.1.1'], network: ['deny any'] },
      '8.8.8.8',
      'deny',
      { from: 'network', index: 0 },
    ],
    [
      "the host's address",
      { vm: ['allow 1.1.1.1'], host: ['::5', '8.8.8.8'] },
      '8.8.8.8',
      'deny',
      { from: 'host', index: 1 },
    ],
    [
      "the host's address allowed",
      { network: ['allow 8.8.8.8'], host: ['8.8.8.8'] },
      '8.8.8.8',
      'allow',
      { from: 'network', index: 0 },
    ],
    ["the host's IPv6 address", { host: ['2001:db8::5'] }, '2001:db8::5', 'deny', { from: 'host', index: 0 }],
    [
      'a private address allowed',
      { vm: ['allow 10.0.0.0/8'] },
      '10.0.0.1',
      'allow',
      { from: 'vm', index: 0 },
    ],
    [
      'a default',
      { vm: ['allow 1.1.1.1'], network: ['deny 2.2.2.2'], host: ['3.3.3.3'] },
      '0.0.0.0',
      'deny',
      { from: 'default', index: 0 },
    ],
    ['loopback allowed by any', { vm: ['allow any'] }, '127.0.0.1', 'allow', { from: 'vm', index: 0 }],
  ])('%s', (_name, lists, to, expected, origin) => {
    const policy = policyOf(lists);
    expect(verdict(policy, to)).toBe(expected);
    expect(policy.lastOrigin()).toEqual(origin);
  });

  test.each([
    ['deny 0.0.0.0/0', '8.8.8.8', 'deny'],
    ['deny 0.0.0.0/0', '2a00::1', 'allow'],
    ['deny ::/0', '2a00::1', 'deny'],
    ['deny ::/0', '8.8.8.8', 'allow'],
    ['deny any', '8.8.8.8', 'deny'],
    ['deny any', '2a00::1', 'deny'],
  ])('families: %s, %s -> %s', (rule, to, expected) => {
    expect(verdict(policyOf({ vm: [rule] }), to)).toBe(expected);
  });

  test.each<[string, ProtocolName, string]>([
    ['deny any icmp', 'icmp', 'deny'],
    ['deny any icmp', 'icmpv6', 'deny'],
    ['deny any icmp', 'udp', 'allow'],
    ['deny any udp', 'icmpv6', 'allow'],
    ['deny any udp', 'udp', 'deny'],
    ['deny any tcp', 'tcp', 'deny'],
    ['deny any tcp/1-65535', 'icmp', 'allow'],
  ])('protocols: %s, %s -> %s', (rule, protocol, expected) => {
    expect(verdict(policyOf({ vm: [rule] }), '8.8.8.8', protocol)).toBe(expected);
  });

  test.each([
    ['tcp/80-443', [79, 444], [80, 300, 443]],
    ['tcp/40000-65535', [39_999], [40_000, 65_535]],
    ['tcp/65535', [65_534], [65_535]],
    ['tcp/1', [2], [1]],
  ])('ports: deny %s', (ports, allowed, denied) => {
    const policy = policyOf({ vm: [`deny any ${ports}`] });
    for (const port of allowed) expect(verdict(policy, '8.8.8.8', 'tcp', port)).toBe('allow');
    for (const port of denied) expect(verdict(policy, '8.8.8.8', 'tcp', port)).toBe('deny');
  });

  test('any prefix, both families -> its own addresses and no neighbour', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const words: fc.Arbitrary<IpWords> = fc.oneof(
      fc.integer({ min: 2 ** 24, max: 2 ** 31 }).map(ipv4Words),
      fc.tuple(fc.constant(0x2a000000), word, word, word),
    );
    fc.assert(
      fc.property(words, fc.integer({ min: 8, max: 128 }), (address, bits) => {
        const ipv4 = address[0] === 0;
        const length = ipv4 ? 96 + (bits % 25) + 8 : bits;
        const block = `${formatIp(firstOf(address, length))}/${ipv4 ? length - 96 : length}`;
        const policy = policyOf({ vm: [`allow ${block}`, 'deny any'] });
        const [from, to] = ends((rules([`allow ${block}`])[0] as EgressRule).destination as IpPrefix);
        expect([from, to, neighbour(from, -1), neighbour(to, 1)].map((at) => verdict(policy, at))).toEqual([
          'allow',
          'allow',
          'deny',
          'deny',
        ]);
      }),
    );
  });
});

test('as many rules as there may be -> the last one still counts', () => {
  const many = Array.from({ length: 1024 }, (_, i) => `deny 8.8.${i >> 8}.${i & 255}`);
  const policy = policyOf({ vm: many, network: many, host: ['9.9.9.9'] });
  expect(verdict(policy, '8.8.3.255')).toBe('deny');
  expect(policy.lastRule).toBe(1023);
  expect(verdict(policy, '9.9.9.9')).toBe('deny');
  expect(policy.lastOrigin()).toEqual({ from: 'host', index: 0 });
  expect(verdict(policy, '8.8.4.0')).toBe('allow');
});

test('a million decisions -> nothing allocated', () => {
  const policy = policyOf({ vm: ['deny 8.0.0.0/8'], network: ['allow 10.0.0.0/8 tcp'], host: ['9.9.9.9'] });
  const decide = (rounds: number) => {
    let allowed = 0;
    for (let i = 0; i < rounds; i++) {
      if (policy.decide(6, 0x64ff9b, 0, 0, i * 4096, 443) === EGRESS_ALLOW) allowed++;
      if (policy.decide(17, 0, 0, 0xffff, -i * 4096, 53) === EGRESS_ALLOW) allowed++;
    }
    return allowed;
  };
  decide(50_000);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20; round++) {
    const before = process.memoryUsage().heapUsed;
    expect(decide(50_000)).toBeGreaterThan(0);
    least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before));
  }
  expect(least).toBeLessThan(100_000); // one heap number a decision would be 1.6 MB
});

test('docs/configuration.md -> lists the defaults, all of them and no others', () => {
  const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const table = /^\| Denied by default[\s\S]*?\n\n/m.exec(text)?.[0] ?? '';
  const cells = table.split('\n').map((line) => line.split('|')[1] ?? '');
  const listed = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, block]) => block));
  expect(listed.sort()).toEqual([...DEFAULT_DENIALS].sort());
});
