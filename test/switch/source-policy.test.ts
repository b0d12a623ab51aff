import { describe, expect, test } from 'vitest';
import { FDB_AGE_SECONDS, MAX_IPV6_ADDRESSES } from '../../src/switch/tables.ts';
import {
  A,
  arp,
  arpRequest,
  B,
  ethernet,
  GATEWAY,
  HOST,
  icmpEcho,
  ipv4Udp,
  ipv6,
  NOBODY,
  type Station,
} from '../lib/frames.ts';
import { dropped, type Outcome, passed, TestSwitch } from '../lib/test-switch.ts';

const PTP = 0x88f7;

/** A shared network on which all that `a` may send reaches `b`, whose addresses are B's. */
function twoVms(configured: Partial<Station>) {
  const net = new TestSwitch({ mode: 'shared' });
  const a = net.vm(configured);
  const b = net.vm(B);
  return { net, a, b, send: (frame: Uint8Array): Outcome => net.from(a).send(frame) };
}

/** A frame without addresses of the network layer. */
function from(mac: string): Uint8Array {
  return ethernet({ from: { mac, ip: '' }, to: B }, PTP, [1]);
}

function packet(ip: string): Uint8Array {
  return ipv4Udp({ from: { ...A, ip }, to: B });
}

describe('MAC configured', () => {
  test('its own -> passes', () => {
    const { send, b } = twoVms(A);
    expect(send(from(A.mac))).toEqual(passed(from(A.mac), b));
  });

  test.each([
    ['another VM’s', B.mac],
    ['nobody’s', NOBODY.mac],
    ['the gateway’s', GATEWAY.mac],
    ['a group', '07:00:c0:a8:00:0e'],
    ['its own but for the last byte', '06:00:c0:a8:00:0d'],
    ['its own but for the first byte', '02:00:c0:a8:00:0e'],
  ])('%s as source -> dropped as spoofed-mac', (_name, mac) => {
    const { send, a } = twoVms(A);
    expect(send(from(mac))).toEqual(dropped(a, 'spoofed-mac'));
  });

  test('another MAC as ARP sender -> dropped as spoofed-mac', () => {
    const { send, a } = twoVms(A);
    expect(send(arp({ from: A, about: B, senderMac: NOBODY.mac }))).toEqual(dropped(a, 'spoofed-mac'));
    expect(send(arp({ from: A, about: B, senderMac: '02:00:c0:a8:00:0e' }))).toEqual(
      dropped(a, 'spoofed-mac'),
    );
  });

  test('carrier lost and back -> still the only one', () => {
    const { net, send, a } = twoVms(A);
    net.loseCarrier(a);
    net.tables.setCarrier(a, true);
    expect(send(from(NOBODY.mac))).toEqual(dropped(a, 'spoofed-mac'));
  });
});

describe('MAC not configured', () => {
  test('the first one used -> passes, and is the only one from then on', () => {
    const { send, a, b } = twoVms({});
    expect(send(from(A.mac))).toEqual(passed(from(A.mac), b));
    expect(send(from(NOBODY.mac))).toEqual(dropped(a, 'spoofed-mac'));
    expect(send(from(A.mac))).toEqual(passed(from(A.mac), b));
  });

  test('learned -> others reach it there', () => {
    const { net, send, a, b } = twoVms({});
    send(from(A.mac));
    const answer = ipv4Udp({ from: B, to: A });
    expect(net.from(b).send(answer)).toEqual(passed(answer, a));
  });

  test('carrier lost -> forgotten: another MAC may be the next, and another port may have the old one', () => {
    const { net, send, a, b } = twoVms({});
    send(from(A.mac));
    net.loseCarrier(a);
    net.tables.setCarrier(a, true);
    expect(send(from(NOBODY.mac))).toEqual(passed(from(NOBODY.mac), b));
    const c = net.vm();
    expect(net.from(c).send(from(A.mac))).toEqual(passed(from(A.mac), b));
  });

  test.each([
    ['a group', '07:00:c0:a8:00:0e'],
    ['the gateway’s', GATEWAY.mac],
    ['the host port’s', HOST.mac],
    ['one that another port is configured with', B.mac],
  ])('%s as source -> dropped as spoofed-mac, and not learned', (_name, mac) => {
    const { send, a, b } = twoVms({});
    expect(send(from(mac))).toEqual(dropped(a, 'spoofed-mac'));
    expect(send(from(A.mac))).toEqual(passed(from(A.mac), b));
  });

  test('one that another port has learned -> dropped as spoofed-mac', () => {
    const { net, send } = twoVms({});
    send(from(A.mac));
    const c = net.vm();
    expect(net.from(c).send(from(A.mac))).toEqual(dropped(c, 'spoofed-mac'));
  });

  test('one that another port learned, silent for longer than a destination lasts -> dropped as spoofed-mac', () => {
    const { net, send, b } = twoVms({});
    send(from(A.mac));
    net.clock.pass(FDB_AGE_SECONDS + 1);
    const c = net.vm();
    expect(net.from(c).send(from(A.mac))).toEqual(dropped(c, 'spoofed-mac'));
    expect(send(from(A.mac))).toEqual(passed(from(A.mac), b));
  });

  test('silent for longer than a destination lasts, then carrier lost -> forgotten by all', () => {
    const { net, send, a } = twoVms({});
    send(from(A.mac));
    net.clock.pass(FDB_AGE_SECONDS + 1);
    send(from(A.mac));
    net.loseCarrier(a);
    const c = net.vm();
    expect(net.from(c).send(from(A.mac)).drops).toEqual({});
  });

  test('one that a port of another network has -> passes: networks know nothing of each other', () => {
    const { net } = twoVms({});
    net.addNetwork(5, 'shared');
    const [other, peer] = [net.vm({}, { network: 5 }), net.vm({ mac: NOBODY.mac }, { network: 5 })];
    const frame = ethernet({ from: B, to: NOBODY }, PTP, []);
    expect(net.from(other).send(frame)).toEqual(passed(frame, peer));
  });
});

describe('IPv4 configured', () => {
  test.each([
    ['its own', A.ip],
    ['0.0.0.0', '0.0.0.0'],
    ['link-local', '169.254.7.7'],
  ])('%s as source -> passes', (_name, ip) => {
    const { send, b } = twoVms(A);
    expect(send(packet(ip))).toEqual(passed(packet(ip), b));
  });

  test.each([
    ['another VM’s', B.ip],
    ['nobody’s', NOBODY.ip],
    ['the gateway’s', GATEWAY.ip],
    ['the host’s', HOST.ip],
    ['one outside the subnet', '10.0.0.1'],
    ['just before link-local', '169.253.255.255'],
    ['just behind link-local', '169.255.0.0'],
  ])('%s as source -> dropped as spoofed-ip, in IPv4 and as ARP sender', (_name, ip) => {
    const { send, a } = twoVms(A);
    expect(send(packet(ip))).toEqual(dropped(a, 'spoofed-ip'));
    expect(send(arpRequest({ from: { ...A, ip }, about: B }))).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('a probe for an address (ARP sender 0.0.0.0) -> passes the source policy', () => {
    const { send, b } = twoVms(A);
    const probe = arpRequest({ from: { ...A, ip: '0.0.0.0' }, about: NOBODY });
    expect(send(probe)).toEqual(passed(probe, b));
  });

  test('carrier lost and back -> still the only one', () => {
    const { net, send, a } = twoVms(A);
    net.loseCarrier(a);
    net.tables.setCarrier(a, true);
    expect(send(packet(NOBODY.ip))).toEqual(dropped(a, 'spoofed-ip'));
  });
});

describe('IPv4 not configured', () => {
  test('the first one used -> passes, and is the only one from then on', () => {
    const { send, a, b } = twoVms({ mac: A.mac });
    expect(send(packet(A.ip))).toEqual(passed(packet(A.ip), b));
    expect(send(packet(NOBODY.ip))).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('first used as ARP sender -> learned the same', () => {
    const { send, a } = twoVms({ mac: A.mac });
    send(arpRequest({ from: A, about: GATEWAY }));
    expect(send(packet(NOBODY.ip))).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('0.0.0.0 and link-local used first -> pass, and are not learned', () => {
    const { send, b } = twoVms({ mac: A.mac });
    for (const ip of ['0.0.0.0', '169.254.7.7', A.ip])
      expect(send(packet(ip))).toEqual(passed(packet(ip), b));
  });

  test.each([
    ['the gateway’s', GATEWAY.ip],
    ['the host’s', HOST.ip],
    ['one that another port is configured with', B.ip],
    ['one outside the subnet', '10.0.0.1'],
    ['the subnet’s broadcast address', '192.168.255.255'],
    ['the subnet’s own address', '192.168.0.0'],
    ['a group', '224.0.0.1'],
  ])('%s as source -> dropped as spoofed-ip, and not learned', (_name, ip) => {
    const { send, a, b } = twoVms({ mac: A.mac });
    expect(send(packet(ip))).toEqual(dropped(a, 'spoofed-ip'));
    expect(send(packet(A.ip))).toEqual(passed(packet(A.ip), b));
  });

  test('one that another port has learned, however long ago -> dropped as spoofed-ip', () => {
    const { net, send } = twoVms({ mac: A.mac });
    send(packet(A.ip));
    net.clock.pass(10_000);
    const c = net.vm({ mac: NOBODY.mac });
    const frame = ipv4Udp({ from: { mac: NOBODY.mac, ip: A.ip }, to: B });
    expect(net.from(c).send(frame)).toEqual(dropped(c, 'spoofed-ip'));
  });

  test('without a host port -> its address is like any other', () => {
    const net = new TestSwitch({ mode: 'shared', host: false });
    const [a, b] = [net.vm({ mac: A.mac }), net.vm(B)];
    expect(net.from(a).send(packet(HOST.ip))).toEqual(passed(packet(HOST.ip), b));
  });

  test('carrier lost -> forgotten: another may be the next', () => {
    const { net, send, a, b } = twoVms({ mac: A.mac });
    send(packet(A.ip));
    net.loseCarrier(a);
    net.tables.setCarrier(a, true);
    expect(send(packet(NOBODY.ip))).toEqual(passed(packet(NOBODY.ip), b));
  });

  test('a frame refused for its MAC -> its IP is not learned', () => {
    const { send, a, b } = twoVms({ mac: A.mac });
    const forged = ipv4Udp({ from: { mac: NOBODY.mac, ip: NOBODY.ip }, to: B });
    expect(send(forged)).toEqual(dropped(a, 'spoofed-mac'));
    expect(send(packet(A.ip))).toEqual(passed(packet(A.ip), b));
  });
});

describe('IPv6', () => {
  const ends = { from: A, to: B };
  const six = (source: string) => ipv6(ends, source, 'fd00::b');

  test.each(['::', 'fe80::1', 'febf::1'])('source %s -> passes, however many there are', (source) => {
    const { send, b } = twoVms(A);
    for (let i = 0; i < 2 * MAX_IPV6_ADDRESSES; i++) send(six(`fe80::${i + 1}`));
    expect(send(six(source))).toEqual(passed(six(source), b));
  });

  test(`${MAX_IPV6_ADDRESSES} addresses in use -> all pass, the next is dropped as spoofed-ip`, () => {
    const { send, a, b } = twoVms(A);
    const addresses = Array.from({ length: MAX_IPV6_ADDRESSES }, (_, i) => `fd00::a:${i}`);
    for (const _round of [1, 2]) {
      for (const address of addresses) expect(send(six(address))).toEqual(passed(six(address), b));
    }
    expect(send(six('fd00::a:ff'))).toEqual(dropped(a, 'spoofed-ip'));
    expect(send(six('fec0::1'))).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('an address another port uses -> dropped as spoofed-ip; on another network it passes', () => {
    const { net, send, a, b } = twoVms(A);
    const theirs = ipv6({ from: B, to: A }, 'fd00::b', 'fd00::a');
    expect(net.from(b).send(theirs)).toEqual(passed(theirs, a));
    expect(send(six('fd00::b'))).toEqual(dropped(a, 'spoofed-ip'));
    net.addNetwork(5, 'shared');
    const [other, peer] = [net.vm(A, { network: 5 }), net.vm(B, { network: 5 })];
    expect(net.from(other).send(six('fd00::b'))).toEqual(passed(six('fd00::b'), peer));
  });

  test('a group as source -> dropped as spoofed-ip', () => {
    const { send, a } = twoVms(A);
    expect(send(six('ff02::1'))).toEqual(dropped(a, 'spoofed-ip'));
  });

  test('carrier lost -> forgotten: another port may use it', () => {
    const { net, send, a, b } = twoVms(A);
    send(six('fd00::a'));
    net.loseCarrier(a);
    const c = net.vm({ mac: NOBODY.mac });
    const frame = ipv6({ from: NOBODY, to: B }, 'fd00::a', 'fd00::b');
    expect(net.from(c).send(frame)).toEqual(passed(frame, b));
  });
});

describe('an address squatted on', () => {
  test('a VM attached with the MAC and IP another port has learned -> they are its, the squatter is a spoofer', () => {
    const { net, send, a } = twoVms({});
    const squat = ipv4Udp({ from: NOBODY, to: B });
    expect(send(squat).drops).toEqual({});
    const owner = net.vm(NOBODY);
    expect(net.from(owner).send(squat).drops).toEqual({});
    expect(send(squat)).toEqual(dropped(a, 'spoofed-mac'));
    expect(send(ipv4Udp({ from: { mac: A.mac, ip: NOBODY.ip }, to: B }))).toEqual(dropped(a, 'spoofed-ip'));
    const ping = icmpEcho({ from: HOST, to: NOBODY });
    expect(net.from(net.host).send(ping)).toEqual(passed(ping, owner));
  });
});
