/** What guests reach beyond their network, and how it looks to them when they do not. */
import type { Switch } from 'tapswitch';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { indexOf, type NetnsGuest, withRoutes } from '../../src/lab/netns-guest.ts';
import { runIn } from '../../src/lab/process.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import { GATEWAY, openDescriptors } from '../lib/engine-stage.ts';
import { GatewayStage } from '../lib/gateway-stage.ts';

const HOST = '203.0.113.1';
const OUTSIDE = '203.0.113.2';
const SILENT = '203.0.113.50';
const HOST6 = '2001:db8:5::1';
const OUTSIDE6 = '2001:db8:5::2';
const PREFIX6 = 'fd00:7::';
/** Longest a refusal may take, `ms` */
const AT_ONCE_MS = 1000;

let stage: GatewayStage;
let guest: NetnsGuest;
let outside: string;
let sw: Switch;

beforeEach(async () => {
  stage = new GatewayStage();
  guest = await stage.guest(2);
  const namespace = createNamespace();
  outside = namespace.path;
  stage.atEnd(() => namespace.close());
  plugOutside();
  await configure(stage.host.path, `ip neigh add ${SILENT} lladdr 02:00:00:00:00:99 dev wan nud permanent`);
  await configure(
    guest.namespace,
    `ip -6 addr add ${PREFIX6}2/64 dev eth0 nodad; ip -6 route add default via ${PREFIX6}1`,
  );
  const networks = {
    default: stage.network({ subnet6: `${PREFIX6}/64`, hostServices: ['5300', '8080:5301'] }),
  };
  sw = await stage.start({ networks });
  await sw.attach('a', stage.vm(2, { egress: ['deny 203.0.113.2 tcp/5999'] }));
});

afterEach(() => stage.end());

function plugOutside(): void {
  withRoutes(stage.host.path, (routes) => {
    routes.createVeth('wan', 'eth0', outside);
    const index = indexOf(routes, 'wan');
    routes.changeLink(index, { up: true });
    routes.addAddress(index, `${HOST}/24`);
  });
  withRoutes(outside, (routes) => {
    const index = indexOf(routes, 'eth0');
    routes.changeLink(index, { up: true });
    routes.addAddress(index, `${OUTSIDE}/24`);
  });
}

async function configure(namespace: string, script: string): Promise<void> {
  const { status, stderr } = await runIn(namespace, ['sh', '-ec', script]);
  if (status !== 0) throw new Error(`${script}: ${stderr}`);
}

const dropsOf = (reason: string): number => sw.stats().vms.a?.drops[reason as 'no-service'] ?? 0;

test('services of the host: -> reached at the gateway, by their own or another port, over both families', async () => {
  await stage.serve(stage.host.path, 'name', 5300, 'one');
  await stage.serve(stage.host.path, 'name', 5301, 'two');
  const heard = [];
  for (const gateway of [GATEWAY, `${PREFIX6}1`]) {
    for (const port of [5300, 8080]) heard.push((await stage.probe(guest.namespace, gateway, port)).result);
  }
  expect(heard).toEqual(['heard one', 'heard two', 'heard one', 'heard two']);
});

test('other ports of the gateway: -> refused at once and counted, whatever the host listens to', async () => {
  await stage.serve(stage.host.path, 'name', 5301, 'two');
  await stage.serve(stage.host.path, 'name', 5999, 'private');
  for (const gateway of [GATEWAY, `${PREFIX6}1`]) {
    for (const port of [5301, 5999, 22]) {
      const { result, ms } = await stage.probe(guest.namespace, gateway, port);
      expect([gateway, port, result, ms < AT_ONCE_MS]).toEqual([gateway, port, 'ECONNREFUSED', true]);
    }
  }
  expect(dropsOf('no-service')).toBe(6);
});

test('service nobody has on the host: -> refused at once', async () => {
  const { result, ms } = await stage.probe(guest.namespace, GATEWAY, 5300);
  expect([result, ms < AT_ONCE_MS]).toEqual(['ECONNREFUSED', true]);
});

test('denied destinations: -> refused at once, each counted, none ever asked', async () => {
  // The guest itself takes 127.0.0.9 for an address like any other.
  await configure(
    guest.namespace,
    `ip link set lo down; sysctl -qw net.ipv4.conf.all.route_localnet=1
    ip route flush table local 127.0.0.0/8; ip route add 127.0.0.9 via ${GATEWAY} src 10.1.0.2`,
  );
  await stage.serve(stage.host.path, 'name', 5999, 'private');
  const denied = [
    '10.9.9.9',
    '169.254.169.254',
    '192.168.1.1',
    '172.16.0.1',
    '100.64.0.1',
    HOST,
    'fd00:ec2::254',
  ];
  denied.push('127.0.0.9', 'fd12::1', '64:ff9b::10.9.9.9', OUTSIDE);
  for (const [index, address] of denied.entries()) {
    const { result, ms } = await stage.probe(guest.namespace, address, 5999);
    expect([address, result, ms < AT_ONCE_MS]).toEqual([address, 'ECONNREFUSED', true]);
    expect([address, dropsOf('egress-denied')]).toEqual([address, index + 1]);
  }
});

test('address the host gets later: -> denied from some seconds later on, over both families', async () => {
  await configure(outside, `ip -6 addr add ${OUTSIDE6}/64 dev eth0 nodad`);
  await configure(
    stage.host.path,
    `ip -6 addr add ${HOST6}/64 dev wan nodad; ip addr add 203.0.113.7/24 dev wan`,
  );
  await stage.serve(stage.host.path, 'name', 5999, 'private');
  for (const address of ['203.0.113.7', HOST6]) {
    const refused = async () =>
      expect((await stage.probe(guest.namespace, address, 5999)).result).toBe('ECONNREFUSED');
    await vi.waitFor(refused, { timeout: 10_000, interval: 300 });
  }
  expect(dropsOf('egress-denied')).toBe(2);
});

test('address outside: listening, refusing -> as it is, over both families; no packet is routed', async () => {
  await configure(outside, `ip -6 addr add ${OUTSIDE6}/64 dev eth0 nodad`);
  await configure(stage.host.path, `ip -6 addr add ${HOST6}/64 dev wan nodad`);
  await stage.serve(outside, 'name', 5300, 'world');
  for (const address of [OUTSIDE, OUTSIDE6]) {
    expect((await stage.probe(guest.namespace, address, 5300)).result).toBe('heard world');
    const { result, ms } = await stage.probe(guest.namespace, address, 5301);
    expect([result, ms < AT_ONCE_MS]).toEqual(['ECONNREFUSED', true]);
  }
  expect(await stage.run('sysctl', '-n', 'net.ipv4.ip_forward')).toBe('0\n');
});

test('address the host has no way to: -> unreachable at once', async () => {
  for (const address of ['198.51.100.1', '2001:db8:9::1']) {
    const { result, ms } = await stage.probe(guest.namespace, address, 80);
    expect([address, result, ms < AT_ONCE_MS]).toEqual([address, 'EHOSTUNREACH', true]);
  }
});

test('address nobody answers for on the host’s wire: -> unreachable when the host finds out', async () => {
  const { result } = await stage.probe(guest.namespace, '203.0.113.99', 80, 8000);
  expect(result).toBe('EHOSTUNREACH');
});

test('address that is silent: -> silence', async () => {
  const { result } = await stage.probe(guest.namespace, SILENT, 80, 2500);
  expect(result).toBe('silence');
});

test('guest gone from a silent address: -> others are served meanwhile; detached -> nothing is left open', async () => {
  await stage.serve(stage.host.path, 'name', 5300, 'one');
  const before = openDescriptors();
  await stage.probe(guest.namespace, SILENT, 80, 300);
  expect((await stage.probe(guest.namespace, GATEWAY, 5300)).result).toBe('heard one');
  expect(openDescriptors()).not.toEqual(before);
  await sw.detach('a');
  await sw.attach('a', stage.vm(2));
  expect(openDescriptors()).toEqual(before);
});
