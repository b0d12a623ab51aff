/** Whatever a guest sends: nothing throws, and what comes back is sound. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { indexOf, withRoutes } from '../../../src/lab/netns-guest.ts';
import { createNamespace } from '../../../src/sys/netns.ts';
import { DatagramStage } from '../../lib/datagram-stage.ts';
import { A, GATEWAY, ICMP, ICMPV6, ipv4, UDP, withVnet } from '../../lib/frames.ts';
import { GATEWAY6, ipv6Packet } from '../../lib/frames6.ts';
import { atTestEnd } from '../../lib/net-cleanup.ts';

const FOUR = ['127.0.0.1', '203.0.113.1', '255.255.255.255', '224.0.0.1', '0.0.0.0', GATEWAY.ip];
const SIX = ['2001:db8::1', '::1', '::', 'ff02::1', 'fe80::1', '::ffff:127.0.0.1', GATEWAY6];

test('any transport bytes, virtio-net header and destination -> no throw, few sockets', () => {
  const namespace = createNamespace();
  withRoutes(namespace.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  const stage = new DatagramStage({ path: namespace.path });
  atTestEnd().add(() => {
    stage.close();
    namespace.close();
  });
  stage.services.set(2, [{ protocol: 'udp', gatewayPort: 0x0101, hostPort: 9 }]);
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 48 });
  const headed = fc
    .tuple(bytes, fc.constantFrom(0x0008, 0x0101, 0x0035))
    .map(([data, port]) => Uint8Array.of(1, 2, port >> 8, port & 0xff, 0, 8 + data.length, 0, 0, ...data));
  const echo = bytes.map((data) => Uint8Array.of(8, 0, ...data));
  const vnet = fc.record({ flags: fc.nat(3), gsoType: fc.constantFrom(0, 3, 5), gsoSize: fc.nat(64) });
  fc.assert(
    fc.property(
      fc.oneof(bytes, headed, echo),
      vnet,
      fc.nat(),
      fc.boolean(),
      (payload, header, pick, isEcho) => {
        const to = { mac: GATEWAY.mac, ip: FOUR[pick % FOUR.length] as string };
        const four = ipv4({ from: A, to }, isEcho ? ICMP : UDP, payload);
        const destination = SIX[pick % SIX.length] as string;
        const ends = { from: A, to, source: 'fd00:74:1:2::14', destination };
        const six = ipv6Packet(ends, isEcho ? ICMPV6 : UDP, payload);
        for (const frame of [four, six]) stage.send(withVnet(frame, header));
        stage.round();
      },
    ),
    { numRuns: 200 },
  );
  expect(stage.sockets.size).toBeLessThan(100);
});
