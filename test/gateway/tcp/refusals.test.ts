/** TCP that is refused: by a reset, at once, whatever the reason. */
import { describe, expect, test } from 'vitest';
import type { DropReason } from '../../../src/telemetry/drops.ts';
import { etherTypeOf, expectMadeByGateway } from '../../lib/check-frame.ts';
import {
  A,
  ACK,
  B,
  FIN,
  GATEWAY,
  HOST,
  IPV4,
  ipv4Tcp,
  PACKET,
  patched,
  RST,
  SYN,
  type TcpFields,
  withVnet,
} from '../../lib/frames.ts';
import { GATEWAY_LINK_LOCAL, GATEWAY6, tcp6 } from '../../lib/frames6.ts';
import { ServiceSwitch } from '../../lib/service-switch.ts';
import { ABSORBED, dropped } from '../../lib/test-switch.ts';

const PORTS = { fromPort: 40_000, toPort: 8080 };
const NUMBERS = { sequence: 0x01020304, acknowledgment: 0x0a0b0c0d };
const OUTSIDE6 = '2001:db8::7';

function beyond(ip: string) {
  return { mac: GATEWAY.mac, ip };
}

function guest() {
  const net = new ServiceSwitch();
  const a = net.vm(A);
  net.vm(B);
  return { net, a };
}

function segment4(to: string, fields: TcpFields): Uint8Array {
  return ipv4Tcp({ from: A, to: beyond(to), ...PORTS, ...NUMBERS, ...fields });
}

function segment6(to: string, fields: TcpFields): Uint8Array {
  const source = 'fd00:74:1:2:400:c0ff:fea8:e';
  return tcp6({ from: A, to: GATEWAY, source, destination: to, ...PORTS, ...NUMBERS, ...fields });
}

/** Flags and numbers of a reset, which answers by the ports of `about` the other way round. */
function readReset(frame: Uint8Array, about: Uint8Array) {
  expectMadeByGateway(frame);
  const off = PACKET + (etherTypeOf(frame) === IPV4 ? 20 : 40);
  const addresses = off === PACKET + 20 ? [12, 16, 20] : [8, 24, 40];
  const [from, to, end] = addresses.map((at) => PACKET + at) as [number, number, number];
  expect([...frame.subarray(from, to)]).toEqual([...about.subarray(to, end)]);
  expect([...frame.subarray(to, end)]).toEqual([...about.subarray(from, to)]);
  const view = new DataView(frame.buffer, frame.byteOffset);
  expect([view.getUint16(off), view.getUint16(off + 2)]).toEqual([PORTS.toPort, PORTS.fromPort]);
  return { flags: frame[off + 13], sequence: view.getInt32(off + 4), acknowledgment: view.getInt32(off + 8) };
}

const CASES: readonly [string, DropReason, number, Uint8Array][] = [
  ['a SYN to the gateway, nothing there', 'no-service', SYN, segment4(GATEWAY.ip, { flags: SYN })],
  ['a SYN to another VM', 'isolated', SYN, segment4(B.ip, { flags: SYN })],
  ['a SYN to the host port’s address', 'isolated', SYN, segment4(HOST.ip, { flags: SYN })],
  ['a SYN to elsewhere, nothing allowed', 'egress-denied', SYN, segment4('203.0.113.7', { flags: SYN })],
  ['a SYN to loopback', 'egress-denied', SYN, segment4('127.0.0.1', { flags: SYN })],
  ['an ACK to the gateway', 'no-flow', ACK, segment4(GATEWAY.ip, { flags: ACK })],
  ['an ACK to elsewhere', 'no-flow', ACK, segment4('203.0.113.7', { flags: ACK })],
  ['a SYN-ACK', 'no-flow', ACK, segment4(GATEWAY.ip, { flags: SYN | ACK })],
  ['a FIN-ACK with data', 'no-flow', ACK, segment4(GATEWAY.ip, { flags: FIN | ACK, data: [1, 2, 3] })],
  ['IPv6, a SYN to the gateway', 'no-service', SYN, segment6(GATEWAY6, { flags: SYN })],
  [
    'IPv6, a SYN to the gateway’s link-local',
    'no-service',
    SYN,
    segment6(GATEWAY_LINK_LOCAL, { flags: SYN }),
  ],
  ['IPv6, a SYN to elsewhere', 'egress-denied', SYN, segment6(OUTSIDE6, { flags: SYN })],
  ['IPv6, an ACK', 'no-flow', ACK, segment6(OUTSIDE6, { flags: ACK })],
];

describe('of no connection', () => {
  test.each(CASES)('%s -> RST, dropped as %s', (_name, reason, kind, frame) => {
    const { net, a } = guest();
    const { left, drops } = net.from(a).send(frame);
    expect(drops).toEqual({ [a]: { [reason]: 1 } });
    expect(left.map(({ port }) => port)).toEqual([a]);
    // RFC 9293 section 3.10.7.1: the number it asks for, or 0 and an ACK of what it brought
    expect(readReset(left[0]!.frame, frame)).toEqual(
      kind === ACK
        ? { flags: RST, sequence: NUMBERS.acknowledgment, acknowledgment: 0 }
        : { flags: RST | ACK, sequence: 0, acknowledgment: NUMBERS.sequence + 1 },
    );
  });

  test('neither SYN nor ACK, with data and FIN -> RST that acknowledges both', () => {
    const { net, a } = guest();
    const frame = segment4(GATEWAY.ip, { flags: FIN, data: [1, 2, 3] });
    const { left } = net.from(a).send(frame);
    expect(readReset(left[0]!.frame, frame)).toMatchObject({ acknowledgment: NUMBERS.sequence + 4 });
  });

  test.each([RST, RST | ACK, RST | SYN])('RST (flags %i) -> nothing', (flags) => {
    const { net, a } = guest();
    expect(net.from(a).send(segment4(GATEWAY.ip, { flags }))).toEqual(ABSORBED);
    expect(net.kept).toBe(1);
  });

  test('to be segmented, its checksum left out -> one RST for all of it', () => {
    const { net, a } = guest();
    const big = segment4(GATEWAY.ip, { data: new Uint8Array(5000) });
    const offload = { flags: 1, gsoType: 1, gsoSize: 1448, headerLength: 54 };
    const frame = withVnet(big, { ...offload, checksumStart: 34, checksumOffset: 16 });
    const { left, drops } = net.from(a).send(frame);
    expect(drops).toEqual({ [a]: { 'no-flow': 1 } });
    expect(left).toHaveLength(1);
  });

  test('one after the other -> each RST for its own', () => {
    const { net, a } = guest();
    const frames = CASES.map(([, , , frame]) => frame);
    const { left } = net.from(a).send(...frames);
    expect(left).toHaveLength(frames.length);
    for (const [i, frame] of frames.entries()) readReset(left[i]!.frame, frame);
  });
});

describe('malformed', () => {
  test.each([
    ['a wrong checksum', patched(segment4(GATEWAY.ip, { flags: SYN }), 34 + 16, 0, 0)],
    ['a header shorter than 20 bytes', patched(segment4(GATEWAY.ip, { flags: SYN }), 34 + 12, 0x40)],
    ['a header past the end', patched(segment4(GATEWAY.ip, { flags: SYN }), 34 + 12, 0xf0)],
    ['IPv6, a wrong checksum', patched(segment6(GATEWAY6, { flags: SYN }), 54 + 16, 0, 0)],
  ])('%s -> dropped as malformed, no answer', (_name, frame) => {
    const { net, a } = guest();
    expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'malformed'));
  });
});
