import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { etherTypeOf, expectMadeByGateway, isTcp } from '../lib/check-frame.ts';
import {
  A,
  ARP,
  arp,
  arpReply,
  arpRequest,
  B,
  C,
  EVERYBODY,
  GATEWAY,
  HOST,
  ICMP,
  IPV4,
  icmpEcho,
  icmpError,
  ipBytes,
  ipv4,
  ipv4Tcp,
  ipv4Udp,
  ipv6,
  MORE_FRAGMENTS,
  macBytes,
  NOBODY,
  PACKET,
  padded,
  RST,
  SYN,
  UDP,
  VNET_BYTES,
  vlanTagged,
  withVnet,
} from '../lib/frames.ts';
import { NETWORK, type Outcome, TestSwitch } from '../lib/test-switch.ts';

const BEGIN_TCP = ipv4Tcp({ from: HOST, to: A, fromPort: 50_000, toPort: 8080, flags: SYN });
const BEGIN_UDP = ipv4Udp({ from: HOST, to: A, fromPort: 50_000, toPort: 53 });
const PING = icmpEcho({ from: HOST, to: A });
const BEYOND = { mac: GATEWAY.mac, ip: '203.0.113.7' };

const FROM_GUEST = [
  arpRequest({ from: A, about: GATEWAY }),
  arpRequest({ from: A, about: HOST }),
  padded(arpRequest({ from: A, about: B })),
  arpRequest({ from: A, about: C }),
  arp({ from: A, about: A }),
  arpReply({ from: A, to: HOST }),
  icmpEcho({ from: A, to: GATEWAY }),
  padded(icmpEcho({ from: A, to: GATEWAY, options: [1, 1, 1, 0], data: [] })),
  ipv4Udp({ from: A, to: GATEWAY }),
  ipv4Tcp({ from: A, to: BEYOND, data: [1, 2, 3] }),
  ipv4Tcp({ from: A, to: HOST, fromPort: 8080, toPort: 50_000 }),
  ipv4Udp({ from: A, to: HOST, fromPort: 53, toPort: 50_000 }),
  ipv4Udp({ from: A, to: HOST, toPort: 9000 }),
  ipv4({ from: A, to: HOST, fragment: MORE_FRAGMENTS }, UDP, [0, 53, 0xc3, 0x50, 0, 99, 0, 0]),
  ipv4({ from: A, to: HOST, fragment: 1 }, UDP, [1, 2, 3, 4]),
  icmpEcho({ from: A, to: HOST, reply: true }),
  icmpError({ from: A, to: HOST }, BEGIN_UDP),
  ipv4Udp({ from: A, to: B }),
  withVnet(ipv4Tcp({ from: A, to: B, data: new Uint8Array(100) }), {
    flags: 1,
    gsoType: 1,
    headerLength: 54,
    gsoSize: 50,
    checksumStart: 34,
    checksumOffset: 16,
  }),
  ipv4Udp({ from: A, to: NOBODY }),
  ipv4Udp({ from: A, to: EVERYBODY }),
  ipv6({ from: A, to: EVERYBODY }, 'fd00::a'),
  vlanTagged(ipv4Udp({ from: A, to: B })),
];
const FROM_HOST = [
  BEGIN_TCP,
  BEGIN_UDP,
  PING,
  ipv4Udp({ from: HOST, to: C }),
  icmpEcho({ from: HOST, to: GATEWAY }),
  ipv4Tcp({ from: HOST, to: { mac: GATEWAY.mac, ip: C.ip } }),
  ipv4Udp({ from: HOST, to: EVERYBODY }),
  arpRequest({ from: HOST, about: A }),
  arpRequest({ from: HOST, about: C }),
  arpRequest({ from: HOST, about: NOBODY }),
  ipv6({ from: HOST, to: A }, 'fe80::1'),
];

/** Any bytes, and frames of the list with a few bytes replaced, cut or lengthened. */
function hostile(templates: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const noise = fc.uint8Array({ maxLength: 200 });
  const edits = fc.array(fc.tuple(fc.nat(110), fc.nat(255)), { maxLength: 4 });
  const length = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: -60, max: 60 }));
  const damaged = fc
    .tuple(fc.constantFrom(...templates), edits, length)
    .map(([template, replaced, longer]) => {
      const bytes = new Uint8Array(Math.max(0, template.length + longer));
      bytes.set(template.subarray(0, bytes.length));
      for (const [at, byte] of replaced) if (at < bytes.length) bytes[at] = byte;
      return bytes;
    });
  return fc.oneof({ weight: 1, arbitrary: noise }, { weight: 5, arbitrary: damaged });
}

const step = fc.oneof(
  { weight: 3, arbitrary: hostile(FROM_GUEST).map((frame) => ({ from: 'guest' as const, frame })) },
  { weight: 1, arbitrary: hostile(FROM_HOST).map((frame) => ({ from: 'host' as const, frame })) },
);
const script = fc.record({
  mode: fc.constantFrom('isolated' as const, 'shared' as const),
  configured: fc.boolean(),
  steps: fc.array(step, { minLength: 1, maxLength: 12 }),
});

/** A with a flow of the host's, B, and C without carrier, in the way of the script. */
function scene(mode: 'isolated' | 'shared', configured: boolean, stale: number) {
  const net = new TestSwitch({ mode, pickup: true });
  net.stale = stale;
  net.tables.allowFromGuests(NETWORK, 'udp', 9000);
  const guest = net.vm(configured ? A : {});
  const neighbour = net.vm(B);
  net.vm({ ip: C.ip }, { carrier: false });
  for (const frame of [BEGIN_TCP, BEGIN_UDP, PING]) net.from(net.host).sendUnsound(frame);
  return { net, guest, neighbour };
}

function drops({ drops: byPort }: Outcome): number {
  return Object.values(byPort)
    .flatMap((reasons) => Object.values(reasons))
    .reduce((sum, count) => sum + count, 0);
}

function macOfSender(frame: Uint8Array): number[] {
  return [...frame.subarray(VNET_BYTES + 6, VNET_BYTES + 12)];
}

function isMadeByGateway(frame: Uint8Array): boolean {
  return macOfSender(frame).join() === macBytes(GATEWAY.mac).join();
}

function isIcmpError(frame: Uint8Array): boolean {
  return etherTypeOf(frame) === IPV4 && frame[PACKET + 9] === ICMP && frame[PACKET + 20] === 3;
}

function isReset(frame: Uint8Array): boolean {
  const header = etherTypeOf(frame) === IPV4 ? 20 : 40;
  return isTcp(frame) && ((frame[PACKET + header + 13] as number) & RST) !== 0;
}

describe('any bytes, and damaged frames, in any order', () => {
  test('each frame -> sent on, flooded, kept by the gateway, or dropped for one reason; nothing thrown', () => {
    fc.assert(
      fc.property(script, ({ mode, configured, steps }) => {
        const { net, guest } = scene(mode, configured, 0xee);
        for (const { from, frame } of steps) {
          const ingress = from === 'guest' ? guest : net.host;
          const { floods, kept } = net;
          const outcome = net.from(ingress).sendUnsound(frame);
          const [left, lost] = [outcome.left.length, drops(outcome)];
          if (lost === 0) {
            if (net.floods === floods) expect(left + net.kept - kept).toBe(1);
          } else {
            // A packet that was dropped may be answered: by an error or a reset, or a question to its receiver
            expect([lost, net.floods]).toEqual([1, floods]);
            expect(Object.keys(outcome.drops)).toEqual([`${ingress}`]);
            expect(left).toBeLessThanOrEqual(1);
            for (const sent of outcome.left) expectMadeByGateway(sent.frame);
            for (const sent of outcome.left.filter((answer) => answer.port === ingress)) {
              expect(isIcmpError(sent.frame) || isReset(sent.frame)).toBe(true);
            }
          }
        }
        const rx = steps.filter(({ from }) => from === 'guest').length;
        expect(net.stats(guest).rxFrames).toBe(rx);
      }),
      { numRuns: 300 },
    );
  });

  test('whatever lies behind the frame in its slot -> the same outcome', () => {
    fc.assert(
      fc.property(script, ({ mode, configured, steps }) => {
        const [zeros, ones] = [0, 0xff].map((stale) => scene(mode, configured, stale));
        for (const { from, frame } of steps) {
          const [one, other] = [zeros!, ones!].map(({ net, guest }) =>
            net.from(from === 'guest' ? guest : net.host).sendUnsound(frame),
          );
          expect(one).toEqual(other);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('from a guest -> leaves under its own MAC or the gateway’s, whole or as it came', () => {
    fc.assert(
      fc.property(script, ({ mode, steps }) => {
        const { net, guest } = scene(mode, true, 0xee);
        for (const { frame } of steps.filter(({ from }) => from === 'guest')) {
          for (const sent of net.from(guest).sendUnsound(frame).left) {
            if (isMadeByGateway(sent.frame)) {
              expect(sent.port).toBe(guest);
              continue;
            }
            expect(macOfSender(sent.frame)).toEqual(macBytes(A.mac));
            expect(sent.frame.subarray(VNET_BYTES + 6)).toEqual(frame.subarray(VNET_BYTES + 6));
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test('from a guest, isolated -> never to another VM', () => {
    fc.assert(
      fc.property(script, ({ configured, steps }) => {
        const { net, guest, neighbour } = scene('isolated', configured, 0xee);
        for (const { frame } of steps) net.from(guest).sendUnsound(frame);
        const heard = net.stats(neighbour).txFrames;
        expect(heard).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('from a guest to the host -> only to the host port’s own address, from an address it may use', () => {
    fc.assert(
      fc.property(script, ({ mode, steps }) => {
        const { net, guest } = scene(mode, true, 0xee);
        for (const { frame } of steps) {
          for (const { frame: sent, port } of net.from(guest).sendUnsound(frame).left) {
            if (port !== net.host) continue;
            const isArp = etherTypeOf(sent) === ARP;
            expect([ARP, IPV4]).toContain(etherTypeOf(sent));
            const target = PACKET + (isArp ? 24 : 16);
            expect([...sent.subarray(target, target + 4)]).toEqual(ipBytes(HOST.ip));
            const source = PACKET + (isArp ? 14 : 12);
            const text = sent.subarray(source, source + 4).join('.');
            expect([A.ip, '0.0.0.0']).toContain(text.replace(/^169\.254\..*/, '0.0.0.0'));
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
