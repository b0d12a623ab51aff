/** IPv6 packets to IPv4 addresses in disguise (RFC 4291 section 2.5.5.2): no way round what IPv4 may not. */
import { describe, expect, test } from 'vitest';
import { expectMadeByGateway } from '../lib/check-frame.ts';
import { A, GATEWAY, PACKET, SYN } from '../lib/frames.ts';
import { echo6, tcp6, udp6 } from '../lib/frames6.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';

const SOURCE = 'fd00:74:1:2:400:c0ff:fea8:e';
const KINDS = [
  ['a SYN', (destination: string) => tcp6({ from: A, to: GATEWAY, source: SOURCE, destination, flags: SYN })],
  ['a datagram', (destination: string) => udp6({ from: A, to: GATEWAY, source: SOURCE, destination })],
  ['an echo request', (destination: string) => echo6({ from: A, to: GATEWAY, source: SOURCE, destination })],
] as const;
const ADDRESSES = ['::ffff:192.168.0.1', '::ffff:8.8.8.8', '::ffff:127.0.0.1', '::ffff:192.168.0.15'];

describe.each(ADDRESSES)('to %s', (address) => {
  test.each(KINDS)('%s -> administratively prohibited, no flow', (_name, make) => {
    const net = new ServiceSwitch();
    const a = net.vm(A);
    const { left, drops } = net.from(a).send(make(address));
    expect(drops).toEqual({ [a]: { prohibited: 1 } });
    expect(left).toHaveLength(1);
    const { frame } = left[0]!;
    expectMadeByGateway(frame);
    // Destination unreachable, administratively prohibited (RFC 4443 section 3.1)
    expect([...frame.subarray(PACKET + 40, PACKET + 42)]).toEqual([1, 1]);
    expect(net.gateway.tcp.flows.size).toBe(0);
  });
});
