/** What a VM may say in IPv6 neighbour discovery, and as whom. */
import { describe, expect, test } from 'vitest';
import { A, B, PACKET } from '../lib/frames.ts';
import {
  ALL_NODES,
  advertisement,
  echo6,
  GATEWAY_LINK_LOCAL,
  GATEWAY6,
  icmpv6,
  ipv6Packet,
  linkOption,
  routerSolicitation,
  solicitation,
  udp6,
} from '../lib/frames6.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { dropped, type Outcome, passed } from '../lib/test-switch.ts';

describe('the gateway’s IPv6 addresses', () => {
  const TO_B = { from: A, to: B, destination: 'fd00::b' };

  test.each([GATEWAY6, GATEWAY_LINK_LOCAL])(
    '%s as source -> dropped as spoofed-ip, also among clones',
    (source) => {
      for (const net of [
        new ServiceSwitch({ mode: 'shared' }),
        new ServiceSwitch({ clones: true, host: false }),
      ]) {
        const [a] = [net.vm(A), net.vm(B)];
        expect(net.from(a).send(udp6({ ...TO_B, source }))).toEqual(dropped(a, 'spoofed-ip'));
        expect(net.from(a).send(solicitation({ from: A, source }, 'fd00::b'))).toEqual(
          dropped(a, 'spoofed-ip'),
        );
      }
    },
  );

  test('the link-local one, where the gateway has no other -> dropped all the same', () => {
    const net = new ServiceSwitch({ mode: 'shared', six: false });
    const [a] = [net.vm(A), net.vm(B)];
    const frame = udp6({ ...TO_B, source: GATEWAY_LINK_LOCAL });
    expect(net.from(a).send(frame)).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('addresses beside them -> pass', () => {
    const net = new ServiceSwitch({ mode: 'shared' });
    const [a, b] = [net.vm(A), net.vm(B)];
    for (const source of ['fd00:74:1:2::2', 'fe80::74:61ff:fe70:7378', 'fe80:0:0:1:74:61ff:fe70:7377']) {
      const frame = udp6({ ...TO_B, source });
      expect(net.from(a).send(frame)).toEqual(passed(frame, b));
    }
  });
});

describe('neighbour discovery between VMs', () => {
  const A_LOCAL = 'fe80::400:c0ff:fea8:e';
  const SPEAKER = { from: A, source: A_LOCAL };

  function scene() {
    const net = new ServiceSwitch({ mode: 'shared' });
    const [a, b] = [net.vm(A), net.vm(B)];
    return { net, a, b, send: (frame: Uint8Array): Outcome => net.from(a).sendUnsound(frame) };
  }

  test.each([
    ['its link-local address', A_LOCAL],
    ['an address that nobody has', 'fd00:74:1:2::a'],
  ])('an advertisement of %s, to all and to one -> passes', (_name, target) => {
    const { send, b } = scene();
    const toOne = { ...SPEAKER, to: B, destination: 'fe80::b' };
    for (const frame of [advertisement(SPEAKER, target), advertisement(toOne, target, 0x60)]) {
      expect(send(frame)).toEqual(passed(frame, b));
    }
  });

  test('an advertised address -> is the VM’s from then on', () => {
    const { net, send, b } = scene();
    send(advertisement(SPEAKER, 'fd00:74:1:2::a'));
    const theft = udp6({ from: B, to: A, source: 'fd00:74:1:2::a', destination: 'fd00::1' });
    expect(net.from(b).send(theft)).toEqual(dropped(b, 'spoofed-ip'));
  });

  test.each([
    ['the gateway’s address', GATEWAY6],
    ['the gateway’s link-local address', GATEWAY_LINK_LOCAL],
    ['another VM’s address', 'fd00:74:1:2::b'],
    ['a group', 'ff02::1'],
  ])('an advertisement of %s -> dropped as spoofed-ip', (_name, target) => {
    const { net, send, a, b } = scene();
    net.from(b).send(udp6({ from: B, to: A, source: 'fd00:74:1:2::b', destination: 'fd00::a' }));
    const toOne = { ...SPEAKER, to: B, destination: 'fe80::b' };
    for (const frame of [advertisement(SPEAKER, target), advertisement(toOne, target, 0x60)]) {
      expect(send(frame)).toEqual(dropped(a, 'spoofed-ip'));
    }
  });

  test.each([
    ['an advertisement', advertisement({ ...SPEAKER, options: linkOption(2, B.mac) }, A_LOCAL)],
    ['a solicitation', solicitation({ ...SPEAKER, options: linkOption(1, B.mac) }, 'fd00::b')],
    ['a solicitation of the gateway', solicitation({ ...SPEAKER, options: linkOption(1, B.mac) }, GATEWAY6)],
    ['a router solicitation', routerSolicitation({ ...SPEAKER, options: linkOption(1, B.mac) })],
    [
      'a second byte of it',
      advertisement({ ...SPEAKER, options: linkOption(2, '06:01:c0:a8:00:0e') }, A_LOCAL),
    ],
  ])('%s that gives another MAC for the sender -> dropped as spoofed-mac', (_name, frame) => {
    const { send, a } = scene();
    expect(send(frame)).toEqual(dropped(a, 'spoofed-mac'));
  });

  test.each([
    ['a router advertisement', 134, new Array(12).fill(0)],
    ['a redirect', 137, new Array(36).fill(0)],
  ])('%s -> dropped as spoofed-ip, to all, to one, and behind a header', (_name, type, rest) => {
    const { send, a } = scene();
    const toAll = { ...SPEAKER, to: ALL_NODES, destination: 'ff02::1', hopLimit: 255 };
    const message = icmpv6(toAll, type, 0, rest).slice(PACKET + 40);
    for (const frame of [
      icmpv6(toAll, type, 0, rest),
      icmpv6({ ...toAll, to: B, destination: 'fe80::b' }, type, 0, rest),
      ipv6Packet({ ...toAll, hopByHop: [58, 0, 1, 4, 0, 0, 0, 0] }, 58, message),
    ]) {
      expect(send(frame)).toEqual(dropped(a, 'spoofed-ip'));
    }
  });

  test.each([
    ['with an option of no bytes', solicitation({ ...SPEAKER, options: new Array(8).fill(0) }, 'fd00::b')],
    ['cut short', icmpv6({ ...SPEAKER, to: B, destination: 'fe80::b' }, 135, 0, new Array(8).fill(0))],
    [
      'that is no whole ICMPv6',
      ipv6Packet({ ...SPEAKER, to: B, destination: 'fe80::b' }, 58, [135, 0, 0, 0]),
    ],
    [
      'behind more headers than anybody needs',
      ipv6Packet(
        { ...SPEAKER, to: B, destination: 'fe80::b' },
        60,
        new Array(9).fill([60, 0, 1, 4, 0, 0, 0, 0]).flat(),
      ),
    ],
  ])('a solicitation %s -> dropped as malformed', (_name, frame) => {
    const { send, a } = scene();
    expect(send(frame)).toEqual(dropped(a, 'malformed'));
  });

  test('an echo request, and a fragment of one -> pass', () => {
    const { send, b } = scene();
    const ends = { from: A, to: B, source: A_LOCAL, destination: 'fe80::b' };
    for (const frame of [
      echo6(ends),
      ipv6Packet(ends, 44, [58, 0, 0, 1, 0, 0, 0, 1, 128, 0, 0, 0, 0, 0, 0, 1]),
    ]) {
      expect(send(frame)).toEqual(passed(frame, b));
    }
  });
});
