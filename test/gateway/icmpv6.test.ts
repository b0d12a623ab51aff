import { describe, expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { drop } from '../../src/switch/verdict.ts';
import { DROP, type DropReason } from '../../src/telemetry/drops.ts';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import { A, B, GATEWAY, PACKET, padded, patched, type Station, withVnet } from '../lib/frames.ts';
import {
  ALL_NODES,
  ALL_ROUTERS,
  echo6,
  GATEWAY_LINK_LOCAL,
  GATEWAY6,
  icmpv6,
  ipv6Packet,
  listenerReport,
  udp6,
} from '../lib/frames6.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { ABSORBED, dropped, type Outcome, passed } from '../lib/test-switch.ts';

const A_LOCAL = 'fe80::400:c0ff:fea8:e';
const A_GLOBAL = 'fd00:74:1:2:400:c0ff:fea8:e';
const PORT = 4;
const PROHIBITED = 1;
const BURST = 50;
const UDP = 17;
const ICMPV6 = 58;
const FRAGMENT = 44;

const PING = { from: A, to: GATEWAY, source: A_GLOBAL, destination: GATEWAY6 };
const PONG = { from: GATEWAY, to: A, source: GATEWAY6, destination: A_GLOBAL };
const OUTSIDE = { ...PING, destination: '2001:db8::7' };
const HOP_BY_HOP = [ICMPV6, 0, 1, 4, 0, 0, 0, 0];

function guest() {
  const net = new ServiceSwitch();
  const a = net.vm(A);
  return { net, a, send: (frame: Uint8Array): Outcome => net.from(a).send(frame) };
}

describe('echo request to the gateway', () => {
  test.each([0, 1, 56, 1452, 65_487])('%i bytes of data -> its reply', (bytes) => {
    const { send, a } = guest();
    const data = Uint8Array.from({ length: bytes }, (_, i) => i * 7);
    const reply = echo6(PONG, { reply: true, data });
    expect(send(echo6(PING, { data }))).toEqual(passed(reply, a));
    expectMadeByGateway(reply);
  });

  test('to its link-local address -> answered from that', () => {
    const { send, a } = guest();
    const request = echo6({ ...PING, source: A_LOCAL, destination: GATEWAY_LINK_LOCAL });
    const reply = echo6({ ...PONG, source: GATEWAY_LINK_LOCAL, destination: A_LOCAL }, { reply: true });
    expect(send(request)).toEqual(passed(reply, a));
  });

  test('behind a hop-by-hop options header -> a reply without it', () => {
    const { send, a } = guest();
    const message = echo6(PING).slice(PACKET + 40);
    const request = ipv6Packet({ ...PING, hopByHop: HOP_BY_HOP }, ICMPV6, message);
    expect(send(request)).toEqual(passed(echo6(PONG, { reply: true }), a));
  });

  test('with bytes behind the packet -> a reply without them', () => {
    const { send, a } = guest();
    expect(send(padded(echo6(PING), 100))).toEqual(passed(echo6(PONG, { reply: true }), a));
  });

  test('checksum left to the receiver (NEEDS_CSUM) -> a reply with a whole one, virtio-net header clear', () => {
    const { send, a } = guest();
    const partial = patched(echo6(PING), 54 + 2, 0xab, 0xcd);
    const request = withVnet(partial, { flags: 1, checksumStart: 54, checksumOffset: 2 });
    expect(send(request)).toEqual(passed(echo6(PONG, { reply: true }), a));
  });

  test('checksum wrong -> a reply whose checksum is wrong, too', () => {
    const { net, a } = guest();
    const request = patched(echo6(PING), 54 + 8, 0);
    const reply = patched(echo6(PONG, { reply: true }), 54 + 8, 0);
    expect(net.from(a).sendUnsound(request)).toEqual(passed(reply, a));
  });

  test('from a VM of another network with the same addresses -> no reply: no IPv6 gateway there', () => {
    const { net } = guest();
    net.addNetwork(5, 'shared');
    const other = net.vm(A, { network: 5 });
    expect(net.from(other).send(echo6(PING))).toEqual(dropped(other, 'egress-denied'));
  });
});

describe('not an echo request: no reply', () => {
  test.each([
    ['an echo reply', echo6(PING, { reply: true })],
    ['a request from ::', echo6({ ...PING, source: '::' })],
    ['an error', icmpv6(PING, 1, 4, new Array(52).fill(0))],
    [
      'a query for listeners',
      icmpv6({ ...PING, source: A_LOCAL, hopLimit: 1 }, 130, 0, new Array(20).fill(0)),
    ],
    ['a request to all routers, sent to the gateway', echo6({ ...PING, destination: 'ff02::2' })],
  ])('%s -> dropped as no-service', (_name, frame) => {
    const { send, a } = guest();
    expect(send(frame)).toEqual(dropped(a, 'no-service'));
  });

  test.each([
    ['ICMPv6 of 7 bytes', ipv6Packet(PING, ICMPV6, [128, 0, 0, 0, 0, 7, 0])],
    [
      'more extension headers than anybody needs',
      ipv6Packet(PING, 60, new Array(9).fill([60, 0, 1, 4, 0, 0, 0, 0]).flat()),
    ],
    ['an extension header past the end', ipv6Packet(PING, 60, [58, 9, 1, 4, 0, 0, 0, 0])],
  ])('%s -> dropped as malformed', (_name, frame) => {
    const { net, a } = guest();
    expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'malformed'));
  });
});

describe.each(['isolated', 'shared'] as const)('%s', (mode) => {
  test.each([A_LOCAL, '::'])('a report of multicast listeners from %s -> the gateway keeps it', (source) => {
    const net = new ServiceSwitch({ mode });
    const [a] = [net.vm(A), net.vm(B)];
    expect(net.from(a).send(listenerReport(A, source))).toEqual(ABSORBED);
    expect(net.floods).toBe(0);
    expect(net.stats(a).drops).toEqual({});
  });

  test('an echo request to all nodes -> for the other VMs, if any', () => {
    const net = new ServiceSwitch({ mode });
    const [a, b] = [net.vm(A), net.vm(B)];
    const frame = echo6({ ...PING, to: ALL_NODES, destination: 'ff02::1' });
    expect(net.from(a).send(frame)).toEqual(mode === 'shared' ? passed(frame, b) : dropped(a, 'isolated'));
  });
});

interface ErrorFields {
  readonly to?: Station;
  readonly source?: string;
  readonly destination?: string;
  readonly quoteBytes?: number;
}

/** The gateway's error about `frame`, quoting all of it unless told otherwise. */
function errorAbout(frame: Uint8Array, code: number, fields: ErrorFields = {}): Uint8Array {
  const { to = A, source = GATEWAY6, destination = A_GLOBAL, quoteBytes = frame.length - PACKET } = fields;
  const quote = frame.subarray(PACKET, PACKET + quoteBytes);
  const error = icmpv6({ from: GATEWAY, to, source, destination }, 1, code, [0, 0, 0, 0, ...quote]);
  expectMadeByGateway(error);
  return error;
}

function refused(port: number, reason: DropReason, error: Uint8Array): Outcome {
  return { left: [{ port, frame: error }], drops: { [port]: { [reason]: 1 } } };
}

/** A fragment of something, at this offset in units of eight bytes. */
function fragment(protocol: number, offset: number): Uint8Array {
  return ipv6Packet(OUTSIDE, FRAGMENT, [
    protocol,
    0,
    offset >>> 5,
    (offset << 3) & 0xff,
    0,
    0,
    0,
    1,
    8,
    8,
    8,
    8,
  ]);
}

describe('refused', () => {
  test.each([
    ['UDP', udp6(PING)],
    ['another protocol', ipv6Packet(PING, 47, new Array(40).fill(1))],
    ['nothing behind the header', ipv6Packet(PING, 59, [])],
  ])('%s to the gateway -> port unreachable, dropped as no-service', (_name, frame) => {
    const { net, a } = guest();
    expect(net.from(a).sendUnsound(frame)).toEqual(refused(a, 'no-service', errorAbout(frame, PORT)));
  });

  test.each([
    ['UDP', udp6(OUTSIDE), 'egress-denied'],
    ['an echo request', echo6(OUTSIDE), 'egress-denied'],
    ['the first fragment', fragment(UDP, 0), 'prohibited'],
  ] as const)('%s to elsewhere -> administratively prohibited', (_name, frame, reason) => {
    const { send, a } = guest();
    expect(send(frame)).toEqual(refused(a, reason, errorAbout(frame, PROHIBITED)));
  });

  test('from a link-local address -> answered from the gateway’s', () => {
    const { send, a } = guest();
    const frame = udp6({ ...PING, source: A_LOCAL, destination: GATEWAY_LINK_LOCAL });
    const error = errorAbout(frame, PORT, { source: GATEWAY_LINK_LOCAL, destination: A_LOCAL });
    expect(send(frame)).toEqual(refused(a, 'no-service', error));
  });

  test.each([
    [1183, 1232 - 1],
    [1184, 1232],
    [1185, 1232],
    [65_000, 1232],
  ])('a datagram of %i bytes of data -> %i bytes quoted, a packet of 1280 at most', (data, quoteBytes) => {
    const { send, a } = guest();
    const frame = udp6(PING, { data: new Uint8Array(data).fill(7) });
    const error = errorAbout(frame, PORT, { quoteBytes });
    expect(error.length - PACKET).toBeLessThanOrEqual(1280);
    expect(send(frame)).toEqual(refused(a, 'no-service', error));
  });

  test('bytes behind the packet -> not quoted', () => {
    const { send, a } = guest();
    const frame = udp6(PING);
    expect(send(padded(frame, 200))).toEqual(refused(a, 'no-service', errorAbout(frame, PORT)));
  });

  test(`more than ${BURST} at once -> the rest without an error; some again after a second`, () => {
    const { net, a } = guest();
    const { left, drops } = net.from(a).send(...new Array(BURST + 5).fill(udp6(PING)));
    expect(left).toHaveLength(BURST);
    expect(drops).toEqual({ [a]: { 'no-service': BURST + 5 } });
    net.clock.pass(1);
    expect(net.from(a).send(udp6(PING)).left).toHaveLength(1);
  });
});

describe('never an error about', () => {
  test.each([
    ['an ICMPv6 error', icmpv6(OUTSIDE, 3, 0, new Array(52).fill(0)), 'no-service'],
    ['an error of an unknown type', icmpv6(OUTSIDE, 100, 0, new Array(52).fill(0)), 'no-service'],
    ['an echo reply', echo6(OUTSIDE, { reply: true }), 'no-service'],
    ['a later fragment', fragment(UDP, 9), 'prohibited'],
    ['a fragment of ICMPv6', fragment(ICMPV6, 0), 'prohibited'],
    ['a fragment header cut short', ipv6Packet(OUTSIDE, FRAGMENT, [UDP, 0, 0, 0]), 'prohibited'],
    ['a packet from ::', udp6({ ...OUTSIDE, source: '::' }), 'egress-denied'],
  ] as const)('%s -> just dropped', (_name, frame, reason) => {
    const { send, a } = guest();
    expect(send(frame)).toEqual(dropped(a, reason));
  });

  test('a packet to a group, sent to the gateway’s MAC -> just dropped', () => {
    const { send, a } = guest();
    expect(send(udp6({ ...PING, destination: 'ff02::fb' }))).toEqual(dropped(a, 'egress-denied'));
  });

  test('a packet in a multicast frame -> just dropped', () => {
    const { net, a } = guest();
    const batch = new FrameBatch(1);
    batch.place(0, udp6({ ...PING, to: ALL_ROUTERS }).subarray(10));
    const packet = (batch.start[0] as number) + PACKET;
    const verdict = net.gateway.icmpv6.refuse6(batch, 0, packet, a, PORT, DROP['no-service']);
    expect(verdict).toBe(drop(DROP['no-service']));
    batch.release();
  });
});
