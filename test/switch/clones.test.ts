/** Networks whose VMs all have the same addresses, as restored from one snapshot. */
import { describe, expect, test } from 'vitest';
import { NONE } from '../../src/switch/shared-map.ts';
import {
  ADDRESS_CONFIGURED,
  ADDRESS_LEARNED,
  ADDRESS_UNKNOWN,
  allocateTables,
  KIND_VM,
  MAX_IPV6_ADDRESSES,
  Tables,
} from '../../src/switch/tables.ts';
import { maskOf } from '../../src/wire/ipv4.ts';
import { A, arpRequest, B, GATEWAY, icmpEcho, ipv4Udp, NOBODY } from '../lib/frames.ts';
import { echo6, GATEWAY6 } from '../lib/frames6.ts';
import { ServiceSwitch } from '../lib/service-switch.ts';
import { dropped, int32 } from '../lib/test-switch.ts';

const NOW = 1000;
const HIGH = 0x0600;
const LOW = 0xc0a8000e | 0;
const ADDRESS = int32('192.168.0.14');

describe('in the tables', () => {
  function clones() {
    const tables = new Tables(allocateTables(), 0);
    const subnet = { gateway: int32('192.168.0.1'), subnet: int32('192.168.0.0'), mask: maskOf(16) };
    tables.setNetwork(3, { ...subnet, isolated: true, clones: true });
    for (const port of [1, 2]) tables.addPort(port, KIND_VM, 3);
    return tables;
  }

  test.each([ADDRESS_CONFIGURED, ADDRESS_LEARNED])(
    'the same addresses twice, state %i -> both have them',
    (state) => {
      const tables = clones();
      for (const port of [1, 2]) {
        expect(tables.bindMac(port, HIGH, LOW, state, NOW)).toBe(true);
        expect(tables.bindIp(port, ADDRESS, state, NOW)).toBe(true);
        expect(tables.bindIpv6(port, 1, 2, 3, 4)).toBe(true);
      }
      for (const port of [1, 2]) {
        expect([tables.macHigh(port), tables.macLow(port), tables.ip(port)]).toEqual([HIGH, LOW, ADDRESS]);
        expect([tables.macState(port), tables.ipState(port)]).toEqual([state, state]);
        expect(tables.hasIpv6(port, 1, 2, 3, 4)).toBe(true);
      }
    },
  );

  test('their addresses -> lead to no port, also after use', () => {
    const tables = clones();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    tables.bindIp(1, ADDRESS, ADDRESS_LEARNED, NOW);
    tables.refreshMac(1, NOW + 1);
    expect([...tables.fdb.entries(0)]).toEqual([]);
    expect([...tables.neighbours.entries(0)]).toEqual([]);
  });

  test('one forgets -> the other has them still', () => {
    const tables = clones();
    for (const port of [1, 2]) {
      tables.bindMac(port, HIGH, LOW, ADDRESS_LEARNED, NOW);
      tables.bindIp(port, ADDRESS, ADDRESS_LEARNED, NOW);
      tables.bindIpv6(port, 1, 2, 3, 4);
    }
    tables.forgetLearned(1);
    expect([tables.macState(1), tables.ipState(1)]).toEqual([ADDRESS_UNKNOWN, ADDRESS_UNKNOWN]);
    expect([tables.macState(2), tables.ipState(2)]).toEqual([ADDRESS_LEARNED, ADDRESS_LEARNED]);
    expect(tables.hasIpv6(2, 1, 2, 3, 4)).toBe(true);
  });

  test('an address of a port of another network -> untouched when a clone forgets the same', () => {
    const tables = clones();
    tables.addPort(3, KIND_VM, 4);
    tables.bindMac(3, HIGH, LOW, ADDRESS_LEARNED, NOW);
    tables.bindIpv6(3, 1, 2, 3, 4);
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    tables.bindIpv6(1, 1, 2, 3, 4);
    tables.forgetLearned(1);
    const entry = tables.fdb.find(LOW, HIGH, 4, NOW);
    expect(entry === NONE ? undefined : tables.fdb.value(entry)).toBe(3);
    tables.addPort(4, KIND_VM, 4);
    expect(tables.bindIpv6(4, 1, 2, 3, 4)).toBe(false);
  });

  test('nine IPv6 addresses -> eight given', () => {
    const tables = clones();
    for (let i = 0; i < MAX_IPV6_ADDRESSES; i++) expect(tables.bindIpv6(1, 1, 2, 3, i)).toBe(true);
    expect(tables.bindIpv6(1, 1, 2, 3, 99)).toBe(false);
  });
});

describe('on the wire', () => {
  test('the same MAC, IPv4 and IPv6 address at two ports -> both served, neither hears the other', () => {
    const net = new ServiceSwitch({ clones: true, host: false });
    const ports = [net.vm(A), net.vm(A), net.vm(), net.vm()];
    for (const port of ports) {
      const ping = echo6({ from: A, to: GATEWAY, source: 'fd00:74:1:2::a', destination: GATEWAY6 });
      for (const frame of [
        icmpEcho({ from: A, to: GATEWAY }),
        arpRequest({ from: A, about: GATEWAY }),
        ping,
      ]) {
        const { left, drops } = net.from(port).send(frame);
        expect(drops).toEqual({});
        expect(left.map((sent) => sent.port)).toEqual([port]);
      }
    }
  });

  test('a clone to its own address -> goes to none of them', () => {
    const net = new ServiceSwitch({ clones: true, host: false });
    const [a] = [net.vm(A), net.vm(A)];
    const stray = ipv4Udp({ from: A, to: { mac: A.mac, ip: NOBODY.ip } });
    expect(net.from(a).send(stray)).toEqual(dropped(a, 'unknown-unicast'));
    expect(net.from(a).send(arpRequest({ from: A, about: A }))).toEqual(dropped(a, 'isolated'));
  });

  test('learned at one port, spoofed at the same -> dropped', () => {
    const net = new ServiceSwitch({ clones: true, host: false });
    const a = net.vm();
    net.from(a).send(icmpEcho({ from: A, to: GATEWAY }));
    expect(net.from(a).send(icmpEcho({ from: B, to: GATEWAY }))).toEqual(dropped(a, 'spoofed-mac'));
    const another = icmpEcho({ from: { mac: A.mac, ip: B.ip }, to: GATEWAY });
    expect(net.from(a).send(another)).toEqual(dropped(a, 'spoofed-ip'));
  });
});
