/** From facts to a verdict: one row for each code, and what must not become one. */
import { expect, test } from 'vitest';
import { DIAGNOSIS_HOPS, decide } from '../../src/diagnosis/decide.ts';
import type { Facts } from '../../src/diagnosis/facts.ts';
import { VERDICT_CODES } from '../../src/diagnosis/verdicts.ts';

const MAC = '06:00:00:00:00:0b';
const OTHER = '06:00:00:00:00:0c';
const TAP = { kind: 'tun', ethernet: true, up: true, carrier: true };
const SILENT = { outcome: 'silent', macs: [] } as const;

const healthy: Facts = {
  vm: 'a',
  tapName: 'fc-a',
  tap: TAP,
  plugged: true,
  holder: { pid: 7, command: 'firecracker', state: 'S' },
  guard: 'in place',
  workersAlive: true,
  framesSeen: 12,
  expectedMac: MAC,
  ip: '10.1.0.11',
  arp: { outcome: 'answered', macs: [MAC] },
  icmp: 'answered',
  tcp: { port: 80, outcome: 'open', said: 'HTTP/1.1 200 OK' },
  forwards: ['127.0.0.1:16080'],
  drops: {},
};

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
  ['WORKER_DEAD', { workersAlive: false }],
  ['GUARD_MISSING', { guard: 'missing' }],
  ['ADDRESS_UNKNOWN', { ip: undefined, arp: { outcome: 'unasked', macs: [] }, icmp: 'unasked' }],
  ['GUEST_SILENT', { framesSeen: 0, arp: SILENT, icmp: 'unasked' }],
  ['GUEST_WRONG_MAC', { arp: { outcome: 'answered', macs: [OTHER] } }],
  ['GUEST_WRONG_MAC', { arp: SILENT, drops: { 'spoofed-mac': 3 } }],
  ['GUEST_WRONG_IP', { arp: SILENT, drops: { 'spoofed-ip': 3 } }],
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
  ['a guest whose first frame is its answer', { framesSeen: 0 }],
];

test.each(harmless)('%s -> healthy', (_name, changes) => {
  expect(decide({ ...healthy, ...changes }).verdict.code).toBe('HEALTHY');
});

test('several hops failed -> the one nearest the host decides', () => {
  const both = { tap: { ...TAP, up: false }, holder: undefined, arp: SILENT } as const;
  expect(decide({ ...healthy, ...both }).verdict.code).toBe('TAP_DOWN');
});
