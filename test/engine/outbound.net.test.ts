import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseIp } from '../../src/config/ip.ts';
import { resolveConfig, type VmConfig } from '../../src/config/resolve.ts';
import { OutboundRules } from '../../src/engine/outbound.ts';
import { EGRESS_ALLOW, EgressPolicy } from '../../src/gateway/egress-policy.ts';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { createNamespace, enterNamespace, type Namespace } from '../../src/sys/netns.ts';
import { PROTOCOL_TCP } from '../../src/wire/ipv4.ts';

const { networks, vms } = resolveConfig({
  networks: { default: { subnet: '10.1.0.0/24', gateway: '10.1.0.1', egress: ['deny 203.0.113.0/24'] } },
  vms: { a: { tap: 't', egress: ['allow 203.0.113.9', 'allow 198.51.100.8'] } },
});

let host: Namespace;
let leave: () => void;
let rules: OutboundRules;

beforeEach(() => {
  host = createNamespace();
  leave = enterNamespace(host.path);
  rules = new OutboundRules(networks);
});

afterEach(() => {
  leave();
  host.close();
});

function mayReach(text: string): boolean {
  const [w0, w1, w2, w3] = parseIp(text) as NonNullable<ReturnType<typeof parseIp>>;
  const policy = new EgressPolicy(rules.wordsOf(vms.get('a') as VmConfig));
  return policy.decide(PROTOCOL_TCP, w0, w1, w2, w3, 443) === EGRESS_ALLOW;
}

function addAddresses(...addresses: string[]): void {
  withRoutes(undefined, (routes) => {
    for (const address of addresses) routes.addAddress(indexOf(routes, 'lo'), address);
  });
}

test('VM and network with rules: -> both are in its policy, in this order', () => {
  rules.refresh();
  expect(['203.0.113.8', '203.0.113.9', '192.0.2.1', '10.0.0.1'].map(mayReach)).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

test('host that gets addresses: refresh -> true, and they are denied unless a rule allows them', () => {
  rules.refresh();
  const addresses = ['198.51.100.7', '198.51.100.8', '2001:db8::7'];
  expect(addresses.map(mayReach)).toEqual([true, true, true]);
  addAddresses('198.51.100.7/32', '198.51.100.8/32', '2001:db8::7/128');
  expect(rules.refresh()).toBe(true);
  expect(addresses.map(mayReach)).toEqual([false, true, false]);
  expect(rules.refresh()).toBe(false);
});

test('host that loses an address: refresh -> true, and it may be reached', () => {
  addAddresses('198.51.100.7/32');
  rules.refresh();
  withRoutes(undefined, (routes) => routes.removeAddress(indexOf(routes, 'lo'), '198.51.100.7/32'));
  expect(rules.refresh()).toBe(true);
  expect(mayReach('198.51.100.7')).toBe(true);
});
