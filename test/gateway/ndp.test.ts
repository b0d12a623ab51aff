import { describe, expect, test } from 'vitest';
import { FrameBatch } from '../../src/port/batch.ts';
import { FLOOD_BURST } from '../../src/switch/forwarder.ts';
import { drop } from '../../src/switch/verdict.ts';
import { DROP } from '../../src/telemetry/drops.ts';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import { A, B, GATEWAY, HOST, PACKET, padded, patched, type Station, withVnet } from '../lib/frames.ts';
import {
  ALL_NODES,
  advertisement,
  GATEWAY_LINK_LOCAL,
  GATEWAY6,
  icmpv6,
  ip6Bytes,
  ipv6Packet,
  linkOption,
  listenerReport,
  routerSolicitation,
  SOLICITED_1,
  solicitation,
  udp6,
} from '../lib/frames6.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { dropped, NETWORK, type Outcome, passed } from '../lib/test-switch.ts';

const A_LOCAL = 'fe80::400:c0ff:fea8:e';
const A_GLOBAL = 'fd00:74:1:2:400:c0ff:fea8:e';
const ROUTER_SOLICITED_OVERRIDE = 0xe0;
const ROUTER_OVERRIDE = 0xa0;
/** Offset of the message from the Ethernet header */
const MESSAGE = 14 + 40;

interface To {
  readonly to: Station;
  readonly destination: string;
}

const TO_A: To = { to: A, destination: A_LOCAL };
const TO_ALL: To = { to: ALL_NODES, destination: 'ff02::1' };

/** The gateway's advertisement of one of its addresses. */
function advertised(target: string, { to, destination }: To, flags = ROUTER_SOLICITED_OVERRIDE): Uint8Array {
  const options = linkOption(2, GATEWAY.mac);
  return advertisement({ from: GATEWAY, source: target, to, destination, options }, target, flags);
}

/** The gateway's router advertisement, as RFC 4861 and RFC 8106 lay it out. */
function routerAdvertised({ to, destination }: To, { onLink = false, mtu = [0x05, 0xdc] } = {}): Uint8Array {
  const router = [64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
  const lifetimes = [0, 0x27, 0x8d, 0, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0];
  const prefix = [3, 4, 64, onLink ? 0xc0 : 0x40, ...lifetimes, ...ip6Bytes('fd00:74:1:2::')];
  const dns = [25, 3, 0, 0, 0, 0, 0x07, 0x08, ...ip6Bytes(GATEWAY6)];
  const options = [...linkOption(1, GATEWAY.mac), 5, 1, 0, 0, 0, 0, ...mtu, ...prefix, ...dns];
  const fields = { from: GATEWAY, to, source: GATEWAY_LINK_LOCAL, destination, hopLimit: 255 };
  return icmpv6(fields, 134, 0, [...router, ...options]);
}

function expectAnswer(outcome: Outcome, port: number, frame: Uint8Array): void {
  expect(outcome).toEqual(passed(frame, port));
  expectMadeByGateway(frame);
}

const ASK = { from: A, source: A_LOCAL };

describe.each(['isolated', 'shared'] as const)('%s', (mode) => {
  function scene() {
    const net = new ServiceSwitch({ mode });
    return { net, a: net.vm(A), b: net.vm(B) };
  }

  describe('neighbour solicitation', () => {
    test.each([
      ['address', GATEWAY6],
      ['link-local address', GATEWAY_LINK_LOCAL],
    ])('for the gateway’s %s -> its MAC, to that VM alone', (_name, target) => {
      const { net, a } = scene();
      expectAnswer(net.from(a).send(solicitation(ASK, target)), a, advertised(target, TO_A));
    });

    test('from a global address -> answered to that', () => {
      const { net, a } = scene();
      const outcome = net.from(a).send(solicitation({ from: A, source: A_GLOBAL }, GATEWAY6));
      expectAnswer(outcome, a, advertised(GATEWAY6, { to: A, destination: A_GLOBAL }));
    });

    test('to the gateway’s MAC and address: is it still there? -> the same answer', () => {
      const { net, a } = scene();
      const probe = solicitation({ ...ASK, to: GATEWAY, destination: GATEWAY6, options: [] }, GATEWAY6);
      expectAnswer(net.from(a).send(probe), a, advertised(GATEWAY6, TO_A));
    });

    test('from ::, about to take the gateway’s address -> all nodes hear that it is taken', () => {
      const { net, a } = scene();
      const probe = solicitation({ from: A, source: '::', options: [] }, GATEWAY6);
      expectAnswer(net.from(a).send(probe), a, advertised(GATEWAY6, TO_ALL, ROUTER_OVERRIDE));
    });

    test('with a nonce (RFC 3971) -> answered without', () => {
      const { net, a } = scene();
      const options = [14, 1, 1, 2, 3, 4, 5, 6, ...linkOption(1, A.mac)];
      expectAnswer(
        net.from(a).send(solicitation({ ...ASK, options }, GATEWAY6)),
        a,
        advertised(GATEWAY6, TO_A),
      );
    });

    test('with bytes behind the packet -> an answer without them', () => {
      const { net, a } = scene();
      const long = padded(solicitation(ASK, GATEWAY6), 120);
      expectAnswer(net.from(a).send(long), a, advertised(GATEWAY6, TO_A));
    });

    test('checksum left to the receiver (NEEDS_CSUM) -> answered with a whole one', () => {
      const { net, a } = scene();
      const partial = patched(solicitation(ASK, GATEWAY6), MESSAGE + 2, 0xab, 0xcd);
      const frame = withVnet(partial, { flags: 1, checksumStart: MESSAGE, checksumOffset: 2 });
      expectAnswer(net.from(a).send(frame), a, advertised(GATEWAY6, TO_A));
    });

    const FROM_NOBODY = { from: A, source: '::' };
    test.each<[string, Uint8Array]>([
      ['whose checksum is wrong', patched(solicitation(ASK, GATEWAY6), MESSAGE + 2, 0xab, 0xcd)],
      ['that a router has passed on (hop limit 254)', solicitation({ ...ASK, hopLimit: 254 }, GATEWAY6)],
      ['of code 1', solicitation({ ...ASK, code: 1 }, GATEWAY6)],
      ['for a group', solicitation(ASK, 'ff02::1')],
      ['from :: that names a MAC', solicitation(FROM_NOBODY, GATEWAY6)],
      [
        'from :: to one address',
        solicitation({ ...FROM_NOBODY, destination: GATEWAY6, options: [] }, GATEWAY6),
      ],
      ['with an option of no bytes', solicitation({ ...ASK, options: [1, 0, 0, 0, 0, 0, 0, 0] }, GATEWAY6)],
      [
        'with an option past the end',
        solicitation({ ...ASK, options: [1, 2, ...linkOption(1, A.mac).slice(2)] }, GATEWAY6),
      ],
      [
        'of 23 bytes',
        icmpv6(
          { ...ASK, to: SOLICITED_1, destination: 'ff02::1', hopLimit: 255 },
          135,
          0,
          new Array(19).fill(0),
        ),
      ],
    ])('%s -> dropped as malformed', (_name, frame) => {
      const { net, a } = scene();
      expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'malformed'));
    });
  });

  describe('router solicitation', () => {
    const expected = (to: To) => routerAdvertised(to, { onLink: mode === 'shared' });

    test('-> prefix, MTU and DNS server, to that VM alone', () => {
      const { net, a } = scene();
      expectAnswer(net.from(a).send(routerSolicitation(ASK)), a, expected(TO_A));
    });

    test('from :: -> the same to all nodes, by that port alone', () => {
      const { net, a } = scene();
      const frame = routerSolicitation({ from: A, source: '::', options: [] });
      expectAnswer(net.from(a).send(frame), a, expected(TO_ALL));
    });

    test('behind a hop-by-hop options header -> the same', () => {
      const { net, a } = scene();
      const plain = routerSolicitation(ASK);
      const hopByHop = [58, 0, 1, 4, 0, 0, 0, 0];
      const fields = { ...ASK, to: ALL_NODES, destination: 'ff02::2', hopLimit: 255, hopByHop };
      expectAnswer(net.from(a).send(ipv6Packet(fields, 58, plain.slice(PACKET + 40))), a, expected(TO_A));
    });

    test('whose checksum is wrong -> dropped as malformed', () => {
      const { net, a } = scene();
      const frame = patched(routerSolicitation(ASK), MESSAGE + 4, 1);
      expect(net.from(a).sendUnsound(frame)).toEqual(dropped(a, 'malformed'));
    });
  });

  test('an advertisement to the gateway -> dropped as no-service', () => {
    const { net, a } = scene();
    const frame = advertisement({ ...ASK, to: GATEWAY, destination: GATEWAY_LINK_LOCAL }, A_LOCAL, 0x60);
    expect(net.from(a).send(frame)).toEqual(dropped(a, 'no-service'));
  });

  test('asked by the host’s MAC -> answered to the host', () => {
    const { net } = scene();
    const probe = { from: HOST, source: 'fe80::1', to: GATEWAY, destination: GATEWAY6 };
    const outcome = net.from(net.host).send(solicitation(probe, GATEWAY6));
    expectAnswer(outcome, net.host, advertised(GATEWAY6, { to: HOST, destination: 'fe80::1' }));
  });

  test('not neighbour discovery at all, from the host -> dropped as malformed, wherever it lies', () => {
    const { net } = scene();
    const batch = new FrameBatch(1);
    for (const frame of [
      udp6({ from: HOST, to: GATEWAY, source: 'fe80::1', destination: GATEWAY6 }),
      solicitation({ from: HOST, source: 'fe80::1' }, GATEWAY6).slice(0, -1),
    ]) {
      batch.place(0, frame.subarray(10));
      expect(net.gateway.ndp.handle(batch, 0, net.host)).toBe(drop(DROP.malformed));
    }
    batch.release();
  });
});

describe('neighbour solicitation for another VM', () => {
  const ask = solicitation(ASK, A_GLOBAL.replace(/e$/, 'f'));

  test('isolated -> dropped as isolated', () => {
    const net = new ServiceSwitch();
    const a = net.vm(A);
    net.vm(B);
    expect(net.from(a).send(ask)).toEqual(dropped(a, 'isolated'));
  });

  test('shared -> the other VMs, as it is', () => {
    const net = new ServiceSwitch({ mode: 'shared' });
    const [a, b] = [net.vm(A), net.vm(B)];
    expect(net.from(a).send(ask)).toEqual(passed(ask, b));
  });

  test('shared, more than the burst -> dropped as flood-limit', () => {
    const net = new ServiceSwitch({ mode: 'shared' });
    const a = net.vm(A);
    net.from(a).send(...Array(FLOOD_BURST).fill(ask));
    expect(net.from(a).send(ask)).toEqual(dropped(a, 'flood-limit'));
    expectAnswer(net.from(a).send(solicitation(ASK, GATEWAY6)), a, advertised(GATEWAY6, TO_A));
  });

  test('sent to the gateway’s MAC -> dropped as no-service', () => {
    const net = new ServiceSwitch({ mode: 'shared' });
    const [a] = [net.vm(A), net.vm(B)];
    const frame = solicitation({ ...ASK, to: GATEWAY }, 'fd00::b');
    expect(net.from(a).send(frame)).toEqual(dropped(a, 'no-service'));
  });
});

describe('a network without IPv6 gateway', () => {
  test.each([
    ['for the gateway’s link-local address', solicitation(ASK, GATEWAY_LINK_LOCAL)],
    ['for ::', solicitation(ASK, '::')],
    ['for a router', routerSolicitation(ASK)],
    ['is none but a report of multicast listeners', listenerReport(A, A_LOCAL)],
  ])('solicitation %s -> isolated: dropped; shared: flooded', (_name, frame) => {
    const isolated = new ServiceSwitch({ six: false });
    const alone = isolated.vm(A);
    expect(isolated.from(alone).send(frame)).toEqual(dropped(alone, 'isolated'));
    const shared = new ServiceSwitch({ mode: 'shared', six: false });
    const [a, b] = [shared.vm(A), shared.vm(B)];
    expect(shared.from(a).send(frame)).toEqual(passed(frame, b));
  });

  test('solicitation sent to the gateway’s MAC -> dropped as no-service', () => {
    const net = new ServiceSwitch({ six: false });
    const a = net.vm(A);
    const probe = solicitation({ ...ASK, to: GATEWAY }, GATEWAY_LINK_LOCAL);
    expect(net.from(a).send(probe)).toEqual(dropped(a, 'no-service'));
  });

  test('announceRouter -> nothing to say', () => {
    const net = new ServiceSwitch({ six: false });
    const batch = new FrameBatch(1);
    expect(net.gateway.ndp.announceRouter(batch, 0, NETWORK)).toBe(false);
    batch.release();
  });
});

describe('announceRouter', () => {
  test('-> an advertisement for all nodes, whatever was in the slot', () => {
    const net = new ServiceSwitch({ mtu: 9000 });
    const batch = new FrameBatch(2);
    batch.u8.fill(0xee, 0, 4096);
    expect(net.gateway.ndp.announceRouter(batch, 1, NETWORK)).toBe(true);
    const start = batch.start[1] as number;
    const frame = batch.u8.slice(start, start + (batch.length[1] as number));
    expect(frame).toEqual(routerAdvertised(TO_ALL, { mtu: [0x23, 0x28] }));
    expectMadeByGateway(frame);
    batch.release();
  });
});
