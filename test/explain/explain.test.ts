/**
 * What is explained is what happens: each frame that an explanation tried is then sent through a switch in memory, and
 * becomes what was said. Connections that the switch makes go to the loopback.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Explanation } from '../../src/explain/steps.ts';
import type { DropReason } from '../../src/telemetry/drops.ts';
import { A, B, C, NOBODY } from '../lib/frames.ts';
import { int32, NETWORK, type Outcome } from '../lib/test-switch.ts';
import { ExplainedSwitch } from './explained-switch.ts';

const LOOPBACK_RULES = [
  'allow 127.0.0.9 tcp/9',
  'allow 127.0.0.9 udp/9',
  'deny 203.0.113.0/24',
  'allow 10.1.0.0/16',
];

function stage(mode: 'isolated' | 'shared', host = true): ExplainedSwitch {
  const made = new ExplainedSwitch({
    mode,
    host,
    networkEgress: ['deny any tcp/25', 'deny 10.1.2.0/24'],
    hostAddresses: ['198.51.100.7'],
  });
  made.add({ id: 'a', ...A, egress: LOOPBACK_RULES, fastPath: 'here' });
  made.add({ id: 'b', ...B, fastPath: 'here' });
  made.add({ id: 'off', ...C, carrier: false });
  made.add({ id: 'new', ip: '192.168.0.20' });
  made.add({ id: 'blank', mac: '06:00:c0:a8:00:21' });
  made.tables.setLease(made.portOf('blank'), int32('192.168.0.33'));
  if (host) made.tables.allowFromGuests(NETWORK, 'tcp', 8080);
  if (host) made.tables.allowFromGuests(NETWORK, 'udp', 5353);
  made.services.set(NETWORK, [{ protocol: 'tcp', gatewayPort: 8000, hostPort: 9 }]);
  return made;
}

/** What the switch did with a frame, in the words of an explanation. */
function happened(made: ExplainedSwitch, ingress: number, frame: Uint8Array): Record<string, unknown> {
  const { floods, kept } = made;
  const { left, drops }: Outcome = made.from(ingress).sendUnsound(frame);
  const reasons = Object.entries(drops[ingress] ?? {}) as [DropReason, number][];
  const reason = reasons[0]?.[0];
  const back = left.some(({ port }) => port === ingress);
  const to = left.find(({ port }) => port !== ingress)?.port;
  if (made.floods > floods) return { action: 'flood' };
  if (reason !== undefined) return { action: back ? 'refuse' : 'drop', reason };
  if (made.kept > kept) return { action: 'kept' };
  return to === undefined ? { action: back ? 'gateway' : 'nothing' } : { action: 'forward', to };
}

/** The same of an explanation; connections and what the gateway takes look alike from outside. */
function said(made: ExplainedSwitch, { outcome }: Explanation, kept: boolean): Record<string, unknown> {
  const { action, to, reason } = outcome;
  if (action === 'connect' || (action === 'gateway' && kept)) return { action: 'kept' };
  if (reason !== undefined) return { action, reason };
  return action === 'forward' ? { action, to: made.portOf(to as string) } : { action };
}

function expectTrue(made: ExplainedSwitch, explanation: Explanation): void {
  const { frames, outcome } = explanation;
  expect(frames.length).toBeGreaterThan(0);
  frames.forEach(({ port, frame }, i) => {
    const kept = outcome.to === 'name server';
    const real = happened(made, port, frame);
    if (i < frames.length - 1) expect(real.action).toMatch(/^(gateway|flood)$/);
    else expect(real).toEqual(said(made, explanation, kept));
  });
}

interface Case {
  readonly flow: string;
  /** `action`, `action reason`, or `action to` */
  readonly expected: string;
  /** Last rule */
  readonly rule: string;
  readonly by?: RegExp;
}

function brief({ outcome: { action, to, reason } }: Explanation): string {
  return [action, reason ?? to].filter((word) => word !== undefined).join(' ');
}

const MODE = /^networks\.lab\.mode$/;
const OWN: Case[] = [
  { flow: 'a -> gateway', expected: 'gateway', rule: 'gateway' },
  { flow: 'a -> arp gateway', expected: 'gateway', rule: 'arp' },
  { flow: 'a -> udp gateway:53', expected: 'gateway name server', rule: 'name-server', by: /lab\.dns$/ },
  { flow: 'a -> tcp gateway:53', expected: 'gateway name server', rule: 'name-server' },
  { flow: 'a -> tcp gateway:80', expected: 'refuse no-service', rule: 'service', by: /hostServices$/ },
  { flow: 'a -> udp gateway:80', expected: 'refuse no-service', rule: 'service' },
  { flow: 'a -> tcp gateway:8000', expected: 'connect 127.0.0.1:9', rule: 'gateway', by: /hostServices$/ },
  { flow: 'a -> frame gateway', expected: 'drop no-service', rule: 'service' },
  {
    flow: 'a -> tcp 127.0.0.9:9',
    expected: 'connect 127.0.0.9:9',
    rule: 'gateway',
    by: /vms\.a\.egress, rule 1: allow 127/,
  },
  { flow: 'a -> udp 127.0.0.9:9', expected: 'connect 127.0.0.9:9', rule: 'gateway', by: /rule 2: allow/ },
  {
    flow: 'a -> tcp 127.0.0.9:10',
    expected: 'refuse egress-denied',
    rule: 'egress',
    by: /^built in: deny 127\.0\.0\.0\/8/,
  },
  {
    flow: 'a -> tcp 203.0.113.9:443',
    expected: 'refuse egress-denied',
    rule: 'egress',
    by: /vms\.a\.egress, rule 3/,
  },
  {
    flow: 'a -> udp 203.0.113.9:443',
    expected: 'refuse egress-denied',
    rule: 'egress',
    by: /rule 3: deny 203/,
  },
  { flow: 'a -> 203.0.113.9', expected: 'refuse egress-denied', rule: 'egress' },
  {
    flow: 'b -> tcp 1.2.3.4:25',
    expected: 'refuse egress-denied',
    rule: 'egress',
    by: /networks\.lab\.egress, rule 1: deny any/,
  },
  { flow: 'b -> tcp 198.51.100.7:443', expected: 'refuse egress-denied', rule: 'egress', by: /host's own/ },
  {
    flow: 'b -> 169.254.169.254:80',
    expected: 'refuse egress-denied',
    rule: 'egress',
    by: /169\.254\.0\.0\/16/,
  },
  { flow: 'b -> udp 10.2.3.4:53', expected: 'refuse egress-denied', rule: 'egress', by: /10\.0\.0\.0\/8/ },
  {
    flow: 'a from 192.168.0.15 -> gateway',
    expected: 'drop spoofed-ip',
    rule: 'source-ip',
    by: /vms\.a\.ip/,
  },
  { flow: 'a from 192.168.0.77 -> tcp 203.0.113.9:1', expected: 'drop spoofed-ip', rule: 'source-ip' },
  { flow: 'a from 192.168.0.15 -> arp gateway', expected: 'drop spoofed-ip', rule: 'source-ip' },
  { flow: `a mac ${B.mac} -> gateway`, expected: 'drop spoofed-mac', rule: 'source-mac', by: /vms\.a\.mac/ },
  { flow: 'a from 0.0.0.0 -> udp 255.255.255.255:9', expected: '', rule: 'mode' },
  { flow: 'new -> gateway', expected: 'gateway', rule: 'gateway' },
  { flow: `new mac ${B.mac} -> gateway`, expected: 'drop spoofed-mac', rule: 'source-mac' },
  { flow: 'new mac 03:00:00:00:00:01 -> gateway', expected: 'drop spoofed-mac', rule: 'source-mac' },
  { flow: 'blank -> gateway', expected: 'gateway', rule: 'gateway' },
  { flow: 'blank from 10.9.9.9 -> gateway', expected: 'drop spoofed-ip', rule: 'source-ip' },
  { flow: 'a -> frame 01:80:c2:00:00:03', expected: 'drop reserved-multicast', rule: 'destination' },
  { flow: `a -> frame ${A.mac}`, expected: 'drop hairpin', rule: 'fdb' },
  { flow: 'host -> b:22', expected: 'forward b', rule: 'carrier' },
  { flow: 'host -> b', expected: 'forward b', rule: 'carrier' },
  { flow: 'host -> udp 192.168.0.15:53', expected: 'forward b', rule: 'carrier' },
  { flow: 'host -> frame b', expected: 'forward b', rule: 'fdb' },
  { flow: 'host -> off:22', expected: 'refuse port-down', rule: 'carrier' },
  { flow: 'host -> arp b', expected: 'gateway', rule: 'arp' },
  { flow: 'host -> new:22', expected: 'forward new', rule: 'arp' },
  { flow: `host -> ${NOBODY.ip}`, expected: 'flood', rule: 'arp' },
  { flow: 'a -> host:8080', expected: 'forward host', rule: 'host-policy', by: /allowFromGuests$/ },
  { flow: 'a -> udp host:5353', expected: 'forward host', rule: 'host-policy' },
  { flow: 'a -> host:22', expected: 'drop host-flow-denied', rule: 'host-policy', by: /allowFromGuests$/ },
  { flow: 'a -> host', expected: 'drop host-flow-denied', rule: 'host-policy' },
  { flow: 'a -> frame host', expected: 'drop host-address-denied', rule: 'host-policy' },
  { flow: 'a -> arp host', expected: 'gateway', rule: 'arp' },
].filter(({ expected }) => expected !== '');

const ISOLATED: Case[] = [
  { flow: 'a -> b:22', expected: 'drop isolated', rule: 'mode', by: MODE },
  { flow: 'a -> arp b', expected: 'drop isolated', rule: 'mode', by: MODE },
  { flow: 'a -> frame b', expected: 'drop isolated', rule: 'mode', by: MODE },
  { flow: 'a -> frame ff:ff:ff:ff:ff:ff', expected: 'drop isolated', rule: 'mode', by: MODE },
  { flow: `a -> frame ${NOBODY.mac}`, expected: 'drop unknown-unicast', rule: 'fdb' },
  { flow: 'a from 0.0.0.0 -> udp 255.255.255.255:9', expected: 'drop isolated', rule: 'mode' },
  { flow: 'a -> udp 239.1.2.3:5', expected: 'drop isolated', rule: 'mode' },
];

const SHARED: Case[] = [
  { flow: 'a -> b:22', expected: 'forward b', rule: 'fast-path', by: MODE },
  { flow: 'a -> arp b', expected: 'gateway', rule: 'arp' },
  { flow: 'a -> frame b', expected: 'forward b', rule: 'fast-path' },
  { flow: 'a -> off:22', expected: 'drop port-down', rule: 'carrier' },
  { flow: 'a -> new:22', expected: 'forward new', rule: 'arp' },
  { flow: 'a -> frame ff:ff:ff:ff:ff:ff', expected: 'flood', rule: 'mode', by: MODE },
  { flow: `a -> frame ${NOBODY.mac}`, expected: 'flood', rule: 'mode' },
  { flow: `a -> ${NOBODY.ip}:1`, expected: 'flood', rule: 'arp' },
  { flow: 'a -> udp 192.168.255.255:5', expected: 'flood', rule: 'mode' },
  { flow: 'a -> udp 239.1.2.3:5', expected: 'flood', rule: 'mode' },
];

describe.each([
  ['isolated', [...OWN, ...ISOLATED]],
  ['shared', [...OWN, ...SHARED]],
] as const)('in an %s network', (mode, cases) => {
  test.each(cases)('$flow -> $expected', ({ flow, expected, rule, by = /./ }) => {
    const made = stage(mode);
    const explanation = made.explain(flow);
    const last = explanation.steps.at(-1);
    expect(brief(explanation)).toBe(expected);
    expect(last?.rule).toBe(rule);
    expect(last?.outcome).toBe(/^(drop|refuse)/.test(expected) ? 'drop' : 'decides');
    expect(explanation.steps.slice(0, -1).every(({ outcome }) => outcome === 'pass')).toBe(true);
    expect(explanation.outcome.by).toMatch(by);
    expectTrue(made, explanation);
  });

  test('explaining all of it changes no table, and counts nothing', () => {
    const made = stage(mode);
    const before = snapshotOf(made);
    for (const { flow } of cases) made.explain(flow);
    expect(snapshotOf(made)).toEqual(before);
  });
});

/** Every byte the workers share, and all counters. */
function snapshotOf(made: ExplainedSwitch): unknown {
  const tables = Object.entries(made.memory).map(([name, memory]) => [
    name,
    Buffer.from(memory).toString('latin1'),
  ]);
  return { tables, stats: Array.from({ length: 8 }, (_, port) => made.stats(port)) };
}

describe('of IPv6', () => {
  const words = (text: number): [number, number, number, number] => [0xfd000000 | 0, 1, 0, text];
  function stage6(mode: 'isolated' | 'shared'): ExplainedSwitch {
    const made = new ExplainedSwitch({ mode, host: false });
    const gateway = int32('192.168.0.1');
    const subnet = { gateway, subnet: int32('192.168.0.0'), mask: int32('255.255.0.0') };
    made.tables.setNetwork(NETWORK, { isolated: mode === 'isolated', ...subnet, gateway6: words(1) });
    made.add({ id: 'a', ...A, egress: ['deny 2001:db8::/32', 'allow ::1 tcp/9'] });
    made.add({ id: 'b', ...B });
    made.tables.bindIpv6(made.portOf('b'), ...words(0xb));
    return made;
  }

  test.each([
    ['isolated', 'a -> [fd00:0:0:1::1]', 'gateway', 'gateway'],
    ['isolated', 'a -> [2001:db8::1]:443', 'refuse egress-denied', 'egress'],
    ['isolated', 'a -> udp [2001:db8::1]:443', 'refuse egress-denied', 'egress'],
    ['isolated', 'a -> [::1]:9', 'connect [::1]:9', 'gateway'],
    ['isolated', 'a -> [64:ff9b::a00:1]:80', 'refuse egress-denied', 'egress'],
    ['isolated', 'a -> [fd00:0:0:1::b]:22', 'drop isolated', 'mode'],
    ['isolated', 'a from fd00:0:0:1::b -> [2001:db8::1]:443', 'drop spoofed-ip', 'source-ip'],
    ['shared', 'a -> [fd00:0:0:1::b]:22', 'forward b', 'fast-path'],
    ['shared', 'a -> [fd00:0:0:1::c]:22', 'flood', 'neighbour-discovery'],
  ] as const)('%s: %s -> %s', (mode, flow, expected, rule) => {
    const made = stage6(mode);
    const explanation = made.explain(flow);
    expect([brief(explanation), explanation.steps.at(-1)?.rule]).toEqual([expected, rule]);
    expectTrue(made, explanation);
  });
});

test('a VM with as many connections as it may have -> the limit decides', () => {
  const made = stage('isolated');
  made.use.setLimits(made.portOf('a'), { tcpFlows: 1, halfOpenFlows: 1, bufferBytes: 1 << 20, udpFlows: 1 });
  expectTrue(made, made.explain('a -> tcp gateway:53'));
  onTestFinished(() => made.gateway.forget(made.portOf('a')));
  const explanation = made.explain('a -> tcp 127.0.0.9:9');
  expect(brief(explanation)).toBe('drop flow-limit');
  expect(explanation.outcome.by).toBe('networks.lab.limits');
});

test('what an earlier frame taught the switch is known', () => {
  const made = stage('shared');
  const first = made.explain('new -> gateway');
  expect(first.steps[1]?.detail).toMatch(/would be learned/);
  expectTrue(made, first);
  expect(made.explain('new -> gateway').steps[1]?.detail).toMatch(/learned$/);
  expect(brief(made.explain('a -> new:22'))).toBe('forward new');
  expect(made.explain('a -> new:22').steps.at(-1)?.rule).toBe('fast-path');
});

test('a VM that nobody holds the TAP of -> is told as if one did, and that is said first', () => {
  const { steps, outcome } = stage('isolated').explain('off -> gateway');
  expect(steps[0]).toMatchObject({
    rule: 'carrier',
    outcome: 'pass',
    detail: expect.stringMatching(/as if one did/),
  });
  expect(outcome.action).toBe('gateway');
});

test('in step by step words', () => {
  expect(stage('shared').explain('a -> b:22').steps).toEqual([
    { rule: 'arp', outcome: 'pass', detail: '192.168.0.15 is at 06:00:c0:a8:00:0f (b)' },
    { rule: 'source-mac', outcome: 'pass', detail: '06:00:c0:a8:00:0e is the MAC of a, configured' },
    { rule: 'source-ip', outcome: 'pass', detail: '192.168.0.14 is the address of a, configured' },
    { rule: 'destination', outcome: 'pass', detail: 'to 06:00:c0:a8:00:0f (b)' },
    { rule: 'mode', outcome: 'pass', detail: 'lab is shared' },
    { rule: 'carrier', outcome: 'pass', detail: 'a process holds the TAP of b' },
    {
      rule: 'fast-path',
      outcome: 'decides',
      detail: 'taken: the kernel hands it over, and the datapath sees nothing of it',
    },
  ]);
});

describe('a forward', () => {
  const forwards = [
    { protocol: 'tcp', host: '127.0.0.1:6080', guestPort: 6080, exposed: false },
    { protocol: 'udp', host: '0.0.0.0:5300', guestPort: 53, exposed: true },
  ] as const;

  test.each([
    ['a', 'host -> 127.0.0.1:6080', 'connect 192.168.0.14:6080', 'forward'],
    ['a', 'host -> udp 192.0.2.1:5300', 'connect 192.168.0.14:53', 'forward'],
    ['a', 'host -> 127.0.0.1:6081', 'refuse', 'forward'],
    ['a', 'host -> udp 127.0.0.1:6080', 'refuse', 'forward'],
    ['a', 'host -> vm:6080', 'connect 192.168.0.14:6080', 'forward'],
    ['a', 'host -> vm:22', 'refuse', 'forward'],
    ['off', 'host -> 127.0.0.1:6080', 'refuse forward-no-carrier', 'forward'],
    ['off', 'host -> udp 127.0.0.1:5300', 'drop port-down', 'carrier'],
    ['blank', 'host -> 127.0.0.1:6080', 'refuse forward-no-address', 'forward'],
    ['new', 'host -> 127.0.0.1:6080', 'connect 192.168.0.14:6080', 'forward'],
  ])('into %s: %s -> %s', (kind, flow, expected, rule) => {
    const made = new ExplainedSwitch({ host: false });
    const mac = kind === 'new' || kind === 'blank' ? {} : { mac: A.mac };
    const ip = kind === 'blank' ? {} : { ip: A.ip };
    made.add({ id: 'vm', ...mac, ...ip, forwards, carrier: kind !== 'off' });
    const explanation = made.explain(flow);
    expect([brief(explanation), explanation.steps.at(-1)?.rule]).toEqual([expected, rule]);
  });
});

test.each([
  ['x -> gateway', 'VM_UNKNOWN', /VM x/],
  ['a -> x:1', 'VM_UNKNOWN', /VM x/],
  ['host -> x:1', 'VM_UNKNOWN', /VM x/],
  ['host -> gateway', 'EXPLAIN_INVALID', /column 9: .*name a VM/],
  ['host -> frame new', 'EXPLAIN_INVALID', /column 15: new has no MAC/],
  ['a -> frame new', 'EXPLAIN_INVALID', /column 12: new has no MAC/],
  ['none -> gateway', 'EXPLAIN_INVALID', /column 1: none has no address/],
  ['a -> none:22', 'EXPLAIN_INVALID', /column 6: none has no address/],
  ['a from fd00::1 -> 10.0.0.1:1', 'EXPLAIN_INVALID', /column 19: 10.0.0.1 is not of the family/],
])('%s -> %s', (flow, code, message) => {
  const made = stage('isolated');
  made.add({ id: 'none' });
  expect(() => made.explain(flow)).toThrow(expect.objectContaining({ code }));
  expect(() => made.explain(flow)).toThrow(message);
});

test('to a host port that there is none of -> EXPLAIN_INVALID', () => {
  expect(() => stage('isolated', false).explain('a -> host:22')).toThrow(
    /column 6: the network lab has no host port/,
  );
});
