import { describe, expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { FLOOD_BURST, FLOODS_PER_SECOND } from '../../src/switch/forwarder.ts';
import { GATEWAY_PORT } from '../../src/switch/tables.ts';
import { drop, FLOOD } from '../../src/switch/verdict.ts';
import { DROP } from '../../src/telemetry/drops.ts';
import { dhcpFrame } from '../lib/dhcp-messages.ts';
import {
  A,
  arpRequest,
  B,
  C,
  EVERYBODY,
  ethernet,
  GATEWAY,
  HOST,
  icmpEcho,
  ipv4,
  ipv4Tcp,
  ipv4Udp,
  ipv6,
  NOBODY,
  type Station,
} from '../lib/frames.ts';
import {
  ALL_NODES,
  advertisement,
  echo6,
  GATEWAY6,
  listenerReport,
  routerSolicitation,
  solicitation,
} from '../lib/frames6.ts';
import { type ServiceOptions, ServiceSwitch } from '../lib/service-switch.ts';
import { ABSORBED, dropped, passed, TestSwitch } from '../lib/test-switch.ts';

const MDNS: Station = { mac: '01:00:5e:00:00:fb', ip: '224.0.0.251' };
const BRIDGES: Station = { mac: '01:80:c2:00:00:00', ip: '0.0.0.0' };
const LAST_RESERVED: Station = { mac: '01:80:c2:00:00:0f', ip: '0.0.0.0' };
const BEHIND_RESERVED: Station = { mac: '01:80:c2:00:00:10', ip: '0.0.0.0' };
const LLDP = 0x88cc;
const PTP = 0x88f7;

function threeVms(mode: 'isolated' | 'shared') {
  const net = new TestSwitch({ mode });
  return { net, a: net.vm(A), b: net.vm(B), c: net.vm(C) };
}

describe('isolated', () => {
  test('unicast to another VM -> dropped as isolated', () => {
    const { net, a } = threeVms('isolated');
    expect(net.from(a).send(ipv4Udp({ from: A, to: B }))).toEqual(dropped(a, 'isolated'));
  });

  test('unicast to another VM without carrier -> dropped as isolated, not as port-down', () => {
    const net = new TestSwitch();
    const a = net.vm(A);
    net.vm(B, { carrier: false });
    expect(net.from(a).send(ipv4Udp({ from: A, to: B }))).toEqual(dropped(a, 'isolated'));
  });

  test.each([
    ['broadcast', EVERYBODY],
    ['IPv4 multicast', MDNS],
  ])('%s -> dropped as isolated', (_name, to) => {
    const { net, a } = threeVms('isolated');
    expect(net.from(a).send(ipv4Udp({ from: A, to }))).toEqual(dropped(a, 'isolated'));
  });

  test('unicast to a MAC that nobody has -> dropped as unknown-unicast', () => {
    const { net, a } = threeVms('isolated');
    expect(net.from(a).send(ipv4Udp({ from: A, to: NOBODY }))).toEqual(dropped(a, 'unknown-unicast'));
  });
});

describe('shared', () => {
  test('unicast to another VM -> that VM alone, untouched', () => {
    const { net, a, b } = threeVms('shared');
    const frame = ipv4Udp({ from: A, to: B });
    expect(net.from(a).send(frame)).toEqual(passed(frame, b));
  });

  test('unicast of a type without rules -> that VM', () => {
    const { net, a, b } = threeVms('shared');
    const frame = ethernet({ from: A, to: B }, PTP, [1, 2, 3]);
    expect(net.from(a).send(frame)).toEqual(passed(frame, b));
  });

  test('unicast to another VM without carrier -> dropped as port-down', () => {
    const net = new TestSwitch({ mode: 'shared' });
    const a = net.vm(A);
    net.vm(B, { carrier: false });
    expect(net.from(a).send(ipv4Udp({ from: A, to: B }))).toEqual(dropped(a, 'port-down'));
  });

  test.each([
    ['broadcast', EVERYBODY],
    ['IPv4 multicast', MDNS],
    ['unicast to a MAC that nobody has', NOBODY],
  ])('%s -> every other VM, the host port not', (_name, to) => {
    const { net, a, b, c } = threeVms('shared');
    const frame = ipv4Udp({ from: A, to });
    expect(net.from(a).send(frame)).toEqual(passed(frame, b, c));
  });

  test('IPv6 multicast -> every other VM', () => {
    const { net, a, b, c } = threeVms('shared');
    const frame = ipv6({ from: A, to: { mac: '33:33:00:00:00:01', ip: '' } }, 'fe80::1');
    expect(net.from(a).send(frame)).toEqual(passed(frame, b, c));
  });

  test('broadcast -> not to a VM without carrier, nor to one of another network', () => {
    const net = new TestSwitch({ mode: 'shared' });
    const a = net.vm(A);
    net.vm(B, { carrier: false });
    net.addNetwork(5, 'shared');
    net.vm(C, { network: 5 });
    expect(net.from(a).send(ipv4Udp({ from: A, to: EVERYBODY }))).toEqual(ABSORBED);
    expect(net.floods).toBe(1);
  });

  test('unicast to a VM of another network -> unknown here', () => {
    const net = new TestSwitch({ mode: 'shared' });
    const a = net.vm(A);
    net.addNetwork(5, 'shared');
    net.vm(B, { network: 5 });
    expect(net.from(a).send(ipv4Udp({ from: A, to: B }))).toEqual(ABSORBED);
    expect(net.floods).toBe(1);
  });

  test('more broadcast than the burst -> the rest dropped as flood-limit, another VM undisturbed', () => {
    const { net, a, b } = threeVms('shared');
    const storm = Array(FLOOD_BURST + 3).fill(ipv4Udp({ from: A, to: EVERYBODY }));
    const { drops } = net.from(a).send(...storm);
    expect(drops).toEqual({ [a]: { 'flood-limit': 3 } });
    expect(net.floods).toBe(FLOOD_BURST);
    const frame = ipv4Udp({ from: B, to: EVERYBODY });
    expect(net.from(b).send(frame).drops).toEqual({});
  });

  test('unknown unicast and ARP for nobody -> of the same allowance as broadcast', () => {
    const { net, a } = threeVms('shared');
    net.from(a).send(...Array(FLOOD_BURST).fill(ipv4Udp({ from: A, to: EVERYBODY })));
    const stray = ipv4Udp({ from: A, to: NOBODY });
    expect(net.from(a).send(stray)).toEqual(dropped(a, 'flood-limit'));
    const question = arpRequest({ from: A, about: NOBODY });
    expect(net.from(a).send(question)).toEqual(dropped(a, 'flood-limit'));
  });

  test(`a flood limit reached, 100 ms later -> ${FLOODS_PER_SECOND / 10} more`, () => {
    const { net, a } = threeVms('shared');
    const storm = Array(FLOOD_BURST).fill(ipv4Udp({ from: A, to: EVERYBODY }));
    net.from(a).send(...storm);
    net.clock.pass(0.1);
    net.from(a).send(...storm);
    expect(net.floods).toBe(FLOOD_BURST + FLOODS_PER_SECOND / 10);
  });
});

describe('questions to everybody that the gateway answers', () => {
  const LOCAL = 'fe80::400:c0ff:fea8:e';
  const DISCOVER = dhcpFrame({ from: A, type: 1 });

  /** The verdict on a frame of A's. */
  function verdictOn(frame: Uint8Array, options: ServiceOptions): number {
    const net = new ServiceSwitch(options);
    const batch = new FrameBatch(1);
    batch.place(0, frame.subarray(10));
    const verdict = net.forwarder.decide(batch, 0, net.vm(A));
    batch.release();
    return verdict;
  }

  test.each<[string, Uint8Array]>([
    ['DHCP from a VM without address', DISCOVER],
    [
      'DHCP from one with its address',
      dhcpFrame({ from: A, type: 3, client: A.ip, ends: { from: A, to: EVERYBODY } }),
    ],
    ['a neighbour solicitation of the gateway', solicitation({ from: A, source: LOCAL }, GATEWAY6)],
    ['a neighbour solicitation of anybody', solicitation({ from: A, source: LOCAL }, 'fd00::b')],
    ['a router solicitation', routerSolicitation({ from: A, source: '::', options: [] })],
    ['a report of multicast listeners', listenerReport(A, LOCAL)],
  ])('%s -> the gateway, in both modes', (_name, frame) => {
    for (const mode of ['isolated', 'shared'] as const) expect(verdictOn(frame, { mode })).toBe(GATEWAY_PORT);
  });

  test.each<[string, Uint8Array]>([
    ['to the port of DHCP clients', ipv4Udp({ from: A, to: EVERYBODY, fromPort: 67, toPort: 68 })],
    ['from another port', ipv4Udp({ from: A, to: EVERYBODY, fromPort: 69, toPort: 67 })],
    [
      'in a multicast frame',
      dhcpFrame({ from: A, type: 1, ends: { from: A, to: { ...MDNS, ip: EVERYBODY.ip } } }),
    ],
    ['to one address', dhcpFrame({ from: A, type: 1, ends: { from: A, to: { ...EVERYBODY, ip: B.ip } } })],
    ['by TCP', ipv4Tcp({ from: A, to: EVERYBODY, fromPort: 68, toPort: 67 })],
    ['by UDP-Lite', ipv4({ from: A, to: EVERYBODY }, 136, [0, 68, 0, 67, 0, 8, 0, 0])],
    ['in a fragment', ipv4({ from: A, to: EVERYBODY, fragment: 4 }, 17, [0, 68, 0, 67, 0, 8, 0, 0])],
    ['a UDP header cut short', ipv4({ from: A, to: EVERYBODY }, 17, [0, 68, 0, 67])],
    ['a neighbour advertisement', advertisement({ from: A, source: LOCAL }, LOCAL)],
    [
      'an echo request to all nodes',
      echo6({ from: A, to: ALL_NODES, source: LOCAL, destination: 'ff02::1' }),
    ],
    ['IPv6 of no protocol', ipv6({ from: A, to: ALL_NODES }, LOCAL)],
  ])('%s -> isolated: dropped; shared: flooded', (_name, frame) => {
    expect(verdictOn(frame, { mode: 'isolated' })).toBe(drop(DROP.isolated));
    expect(verdictOn(frame, { mode: 'shared' })).toBe(FLOOD);
  });

  test('a flood of DHCP on a shared network -> does not use up what the VM may flood', () => {
    const net = new ServiceSwitch({ mode: 'shared' });
    const [a, b] = [net.vm(A), net.vm(B)];
    net.from(a).send(...Array(FLOOD_BURST + 1).fill(DISCOVER));
    const frame = ipv4Udp({ from: A, to: EVERYBODY });
    expect(net.from(a).send(frame)).toEqual(passed(frame, b));
  });
});

describe.each(['isolated', 'shared'] as const)('%s', (mode) => {
  test.each([
    ['01:80:c2:00:00:00', BRIDGES],
    ['01:80:c2:00:00:0f', LAST_RESERVED],
  ])('to %s, from a VM and from the host -> dropped as reserved-multicast', (_name, to) => {
    const { net, a } = threeVms(mode);
    const fromVm = ethernet({ from: A, to }, LLDP, [0, 0]);
    expect(net.from(a).send(fromVm)).toEqual(dropped(a, 'reserved-multicast'));
    const fromHost = ethernet({ from: HOST, to }, LLDP, [0, 0]);
    expect(net.from(net.host).send(fromHost)).toEqual(dropped(net.host, 'reserved-multicast'));
  });

  test('the host to 01:80:c2:00:00:10, just behind the reserved ones -> every VM', () => {
    const { net, a, b, c } = threeVms(mode);
    const frame = ethernet({ from: HOST, to: BEHIND_RESERVED }, LLDP, [0, 0]);
    expect(net.from(net.host).send(frame)).toEqual(passed(frame, a, b, c));
  });

  test('unicast to its own MAC -> dropped as hairpin, from the host too', () => {
    const { net, a } = threeVms(mode);
    expect(net.from(a).send(ipv4Udp({ from: A, to: A }))).toEqual(dropped(a, 'hairpin'));
    const toItself = ethernet({ from: HOST, to: HOST }, PTP, []);
    expect(net.from(net.host).send(toItself)).toEqual(dropped(net.host, 'hairpin'));
  });

  test('to the gateway, neither IP nor ARP -> dropped as no-service', () => {
    const { net, a } = threeVms(mode);
    const frame = ethernet({ from: A, to: GATEWAY }, PTP, [0, 0]);
    expect(net.from(a).send(frame)).toEqual(dropped(a, 'no-service'));
    const fromHost = ethernet({ from: HOST, to: GATEWAY }, PTP, [0, 0]);
    expect(net.from(net.host).send(fromHost)).toEqual(dropped(net.host, 'no-service'));
  });

  test('IPv6 to a gateway that has none -> dropped as prohibited', () => {
    const { net, a } = threeVms(mode);
    const frame = ipv6({ from: A, to: GATEWAY }, 'fe80::1', 'fe80::2');
    expect(net.from(a).send(frame)).toEqual(dropped(a, 'prohibited'));
    const fromHost = ipv6({ from: HOST, to: GATEWAY }, 'fe80::1', 'fe80::2');
    expect(net.from(net.host).send(fromHost)).toEqual(dropped(net.host, 'prohibited'));
  });

  test('the host to a VM -> that VM, untouched', () => {
    const { net, b } = threeVms(mode);
    for (const frame of [ipv4Udp({ from: HOST, to: B }), icmpEcho({ from: HOST, to: B })]) {
      expect(net.from(net.host).send(frame)).toEqual(passed(frame, b));
    }
  });

  test('the host to a VM, other than IPv4 -> that VM', () => {
    const { net, b } = threeVms(mode);
    const frame = ipv6({ from: HOST, to: B }, 'fe80::1', 'fe80::2');
    expect(net.from(net.host).send(frame)).toEqual(passed(frame, b));
  });

  test('the host to a VM without carrier, other than IPv4 -> dropped as port-down', () => {
    const net = new TestSwitch({ mode });
    net.vm(A, { carrier: false });
    const frame = ipv6({ from: HOST, to: A }, 'fe80::1', 'fe80::2');
    expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'port-down'));
  });

  test('the host to a MAC that nobody has -> dropped as unknown-unicast', () => {
    const { net } = threeVms(mode);
    const strangers = [ipv6({ from: HOST, to: NOBODY }, 'fe80::1'), ipv4Udp({ from: HOST, to: NOBODY })];
    for (const frame of strangers) {
      expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'unknown-unicast'));
    }
  });

  test('broadcast of the host -> every VM, without any limit', () => {
    const { net, a, b, c } = threeVms(mode);
    const frame = ipv4Udp({ from: HOST, to: EVERYBODY });
    expect(net.from(net.host).send(frame)).toEqual(passed(frame, a, b, c));
    net.from(net.host).send(...Array(2 * FLOOD_BURST).fill(frame));
    expect(net.floods).toBe(1 + 2 * FLOOD_BURST);
  });

  test('IPv4 of the host whose header contradicts the frame -> dropped as malformed', () => {
    const { net } = threeVms(mode);
    const frame = ipv4Udp({ from: HOST, to: A }).slice(0, -1);
    expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'malformed'));
  });

  test('a VM to the host port, no flow of the host’s -> dropped as host-flow-denied', () => {
    const { net, a } = threeVms(mode);
    expect(net.from(a).send(ipv4Udp({ from: A, to: HOST }))).toEqual(dropped(a, 'host-flow-denied'));
  });

  test('from a port that is no port any more -> dropped as port-down', () => {
    const { net, a } = threeVms(mode);
    net.tables.removePort(a);
    expect(net.from(a).send(ipv4Udp({ from: A, to: GATEWAY }))).toEqual(dropped(a, 'port-down'));
  });
});

test('a VM whose receiver is stuck -> 1024 frames wait, the rest dropped as queue-full at that VM', () => {
  const net = new TestSwitch({ mode: 'shared' });
  const a = net.vm(A);
  const b = net.vm(B);
  const { left, drops } = net.from(a).send(...Array(1030).fill(ipv4Udp({ from: A, to: B })));
  expect(left).toHaveLength(1024);
  expect(drops).toEqual({ [b]: { 'queue-full': 6 } });
});

test('frames of one batch for two VMs -> each gets its own, in order', () => {
  const net = new TestSwitch({ mode: 'shared' });
  const [a, b, c] = [net.vm(A), net.vm(B), net.vm(C)];
  const frames = Array.from({ length: 10 }, (_, i) =>
    ipv4Udp({ from: A, to: i % 2 ? B : C, identification: i }),
  );
  const { left } = net.from(a).send(...frames);
  const [odd, even] = [frames.filter((_, i) => i % 2), frames.filter((_, i) => i % 2 === 0)];
  expect(left).toEqual([
    ...passed(odd[0]!, b).left,
    ...odd.slice(1).map((frame) => ({ port: b, frame })),
    ...even.map((frame) => ({ port: c, frame })),
  ]);
});

test('traffic -> counted in frames and bytes without the virtio-net header, at both ports', () => {
  const net = new TestSwitch({ mode: 'shared' });
  const [a, b] = [net.vm(A), net.vm(B)];
  const frame = ipv4Udp({ from: A, to: B });
  net.from(a).send(frame, frame);
  const bytes = 2 * (frame.length - 10);
  expect(net.stats(a)).toMatchObject({ rxFrames: 2, rxBytes: bytes, txFrames: 0 });
  expect(net.stats(b)).toMatchObject({ rxFrames: 0, txFrames: 2, txBytes: bytes });
});
