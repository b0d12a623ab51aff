/** Damaged DHCP, neighbour discovery and ICMPv6: what comes of it, whatever it is. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import { dhcpFrame } from '../lib/dhcp-messages.ts';
import { A, B, GATEWAY, HOST, type Station, VNET_BYTES, withVnet } from '../lib/frames.ts';
import {
  advertisement,
  echo6,
  GATEWAY_LINK_LOCAL,
  GATEWAY6,
  ipv6Packet,
  listenerReport,
  routerSolicitation,
  solicitation,
  udp6,
} from '../lib/frames6.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { int32, type Outcome } from '../lib/test-switch.ts';

const LOCAL = 'fe80::400:c0ff:fea8:e';
const HOP_BY_HOP = [58, 0, 1, 4, 0, 0, 0, 0];

function templatesOf(from: Station): Uint8Array[] {
  const six = { from, to: GATEWAY, source: LOCAL, destination: GATEWAY6 };
  const echo = echo6(six);
  return [
    solicitation({ from, source: LOCAL, to: GATEWAY }, GATEWAY6),
    solicitation({ from, source: '::', options: [] }, GATEWAY_LINK_LOCAL),
    solicitation({ from, source: LOCAL }, 'fd00::b'),
    routerSolicitation({ from, source: LOCAL, to: GATEWAY }),
    advertisement({ from, source: LOCAL, to: GATEWAY }, LOCAL),
    listenerReport(from, LOCAL),
    echo,
    ipv6Packet({ ...six, hopByHop: HOP_BY_HOP }, 58, echo.slice(VNET_BYTES + 54)),
    withVnet(echo, { flags: 1, checksumStart: 54, checksumOffset: 2 }),
    udp6(six),
    udp6({ ...six, destination: '2001:db8::1' }),
    ipv6Packet(six, 44, [17, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4]),
    dhcpFrame({ from, type: 1, more: [61, 3, 1, 2, 3, 12, 2, 0x76, 0x6d] }),
    dhcpFrame({ from, type: 3, requested: '192.168.0.7', server: GATEWAY.ip }),
    dhcpFrame({ from, type: 8, client: from.ip, ends: { from, to: GATEWAY } }),
  ];
}

/** Frames with a few bytes replaced, near their end as often as elsewhere, cut or lengthened. */
function damaged(templates: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const place = fc.oneof(fc.nat(130), fc.integer({ min: -60, max: -1 }));
  const edits = fc.array(fc.tuple(place, fc.nat(255)), { maxLength: 4 });
  const length = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: -80, max: 60 }));
  return fc.tuple(fc.constantFrom(...templates), edits, length).map(([template, replaced, longer]) => {
    const bytes = new Uint8Array(Math.max(0, template.length + longer));
    bytes.set(template.subarray(0, bytes.length));
    for (const [at, byte] of replaced) {
      const index = at < 0 ? bytes.length + at : at;
      if (index >= 0 && index < bytes.length) bytes[index] = byte;
    }
    return bytes;
  });
}

const step = fc.oneof(
  { weight: 3, arbitrary: damaged(templatesOf(A)).map((frame) => ({ fromHost: false, frame })) },
  { weight: 1, arbitrary: damaged(templatesOf(HOST)).map((frame) => ({ fromHost: true, frame })) },
);
const script = fc.record({
  mode: fc.constantFrom('isolated' as const, 'shared' as const),
  steps: fc.array(step, { minLength: 1, maxLength: 10 }),
});

function scene(mode: 'isolated' | 'shared', stale: number) {
  const net = new ServiceSwitch({ mode });
  net.stale = stale;
  const a = net.vm({ mac: A.mac });
  const b = net.vm(B);
  net.tables.setLease(a, int32('192.168.0.7'));
  net.gateway.dhcp.setHostname(a, 'vm-1');
  return { net, a, b, ingress: (fromHost: boolean) => (fromHost ? net.host : a) };
}

function isByGateway(frame: Uint8Array): boolean {
  return Buffer.from(frame.subarray(VNET_BYTES + 6, VNET_BYTES + 12)).toString('hex') === '027461707377';
}

function drops({ drops: byPort }: Outcome): number {
  return Object.values(byPort)
    .flatMap((reasons) => Object.values(reasons))
    .reduce((sum, count) => sum + count, 0);
}

describe('any damage, in any order', () => {
  test('-> nothing thrown; what the gateway makes is whole, and for whom it answers', () => {
    fc.assert(
      fc.property(script, ({ mode, steps }) => {
        const { net, ingress } = scene(mode, 0xee);
        for (const { fromHost, frame } of steps) {
          const outcome = net.from(ingress(fromHost)).sendUnsound(frame);
          expect(drops(outcome)).toBeLessThanOrEqual(1);
          const made = outcome.left.filter((sent) => isByGateway(sent.frame));
          expect(made.length).toBeLessThanOrEqual(1);
          for (const sent of made) {
            expect(sent.port).toBe(ingress(fromHost));
            // An echo's wrong checksum stays wrong in its reply, for the sender to see
            if (sent.frame[VNET_BYTES + 54] !== 129) expectMadeByGateway(sent.frame);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('whatever lies behind the frame in its slot -> the same outcome', () => {
    fc.assert(
      fc.property(script, ({ mode, steps }) => {
        const [zeros, ones] = [0, 0xff].map((stale) => scene(mode, stale));
        for (const { fromHost, frame } of steps) {
          const [one, other] = [zeros!, ones!].map(({ net, ingress }) =>
            net.from(ingress(fromHost)).sendUnsound(frame),
          );
          expect(one).toEqual(other);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('isolated -> never to another VM', () => {
    fc.assert(
      fc.property(script, ({ steps }) => {
        const { net, a, b } = scene('isolated', 0xee);
        for (const { frame } of steps) net.from(a).sendUnsound(frame);
        expect(net.stats(b).txFrames).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('the templates undamaged -> many of them are answered', () => {
    const { net, a } = scene('isolated', 0xee);
    const answers = templatesOf(A).map((frame) => net.from(a).sendUnsound(frame).left.length);
    expect(answers.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(8);
  });
});
