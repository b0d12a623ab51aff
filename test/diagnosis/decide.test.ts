/** From facts to a verdict: one row for each code, and what must not become one. */
import { expect, test } from 'vitest';
import { DIAGNOSIS_HOPS, decide } from '../../src/diagnosis/decide.ts';
import type { Facts } from '../../src/diagnosis/facts.ts';
import { exitStatusOf, VERDICT_CODES } from '../../src/diagnosis/verdicts.ts';

const MAC = '06:00:00:00:00:0b';
const OTHER = '06:00:00:00:00:0c';
const TAP = { kind: 'tun', ethernet: true, up: true, carrier: true, mtu: 1500 };
const SILENT = { outcome: 'silent', macs: [] } as const;

const healthy: Facts = {
  vm: 'a',
  tapName: 'fc-a',
  tap: TAP,
  plugged: true,
  refusal: undefined,
  vmm: 'firecracker',
  holder: { pid: 7, command: 'firecracker', state: 'S' },
  guard: 'in place',
  workerAlive: true,
  othersAlive: true,
  framesSeen: 12,
  quietSeconds: 1,
  expectedMac: MAC,
  ip: '10.1.0.11',
  arp: { outcome: 'answered', macs: [MAC] },
  ip6: 'fd00::11',
  ndp: 'answered',
  icmp: 'answered',
  mtu: 1500,
  long: 'answered',
  elsewhere: '10.1.1.1',
  route: { outcome: 'answered', asksFor: [] },
  flows: { tcp: 3, halfOpen: 0, mostTcp: 10, mostHalfOpen: 5 },
  dns: [
    { server: '192.0.2.53:53', answers: false },
    { server: '192.0.2.54:53', answers: true },
  ],
  host: { hostPort: 'tsw0', leavesBy: { name: 'tsw0', kind: 'tun' }, reached: 'answered' },
  tcp: { port: 80, outcome: 'open', said: 'HTTP/1.1 200 OK' },
  forwards: ['127.0.0.1:16080'],
  drops: {},
  recentDrops: {},
};
const HOST_PORT = { hostPort: 'tsw0', leavesBy: { name: 'tsw0', kind: 'tun' } };
const DEAD_DNS = [{ server: '192.0.2.53:53', answers: false }];
const FULL = { tcp: 10, halfOpen: 0, mostTcp: 10, mostHalfOpen: 5 };

const rows: [string, Partial<Facts>][] = [
  ['HEALTHY', {}],
  ['TAP_MISSING', { tap: undefined, plugged: false, holder: undefined }],
  ['TAP_NOT_ETHERNET', { tap: { ...TAP, kind: 'bridge' } }],
  ['TAP_ENSLAVED', { tap: { ...TAP, master: 'br0' } }],
  ['TAP_DOWN', { tap: { ...TAP, up: false } }],
  ['VMM_ABSENT', { tap: { ...TAP, carrier: false }, holder: undefined }],
  ['NO_CARRIER', { tap: { ...TAP, kind: 'veth', carrier: false }, holder: undefined }],
  ['VMM_STOPPED', { holder: { pid: 7, command: 'firecracker', state: 'T' } }],
  ['NOT_PLUGGED', { plugged: false }],
  ['WORKER_DEAD', { workerAlive: false }],
  ['GUARD_MISSING', { guard: 'missing' }],
  ['ADDRESS_UNKNOWN', { ip: undefined, arp: { outcome: 'unasked', macs: [] }, icmp: 'unasked' }],
  ['GUEST_SILENT', { framesSeen: 0, arp: SILENT, icmp: 'unasked' }],
  ['GUEST_WRONG_MAC', { arp: { outcome: 'answered', macs: [OTHER] } }],
  ['GUEST_WRONG_MAC', { arp: SILENT, recentDrops: { 'spoofed-mac': 3 } }],
  ['GUEST_WRONG_IP', { arp: SILENT, recentDrops: { 'spoofed-ip': 3 } }],
  ['ADDRESS_DUPLICATE', { arp: { outcome: 'answered', macs: [MAC, OTHER] } }],
  ['ARP_SILENT', { arp: SILENT, icmp: 'unasked' }],
  ['ICMP_SILENT', { icmp: 'silent', tcp: undefined }],
  ['FLOW_LIMIT', { tcp: { port: 80, outcome: 'flow-limit' } }],
  ['PORT_REFUSED', { tcp: { port: 80, outcome: 'refused' } }],
  ['TCP_SILENT', { tcp: { port: 80, outcome: 'silent' } }],
  ['SERVICE_SILENT', { tcp: { port: 80, outcome: 'open' } }],
  ['PROBE_FAILED', { arp: { outcome: 'unasked', macs: [] }, icmp: 'unasked' }],
  ['PORT_REFUSED', { guard: 'missing', tcp: { port: 80, outcome: 'refused' } }],
  ['PROBE_FAILED', { tcp: { port: 80, outcome: 'failed' } }],
  ['VMM_FOREIGN', { vmm: 'qemu' }],
  ['FORWARD_TAKEN', { plugged: false, refusal: { code: 'FORWARD_IN_USE', message: 'taken' } }],
  ['NOT_PLUGGED', { plugged: false, refusal: { code: 'GUARD_UNAVAILABLE', message: 'no guard' } }],
  ['GUEST_SPOOFING', { recentDrops: { 'spoofed-ip': 5 } }],
  ['NDP_SILENT', { ndp: 'silent' }],
  ['MTU_TOO_SMALL', { long: 'silent' }],
  ['MTU_TOO_SMALL', { long: 'unasked' }],
  ['MTU_TOO_SMALL', { tap: { ...TAP, mtu: 1400 } }],
  ['GUEST_WRONG_MASK', { route: { outcome: 'silent', asksFor: ['10.1.1.1'] } }],
  ['GUEST_WRONG_GATEWAY', { route: { outcome: 'silent', asksFor: ['10.1.0.250'] } }],
  ['FLOW_LIMIT', { flows: FULL }],
  ['FLOW_LIMIT', { recentDrops: { 'flow-limit': 1 } }],
  ['HALF_OPEN_LIMIT', { flows: { ...FULL, halfOpen: 5 } }],
  ['HALF_OPEN_LIMIT', { flows: { ...FULL, halfOpen: 5 }, tcp: { port: 80, outcome: 'flow-limit' } }],
  ['EGRESS_DENIED', { recentDrops: { 'egress-denied': 1 } }],
  ['DNS_DOWN', { dns: DEAD_DNS, recentDrops: { 'dns-unanswered': 1 } }],
  ['ROUTE_SHADOWED', { host: { ...HOST_PORT, leavesBy: undefined, reached: 'unasked' } }],
  ['ROUTE_SHADOWED', { host: { ...HOST_PORT, leavesBy: { name: 'eth1', kind: '' }, reached: 'unasked' } }],
  [
    'SUBNET_ON_BRIDGE',
    { host: { ...HOST_PORT, leavesBy: { name: 'br0', kind: 'bridge' }, reached: 'unasked' } },
  ],
  ['HOST_FIREWALL', { host: { ...HOST_PORT, reached: 'silent', detail: 'no answer' } }],
];

test.each(rows)('%s -> that verdict, and every hop', (code, changes) => {
  const { hops, verdict } = decide({ ...healthy, ...changes });
  expect(verdict.code).toBe(code);
  expect(hops.map(({ hop }) => hop)).toEqual(DIAGNOSIS_HOPS);
});

test('the rows -> have every code', () => {
  expect(new Set(rows.map(([code]) => code))).toEqual(new Set(VERDICT_CODES));
});

const harmless: [string, Partial<Facts>][] = [
  ['a port that answers although ping does not', { icmp: 'silent' }],
  ['a guest that answers although it was spoofing before', { drops: { 'spoofed-ip': 9 } }],
  ['a service that ends what it does not understand', { tcp: { port: 80, outcome: 'open', ended: true } }],
  ['a holder that cannot be seen', { holder: undefined }],
  ['a spoofed frame or two of late', { recentDrops: { 'spoofed-ip': 2 } }],
  ['a thread that is not its own stands still', { othersAlive: false }],
  ['a guest without a default route', { route: { outcome: 'silent', asksFor: [] } }],
  ['name servers that are down, and nobody asks', { dns: DEAD_DNS }],
  ['a network without name servers and host port', { dns: [], host: undefined }],
  ['a VM without IPv6', { ip6: undefined, ndp: 'unasked' }],
  ['a guest whose first frame is its answer', { framesSeen: 0 }],
];

test.each([
  ['HEALTHY', 0],
  ['TAP_MISSING', 69],
  ['GUEST_WRONG_IP', 3],
  ['TAP_ENSLAVED', 5],
  ['WORKER_DEAD', 1],
  ['OF_A_LATER_VERSION', 69],
])('%s -> exit status %i', (code, status) => {
  expect(exitStatusOf(code)).toBe(status);
});

test.each(harmless)('%s -> healthy', (_name, changes) => {
  expect(decide({ ...healthy, ...changes }).verdict.code).toBe('HEALTHY');
});

test('several hops failed -> the one nearest the host decides', () => {
  const both = { tap: { ...TAP, up: false }, holder: undefined, arp: SILENT } as const;
  expect(decide({ ...healthy, ...both }).verdict.code).toBe('TAP_DOWN');
});
