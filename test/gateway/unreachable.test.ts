import { describe, expect, test } from 'vitest';
import type { DropReason } from '../../src/telemetry/drops.ts';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import {
  A,
  arpRequest,
  B,
  C,
  GATEWAY,
  HOST,
  icmp,
  icmpEcho,
  icmpError,
  ipv4,
  ipv4Tcp,
  ipv4Udp,
  MORE_FRAGMENTS,
  PACKET,
  padded,
  type Station,
  TCP,
  UDP,
  withVnet,
} from '../lib/frames.ts';
import { dropped, type Outcome, passed, TestSwitch } from '../lib/test-switch.ts';

const PORT = 3;
const PROHIBITED = 13;
const HOST_AWAY = 1;
const BURST = 50;

/** Behind the gateway, as a guest sees it. */
function beyond(ip: string): Station {
  return { mac: GATEWAY.mac, ip };
}

const OUTSIDE = beyond('203.0.113.7');

function guest() {
  const net = new TestSwitch();
  const a = net.vm(A);
  return { net, a, send: (frame: Uint8Array): Outcome => net.from(a).send(frame) };
}

/** The gateway's error about `frame` to `to`: the IP header and eight bytes quoted (RFC 792). */
function errorAbout(frame: Uint8Array, to: Station, code: number, quoteBytes = 28): Uint8Array {
  const error = icmpError({ from: GATEWAY, to, identification: 0, fragment: 0x4000 }, frame, {
    code,
    quoteBytes,
  });
  expectMadeByGateway(error);
  return error;
}

/** Outcome of a packet that was dropped and answered with an error. */
function refused(port: number, reason: DropReason, error: Uint8Array): Outcome {
  return { left: [{ port, frame: error }], drops: { [port]: { [reason]: 1 } } };
}

describe('to the gateway itself', () => {
  test.each([
    ['UDP', ipv4Udp({ from: A, to: GATEWAY })],
    ['another protocol', ipv4({ from: A, to: GATEWAY }, 47, new Uint8Array(40))],
    ['a datagram of the largest size', ipv4Udp({ from: A, to: GATEWAY, data: new Uint8Array(65_507) })],
    ['a padded datagram', padded(ipv4Udp({ from: A, to: GATEWAY }))],
    ['the first fragment', ipv4({ from: A, to: GATEWAY, fragment: MORE_FRAGMENTS }, UDP, new Uint8Array(16))],
  ])('%s -> port unreachable, dropped as no-service', (_name, frame) => {
    const { send, a } = guest();
    expect(send(frame)).toEqual(refused(a, 'no-service', errorAbout(frame, A, PORT)));
  });

  test('the bytes of the error', () => {
    const { send } = guest();
    const frame = ipv4Udp({ from: A, to: GATEWAY, fromPort: 40_000, toPort: 54 });
    const [error] = send(frame).left;
    const hex = Buffer.from(error!.frame).toString('hex');
    const quoted = Buffer.from(frame.subarray(PACKET, PACKET + 28)).toString('hex');
    expect(hex).toMatch(
      new RegExp(
        `^${'00'.repeat(10)}0600c0a8000e027461707377080045000038000040004001....c0a80001c0a8000e0303....00000000${quoted}$`,
      ),
    );
  });

  test('a packet with options -> the header quoted with them', () => {
    const { send, a } = guest();
    const frame = ipv4Udp({ from: A, to: GATEWAY, options: [0x94, 4, 0, 0] });
    expect(send(frame)).toEqual(refused(a, 'no-service', errorAbout(frame, A, PORT, 32)));
  });

  test('a packet shorter than what is quoted -> quoted as far as it goes, padding not', () => {
    const { send, a } = guest();
    const frame = padded(ipv4({ from: A, to: GATEWAY }, 47, [1, 2, 3]));
    expect(send(frame)).toEqual(refused(a, 'no-service', errorAbout(frame, A, PORT, 23)));
  });

  test('a packet whose checksum is left out, to be segmented -> an error that claims neither', () => {
    const { net, a } = guest();
    const big = ipv4Udp({ from: A, to: GATEWAY, data: new Uint8Array(5000) });
    const offload = { flags: 1, gsoType: 5, gsoSize: 1448, headerLength: 42 };
    const frame = withVnet(big, { ...offload, checksumStart: 34, checksumOffset: 6 });
    expect(net.from(a).send(frame)).toEqual(refused(a, 'no-service', errorAbout(big, A, PORT)));
  });

  test('from the host -> port unreachable to the host', () => {
    const { net } = guest();
    const frame = ipv4Udp({ from: HOST, to: GATEWAY });
    const outcome = net.from(net.host).send(frame);
    expect(outcome).toEqual(refused(net.host, 'no-service', errorAbout(frame, HOST, PORT)));
  });
});

describe('beyond the gateway', () => {
  test.each([
    ['outside', OUTSIDE, 'egress-denied'],
    ['another VM, asked by way of the gateway', beyond(B.ip), 'isolated'],
    ['the host, asked by way of the gateway', beyond(HOST.ip), 'isolated'],
    ['loopback', beyond('127.0.0.1'), 'egress-denied'],
  ] as const)('%s -> administratively prohibited', (_name, to, reason) => {
    const { net, send, a } = guest();
    net.vm(B);
    for (const frame of [ipv4Udp({ from: A, to }), icmpEcho({ from: A, to })]) {
      expect(send(frame)).toEqual(refused(a, reason, errorAbout(frame, A, PROHIBITED)));
    }
  });
});

describe('the host to a VM without carrier', () => {
  test('by its configured MAC -> host unreachable, dropped as port-down', () => {
    const net = new TestSwitch();
    net.vm(A, { carrier: false });
    const frame = ipv4Tcp({ from: HOST, to: A });
    const outcome = net.from(net.host).send(frame);
    expect(outcome).toEqual(refused(net.host, 'port-down', errorAbout(frame, HOST, HOST_AWAY)));
  });

  test('by the gateway’s MAC, which ARP told -> host unreachable', () => {
    const net = new TestSwitch();
    net.vm({ ip: A.ip }, { carrier: false });
    const frame = icmpEcho({ from: HOST, to: beyond(A.ip) });
    const outcome = net.from(net.host).send(frame);
    expect(outcome).toEqual(refused(net.host, 'port-down', errorAbout(frame, HOST, HOST_AWAY)));
  });

  test('carrier back, the host still has the gateway’s MAC -> passes with the VM’s, and its answer too', () => {
    const net = new TestSwitch();
    const a = net.vm(A);
    const { left, drops } = net.from(net.host).send(icmpEcho({ from: HOST, to: beyond(A.ip) }));
    expect(drops).toEqual({});
    expect(left).toEqual([{ port: a, frame: icmpEcho({ from: HOST, to: A }) }]);
    const reply = icmpEcho({ from: A, to: HOST, reply: true });
    expect(net.from(a).send(reply)).toEqual(passed(reply, net.host));
  });

  test('a VM of another network with that address -> not it', () => {
    const net = new TestSwitch();
    net.addNetwork(5, 'isolated');
    net.vm(A, { network: 5 });
    const frame = ipv4Udp({ from: HOST, to: A });
    expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'unknown-unicast'));
  });
});

describe('no error', () => {
  const error = (about: Uint8Array, to: Station, type: number) => icmpError({ from: A, to }, about, { type });
  const own = ipv4Udp({ from: GATEWAY, to: A });

  test.each([
    ['destination unreachable', error(own, OUTSIDE, 3), 'no-service'],
    ['time exceeded', error(own, OUTSIDE, 11), 'no-service'],
    ['redirect', error(own, OUTSIDE, 5), 'no-service'],
    ['an ICMP type nobody knows', icmp({ from: A, to: OUTSIDE }, 200, 0, new Uint8Array(28)), 'no-service'],
    ['an echo reply', icmpEcho({ from: A, to: OUTSIDE, reply: true }), 'no-service'],
    ['ICMP too short to tell', ipv4({ from: A, to: OUTSIDE }, 1, [8, 0, 0xf7, 0xff]), 'malformed'],
    ['a later fragment', ipv4({ from: A, to: OUTSIDE, fragment: 5 }, TCP, new Uint8Array(64)), 'prohibited'],
    [
      'the last fragment',
      ipv4({ from: A, to: OUTSIDE, fragment: MORE_FRAGMENTS | 1 }, UDP, [1, 2, 3]),
      'prohibited',
    ],
    [
      'a packet to the limited broadcast',
      ipv4Udp({ from: A, to: beyond('255.255.255.255') }),
      'egress-denied',
    ],
    ['a packet to the subnet’s broadcast', ipv4Udp({ from: A, to: beyond('192.168.255.255') }), 'isolated'],
    ['a packet to the subnet itself', ipv4Udp({ from: A, to: beyond('192.168.0.0') }), 'isolated'],
    ['a packet to a group', ipv4Udp({ from: A, to: beyond('224.0.0.251') }), 'egress-denied'],
    ['a packet to 240.0.0.1', ipv4Udp({ from: A, to: beyond('240.0.0.1') }), 'egress-denied'],
    ['a packet from 0.0.0.0', ipv4Udp({ from: { mac: A.mac, ip: '0.0.0.0' }, to: OUTSIDE }), 'egress-denied'],
  ] as const)('about %s -> just dropped', (_name, frame, reason) => {
    const { net, a } = guest();
    expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, reason));
  });

  test('about a packet of the host’s from a group -> just dropped', () => {
    const net = new TestSwitch();
    net.vm(A, { carrier: false });
    const frame = ipv4Udp({ from: { mac: HOST.mac, ip: '224.0.0.1' }, to: A });
    expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'port-down'));
  });

  test('about 223.255.255.255, the last that is no group -> an error', () => {
    const { send, a } = guest();
    const frame = ipv4Udp({ from: A, to: beyond('223.255.255.255') });
    expect(send(frame)).toEqual(refused(a, 'egress-denied', errorAbout(frame, A, PROHIBITED)));
  });
});

describe('rate of errors', () => {
  const stray = ipv4Udp({ from: A, to: OUTSIDE });

  test(`${BURST} at once, then none -> every packet counted as dropped`, () => {
    const { net, a } = guest();
    const { left, drops } = net.from(a).send(...Array(BURST + 14).fill(stray));
    expect(left).toHaveLength(BURST);
    expect(drops).toEqual({ [a]: { 'egress-denied': BURST + 14 } });
  });

  test('used up, 100 ms later -> ten more', () => {
    const { net, a } = guest();
    net.from(a).send(...Array(BURST).fill(stray));
    net.clock.pass(0.1);
    expect(net.from(a).send(...Array(BURST).fill(stray)).left).toHaveLength(10);
  });

  test('used up by one VM -> another has its own', () => {
    const { net, a } = guest();
    const b = net.vm(B);
    net.from(a).send(...Array(BURST).fill(stray));
    expect(net.from(b).send(ipv4Udp({ from: B, to: OUTSIDE })).left).toHaveLength(1);
  });

  test('used up -> echo and ARP are answered all the same', () => {
    const { net, a, send } = guest();
    net.from(a).send(...Array(BURST + 1).fill(stray));
    expect(send(icmpEcho({ from: A, to: GATEWAY })).left).toHaveLength(1);
    expect(send(arpRequest({ from: A, about: GATEWAY })).left).toHaveLength(1);
  });

  test('packets that deserve no error -> take nothing of it', () => {
    const { net, a, send } = guest();
    const fragment = ipv4({ from: A, to: OUTSIDE, fragment: 5 }, UDP, [1]);
    net.from(a).send(...Array(2 * BURST).fill(fragment));
    expect(send(stray).left).toHaveLength(1);
  });
});

test('the host’s packet by the gateway’s MAC for nobody -> dropped as unknown-unicast', () => {
  const net = new TestSwitch();
  const frame = ipv4Udp({ from: HOST, to: beyond(C.ip) });
  expect(net.from(net.host).send(frame)).toEqual(dropped(net.host, 'unknown-unicast'));
});
