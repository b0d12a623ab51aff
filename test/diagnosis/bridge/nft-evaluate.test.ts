/** The evaluator: what rules do to a packet, what is not understood, and what must not be taken for certain. */
import { expect, test } from 'vitest';
import { evaluate, type Outcome } from '../../../src/diagnosis/bridge/nft-evaluate.ts';
import type { Hook, Packet } from '../../../src/diagnosis/bridge/packet.ts';
import { parseRuleset, withDevices } from '../../../src/diagnosis/bridge/ruleset.ts';

const GUEST = '10.1.0.11';
const MAC = '06:00:00:00:00:0b';

const reply: Packet = {
  what: 'TCP from the guest',
  type: 'ip',
  etherSource: MAC,
  etherDestination: '02:00:00:00:00:01',
  source: GUEST,
  destination: '10.1.0.1',
  protocol: 'tcp',
  sourcePort: 80,
  state: 'established',
};
const request: Packet = {
  ...reply,
  source: '10.1.0.1',
  destination: GUEST,
  sourcePort: undefined,
  destinationPort: 80,
  state: 'new',
};
const arp: Packet = {
  what: 'ARP reply of the guest',
  type: 'arp',
  operation: 'reply',
  etherSource: MAC,
  etherDestination: '02:00:00:00:00:01',
  source: GUEST,
  destination: '10.1.0.1',
  state: 'new',
};
const INPUT: Hook = { families: ['ip', 'inet'], hook: 'input', in: 'br0' };
const BRIDGE: Hook = { families: ['bridge'], hook: 'input', in: 'vm11', bridge: 'br0' };

type Json = Readonly<Record<string, unknown>>;

const eq = (left: Json, right: unknown, op = '=='): Json => ({ match: { op, left, right } });
const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } });
const meta = (key: string): Json => ({ meta: { key } });
const DROP = { drop: null };
const ACCEPT = { accept: null };
const UNKNOWN = { xt: { type: 'match', name: 'physdev' } };

interface Options {
  readonly family?: string;
  readonly policy?: string;
  readonly more?: readonly Json[];
}

/** What becomes of a packet in one chain of the hook. */
function fate(
  rules: readonly (readonly Json[])[],
  packet: Packet = reply,
  hook: Hook = INPUT,
  { family = hook.families[0] as string, policy = 'accept', more = [] }: Options = {},
): Outcome {
  const place = { family, table: 't' };
  const chain = { ...place, name: 'c', hook: hook.hook, prio: 0, policy };
  const listed = rules.map((expr, i) => ({ rule: { ...place, chain: 'c', handle: i + 1, expr } }));
  return evaluate(parseRuleset({ nftables: [{ chain }, ...listed, ...more] }), { packet, hooks: [hook] });
}

const state = (right: unknown, op = 'in') => eq({ ct: { key: 'state' } }, right, op);
const certain: [string, Outcome['fate'], readonly (readonly Json[])[], Packet?, Hook?][] = [
  ['no rule', 'passes', []],
  ['drop of its source', 'dropped', [[eq(payload('ip', 'saddr'), GUEST), { counter: {} }, DROP]]],
  ['drop of another source', 'passes', [[eq(payload('ip', 'saddr'), '10.1.0.12'), DROP]]],
  ['drop of all but its source', 'passes', [[eq(payload('ip', 'saddr'), GUEST, '!='), DROP]]],
  ['reject', 'dropped', [[{ reject: { type: 'icmpx' } }]]],
  ['accept before drop', 'passes', [[eq(meta('iifname'), 'br0'), ACCEPT], [DROP]]],
  ['wild card of names', 'dropped', [[eq(meta('iifname'), 'br*'), DROP]]],
  ['output interface where there is none', 'dropped', [[eq(meta('oifname'), 'eth0', '!='), DROP]]],
  ['prefix', 'dropped', [[eq(payload('ip', 'saddr'), { prefix: { addr: '10.1.0.0', len: 24 } }), DROP]]],
  ['range in a set', 'dropped', [[eq(payload('tcp', 'sport'), { set: [22, { range: [79, 90] }] }), DROP]]],
  ['UDP', 'passes', [[eq(payload('udp', 'sport'), 80, '!='), DROP]]],
  ['IPv6 address, negated', 'passes', [[eq(payload('ip6', 'saddr'), '::1', '!='), DROP]]],
  ['established accepted', 'passes', [[state(['established', 'related']), ACCEPT], [DROP]]],
  ['new accepted', 'dropped', [[state('new'), ACCEPT], [DROP]]],
  ['new accepted', 'passes', [[state('new'), ACCEPT], [DROP]], request],
  ['ARP on the bridge', 'dropped', [[eq(payload('ether', 'type'), 'arp'), DROP]], arp, BRIDGE],
  ['ARP alone', 'passes', [[eq(payload('ether', 'type'), 'arp'), DROP]], reply, BRIDGE],
  ['sender of ARP', 'dropped', [[eq(payload('arp', 'saddr ip'), GUEST), DROP]], arp, BRIDGE],
  ['request of ARP', 'passes', [[eq(payload('arp', 'operation'), 'request'), DROP]], arp, BRIDGE],
  ['name of the bridge', 'dropped', [[eq(meta('ibrname'), 'br0'), DROP]], arp, BRIDGE],
  ['protocol by number', 'dropped', [[eq(meta('l4proto'), 6), DROP]]],
  ['unknown match, then drop of all', 'dropped', [[UNKNOWN, DROP], [DROP]]],
  ['log of what is not understood', 'passes', [[UNKNOWN, { log: { prefix: 'x' } }]]],
];

test.each(certain)('%s -> %s', (_name, expected, rules, packet, hook) => {
  expect(fate(rules, packet, hook).fate).toBe(expected);
});

const doubtful: [string, readonly (readonly Json[])[]][] = [
  ['drop behind a match that is not understood', [[UNKNOWN, DROP]]],
  ['drop behind an accept that may match', [[UNKNOWN, ACCEPT], [DROP]]],
  ['accept within a rate, then drop', [[{ limit: { rate: 3, per: 'second' } }, ACCEPT], [DROP]]],
  ['queue', [[{ queue: null }]]],
  ['mark', [[eq(meta('mark'), 3), DROP]]],
  ['set that is not there', [[eq(payload('ip', 'saddr'), '@gone'), DROP]]],
  ['drop behind a translation', [[UNKNOWN, { dnat: { addr: '10.1.0.9' } }], [DROP]]],
  ['drop of what is no longer tracked', [[{ notrack: null }], [state('established'), DROP]]],
  ['address that was rewritten', [[{ mangle: { key: payload('ip', 'saddr'), value: '1.1.1.1' } }], [DROP]]],
];

test.each(doubtful)('%s -> never certain', (_name, rules) => {
  expect(fate(rules).fate).toBe('doubtful');
});

test('policy drop -> dropped, by the policy', () => {
  const { fate: what, by } = fate([], reply, INPUT, { policy: 'drop' });
  expect(what).toBe('dropped');
  expect(by?.rule).toBe('policy of ip t c');
});

test('the rule that drops -> named by its handle', () => {
  expect(fate([[ACCEPT]]).by).toBeUndefined();
  expect(fate([[UNKNOWN, DROP], [DROP]]).by?.rule).toBe('rule handle 2 of ip t c');
});

const sub = (name: string, ...rules: (readonly Json[])[]): Json[] => [
  { chain: { family: 'ip', table: 't', name } },
  ...rules.map((expr, i) => ({ rule: { family: 'ip', table: 't', chain: name, handle: 10 + i, expr } })),
];

test('jump -> comes back, goto does not', () => {
  const more = sub('s', [eq(payload('ip', 'saddr'), '10.9.9.9'), DROP]);
  expect(fate([[{ jump: { target: 's' } }], [DROP]], reply, INPUT, { more }).fate).toBe('dropped');
  expect(fate([[{ goto: { target: 's' } }], [DROP]], reply, INPUT, { more }).fate).toBe('passes');
});

test('return -> to the chain that jumped; in a base chain the policy', () => {
  const more = sub('s', [{ return: null }], [DROP]);
  expect(fate([[{ jump: { target: 's' } }], [ACCEPT]], reply, INPUT, { more }).fate).toBe('passes');
  expect(fate([[{ return: null }], [ACCEPT]], reply, INPUT, { policy: 'drop' }).fate).toBe('dropped');
});

test('chains that jump in a circle -> never certain', () => {
  const more = sub('s', [{ jump: { target: 's' } }]);
  expect(fate([[{ jump: { target: 's' } }]], reply, INPUT, { more }).fate).toBe('doubtful');
});

test('named sets and maps -> looked up', () => {
  const place = { family: 'ip', table: 't' };
  const set = { ...place, name: 'bad', elem: [{ prefix: { addr: '10.1.0.0', len: 24 } }, '11.0.0.1'] };
  const map = {
    ...place,
    name: 'verdicts',
    elem: [
      ['10.9.9.9', ACCEPT],
      [GUEST, DROP],
    ],
  };
  const key = payload('ip', 'saddr');
  expect(fate([[eq(key, '@bad'), DROP]], reply, INPUT, { more: [{ set }] }).fate).toBe('dropped');
  expect(fate([[{ vmap: { key, data: '@verdicts' } }]], reply, INPUT, { more: [{ map }] }).fate).toBe(
    'dropped',
  );
  const data = {
    set: [
      ['invalid', DROP],
      ['established', ACCEPT],
    ],
  };
  expect(fate([[{ vmap: { key: { ct: { key: 'state' } }, data } }], [DROP]]).fate).toBe('passes');
});

test('concatenations -> every part', () => {
  const left = { concat: [payload('ip', 'saddr'), payload('tcp', 'sport')] };
  const of = (...parts: unknown[]) => ({ set: [{ concat: parts }] });
  expect(fate([[eq(left, of(GUEST, 80)), DROP]]).fate).toBe('dropped');
  expect(fate([[eq(left, of(GUEST, 81)), DROP]]).fate).toBe('passes');
});

test('chains of one hook -> by priority, and an accept of one does not help against another', () => {
  const chain = (name: string, prio: number) => ({
    chain: { family: 'ip', table: name, name: 'c', hook: 'input', prio, policy: 'accept' },
  });
  const rule = (table: string, expr: readonly Json[]) => ({
    rule: { family: 'ip', table, chain: 'c', handle: 1, expr },
  });
  const nftables = [chain('late', 10), rule('late', [DROP]), chain('early', -10), rule('early', [ACCEPT])];
  const outcome = evaluate(parseRuleset({ nftables }), { packet: reply, hooks: [INPUT] });
  expect(outcome.by?.rule).toBe('rule handle 1 of ip late c');
});

test('chain of a device -> of that device alone; unknown until the device is', () => {
  const chain = { family: 'netdev', table: 'n', name: 'f', hook: 'ingress', prio: 0, policy: 'drop' };
  const ruleset = parseRuleset({ nftables: [{ chain }] });
  const ingress = (name: string) => ({
    packet: reply,
    hooks: [{ families: ['netdev'], hook: 'ingress' as const, in: name }],
  });
  expect(evaluate(ruleset, ingress('vm11')).fate).toBe('doubtful');
  const text =
    'table netdev n {\n\tchain f {\n\t\ttype filter hook ingress device "vm11" priority filter; policy drop;';
  for (const listing of [text, text.replace('device "vm11"', 'devices = { "vm9", "vm11" }')]) {
    expect(evaluate(withDevices(ruleset, listing), ingress('vm11')).fate).toBe('dropped');
    expect(evaluate(withDevices(ruleset, listing), ingress('vm12')).fate).toBe('passes');
  }
});

test.each([undefined, null, 7, [], { nftables: 3 }, { nftables: [null, { rule: {} }, { chain: [] }] }])(
  'any JSON -> a ruleset (%j)',
  (json) => {
    expect(evaluate(parseRuleset(json), { packet: reply, hooks: [INPUT] }).fate).toBe('passes');
  },
);
