/** From facts about a bridge to a verdict: one row for each code, and what must not become one. */
import { expect, test } from 'vitest';
import { BRIDGE_HOPS, decideBridge } from '../../../src/diagnosis/bridge/decide.ts';
import type { BridgePathFacts, PortFacts } from '../../../src/diagnosis/bridge/facts.ts';
import { parseRuleset } from '../../../src/diagnosis/bridge/ruleset.ts';
import { BRIDGE_VERDICTS } from '../../../src/diagnosis/bridge/verdicts.ts';

const MAC = '06:00:00:00:00:0b';
const OTHER = '06:00:00:00:00:0c';
const TAP = { kind: 'tun', ethernet: true, up: true, carrier: true, master: 'br0' };
const ONE_VLAN = [{ id: 1, pvid: true, untagged: true }];
const PORT: PortFacts = {
  name: 'fc-a',
  mtu: 1500,
  vlans: ONE_VLAN,
  state: 'forwarding',
  learning: true,
  unicastFlood: true,
  broadcastFlood: true,
  isolated: false,
  locked: false,
};
const PEER = { ip: '10.1.0.12', mac: OTHER, port: { ...PORT, name: 'fc-b' } };
const BRIDGE = {
  name: 'br0',
  up: true,
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  addresses: ['10.1.0.1/24'],
  vlanFiltering: false,
  vlans: ONE_VLAN,
  callIptables: false,
  callArptables: false,
};
const ROUTE = { device: 'br0', local: false, gateway: undefined, source: '10.1.0.1', overVlan: false };
const AWAY = { ...ROUTE, device: 'eth1' };
const ANSWER = { outcome: 'answered', macs: [MAC] } as const;
const KNOWN = { port: 'fc-a', kind: 'learned' } as const;

const healthy: BridgePathFacts = {
  tapName: 'fc-a',
  ip: '10.1.0.11',
  port: undefined,
  tap: TAP,
  holder: { pid: 7, command: 'firecracker', state: 'S' },
  bridge: BRIDGE,
  tapPort: PORT,
  guard: undefined,
  heard: { arp: ANSWER, elsewhere: [], unaskedPorts: 0 },
  forwarding: [KNOWN],
  forwardingAfter: [KNOWN],
  peer: undefined,
  route: ROUTE,
  routeBack: ROUTE,
  reversePath: 0,
  neighbour: { mac: MAC, state: 'STALE' },
  rules: parseRuleset({}),
};

const chain = (family: string, hook: string) =>
  parseRuleset({
    nftables: [{ chain: { family, table: 'filter', name: 'C', hook, prio: 0, policy: 'drop' } }],
  });
const dropOf = (type: string, hook: string) =>
  parseRuleset({
    nftables: [
      { chain: { family: 'bridge', table: 'f', name: 'c', hook, prio: 0, policy: 'accept' } },
      {
        rule: {
          family: 'bridge',
          table: 'f',
          chain: 'c',
          handle: 4,
          expr: [
            { match: { op: '==', left: { payload: { protocol: 'ether', field: 'type' } }, right: type } },
            { drop: null },
          ],
        },
      },
    ],
  });
const filtering = (vlans: PortFacts['vlans']) => ({
  bridge: { ...BRIDGE, vlanFiltering: true },
  tapPort: { ...PORT, vlans },
});
const hears = (elsewhere: BridgePathFacts['heard']['elsewhere']) => ({
  heard: { arp: ANSWER, elsewhere, unaskedPorts: 0 },
});
const withNf = { ...BRIDGE, callIptables: true };

const rows: [string, Partial<BridgePathFacts>][] = [
  ['HEALTHY', {}],
  ['HEALTHY', { peer: PEER }],
  ['TAP_MISSING', { tap: undefined, holder: undefined, bridge: undefined, tapPort: undefined }],
  ['TAP_NOT_ETHERNET', { tap: { ...TAP, kind: 'bridge' } }],
  ['TAP_DOWN', { tap: { ...TAP, up: false } }],
  ['VMM_ABSENT', { tap: { ...TAP, carrier: false }, holder: undefined }],
  ['NO_CARRIER', { tap: { ...TAP, kind: 'veth', carrier: false }, holder: undefined }],
  ['VMM_STOPPED', { holder: { pid: 7, command: 'firecracker', state: 'T' } }],
  ['NOT_ENSLAVED', { tap: { ...TAP, master: undefined }, bridge: undefined, tapPort: undefined }],
  ['NOT_ENSLAVED', { tap: { ...TAP, master: 'ovs-system' }, bridge: undefined, tapPort: undefined }],
  ['BRIDGE_DOWN', { bridge: { ...BRIDGE, up: false }, route: 'ENETUNREACH' }],
  ['PORT_NOT_FORWARDING', { tapPort: { ...PORT, state: 'learning' } }],
  ['PORT_NOT_FORWARDING', { peer: { ...PEER, port: { ...PEER.port, state: 'blocking' } } }],
  ['GUARD_LEFT', { guard: 'nftables' }],
  ['VLAN_MISMATCH', filtering([])],
  ['VLAN_MISMATCH', filtering([{ id: 2, pvid: true, untagged: true }])],
  ['VLAN_MISMATCH', filtering([{ id: 1, pvid: true, untagged: false }])],
  ['GUEST_SILENT', { heard: { arp: { outcome: 'silent', macs: [] }, elsewhere: [], unaskedPorts: 0 } }],
  ['PROBE_FAILED', { heard: { arp: { outcome: 'unasked', macs: [] }, elsewhere: [], unaskedPorts: 0 } }],
  [
    'ADDRESS_DUPLICATE',
    { heard: { arp: { outcome: 'answered', macs: [MAC, OTHER] }, elsewhere: [], unaskedPorts: 0 } },
  ],
  ['ADDRESS_DUPLICATE', hears([{ port: 'fc-b', mac: OTHER, ip: '10.1.0.11' }])],
  ['MAC_DUPLICATE', hears([{ port: 'fc-b', mac: MAC, ip: '10.1.0.12' }])],
  ['MAC_DUPLICATE', { bridge: { ...BRIDGE, mac: MAC } }],
  ['MAC_DUPLICATE', { forwarding: [{ port: 'fc-a', kind: 'local' }], peer: PEER }],
  ['MAC_DUPLICATE', { forwarding: [{ port: 'fc-b', kind: 'local' }] }],
  ['MAC_DUPLICATE', { forwarding: [{ port: 'fc-b', kind: 'learned' }] }],
  ['FDB_WRONG', { forwardingAfter: [{ port: 'fc-b', kind: 'static' }] }],
  [
    'FDB_WRONG',
    {
      forwarding: [{ port: 'fc-b', kind: 'learned' }],
      forwardingAfter: [{ port: 'fc-b', kind: 'learned' }],
    },
  ],
  ['PORT_LOCKED', { tapPort: { ...PORT, locked: true }, forwardingAfter: [] }],
  ['FLOOD_OFF', { tapPort: { ...PORT, broadcastFlood: false }, peer: PEER }],
  ['FLOOD_OFF', { tapPort: { ...PORT, unicastFlood: false, learning: false }, forwardingAfter: [] }],
  ['PEER_SILENT', { peer: { ip: '10.1.0.12', port: undefined, mac: undefined } }],
  [
    'PROBE_FAILED',
    {
      peer: { ip: '10.1.0.12', port: undefined, mac: undefined },
      heard: { arp: ANSWER, elsewhere: [], unaskedPorts: 3 },
    },
  ],
  [
    'PORTS_ISOLATED',
    { tapPort: { ...PORT, isolated: true }, peer: { ...PEER, port: { ...PEER.port, isolated: true } } },
  ],
  ['ADDRESS_IS_HOSTS', { route: { ...ROUTE, device: 'lo', local: true } }],
  ['NO_BRIDGE_ADDRESS', { bridge: { ...BRIDGE, addresses: ['10.2.0.1/24'] }, route: 'ENETUNREACH' }],
  ['ROUTE_ELSEWHERE', { route: AWAY }],
  ['ROUTE_ELSEWHERE', { route: 'EHOSTUNREACH' }],
  ['ROUTE_ELSEWHERE', { routeBack: AWAY }],
  ['REVERSE_PATH', { routeBack: AWAY, reversePath: 1 }],
  ['NEIGHBOUR_WRONG', { neighbour: { mac: OTHER, state: 'PERMANENT' } }],
  ['FILTER_ARP', { rules: dropOf('arp', 'output') }],
  ['FILTER_ARP', { rules: chain('arp', 'input') }],
  ['FILTER_ARP', { peer: PEER, rules: dropOf('arp', 'forward') }],
  ['FILTER_BRIDGE', { rules: dropOf('ip', 'input') }],
  ['BRIDGE_NF', { peer: PEER, bridge: withNf, rules: chain('ip', 'forward') }],
  ['BRIDGE_NF', { peer: PEER, bridge: withNf, rules: chain('inet', 'forward') }],
  ['HOST_INPUT', { rules: chain('inet', 'input') }],
  ['HOST_OUTPUT', { rules: chain('ip', 'output') }],
  ['RULES_UNREAD', { rules: undefined }],
  ['MTU_MISMATCH', { tapPort: { ...PORT, mtu: 1400 } }],
  ['MTU_MISMATCH', { peer: { ...PEER, port: { ...PEER.port, mtu: 9000 } } }],
];

test.each(rows)('%s -> that verdict, and every hop', (code, changes) => {
  const { hops, verdict } = decideBridge({ ...healthy, ...changes });
  expect(verdict.code).toBe(code);
  expect(hops.map(({ hop }) => hop)).toEqual(BRIDGE_HOPS);
});

test('the rows -> have every code', () => {
  expect(new Set(rows.map(([code]) => code))).toEqual(new Set(Object.keys(BRIDGE_VERDICTS)));
});

const harmless: [string, Partial<BridgePathFacts>][] = [
  [
    'FORWARD DROP with bridge netfilter, asked from the host',
    { bridge: withNf, rules: chain('ip', 'forward') },
  ],
  ['FORWARD DROP without bridge netfilter', { peer: PEER, rules: chain('ip', 'forward') }],
  ['INPUT DROP, asked from another guest', { peer: PEER, bridge: withNf, rules: chain('ip', 'input') }],
  ['ARP dropped on forwarding, asked from the host', { rules: dropOf('arp', 'forward') }],
  ["the TAP's own MAC, asked from the host", { forwarding: [{ port: 'fc-a', kind: 'local' }] }],
  ['no broadcasts flooded, asked from the host', { tapPort: { ...PORT, broadcastFlood: false } }],
  ['a static entry that follows the guest', { forwarding: [{ port: 'fc-b', kind: 'static' }] }],
  ['an isolated port, asked from the host', { tapPort: { ...PORT, isolated: true } }],
  ['a port that is isolated alone', { tapPort: { ...PORT, isolated: true }, peer: PEER }],
  ['a route elsewhere, asked from another guest', { peer: PEER, route: AWAY, routeBack: AWAY }],
  ['a strict filter and a symmetric route', { reversePath: 1 }],
  ['a neighbour that failed', { neighbour: { mac: undefined, state: 'FAILED' } }],
  ['VLANs that do not match, without filtering', { tapPort: { ...PORT, vlans: [] } }],
  ['an entry that is missing', { forwarding: [], forwardingAfter: [] }],
  ['a locked port whose guest is known', { tapPort: { ...PORT, locked: true } }],
  ['a bridge with a smaller MTU', { bridge: { ...BRIDGE, mtu: 1400 } }],
  [
    'a host that takes part by a VLAN of the bridge',
    { route: { ...ROUTE, device: 'br0.7', overVlan: true } },
  ],
];

test.each(harmless)('%s -> healthy', (_name, changes) => {
  expect(decideBridge({ ...healthy, ...changes }).verdict.code).toBe('HEALTHY');
});

test('several hops failed -> the first on the way decides, whatever else', () => {
  const all = { rules: chain('inet', 'input'), route: AWAY, tapPort: { ...PORT, mtu: 1400 } };
  expect(decideBridge({ ...healthy, ...all }).verdict.code).toBe('ROUTE_ELSEWHERE');
  expect(decideBridge({ ...healthy, ...all, route: ROUTE }).verdict.code).toBe('HOST_INPUT');
});

test('a rule that is asked about by port -> of that port alone', () => {
  const expr = [
    { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 8080 } },
    { reject: null },
  ];
  const rules = parseRuleset({
    nftables: [
      { chain: { family: 'ip', table: 'f', name: 'c', hook: 'output', prio: 0, policy: 'accept' } },
      { rule: { family: 'ip', table: 'f', chain: 'c', handle: 9, expr } },
    ],
  });
  for (const [port, code] of [
    [undefined, 'HEALTHY'],
    [80, 'HEALTHY'],
    [8080, 'HOST_OUTPUT'],
  ] as const) {
    const { hops, verdict } = decideBridge({ ...healthy, rules, port });
    expect(verdict.code).toBe(code);
    if (code === 'HOST_OUTPUT')
      expect(hops.find(({ hop }) => hop === 'ip-rules')?.evidence).toContain('rule handle 9 of ip f c');
  }
});
