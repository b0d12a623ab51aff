import { describe, expect, test } from 'vitest';
import { MAX_NETWORKS } from '../../src/config/limits.ts';
import { NONE } from '../../src/switch/shared-map.ts';
import {
  ADDRESS_CONFIGURED,
  ADDRESS_LEARNED,
  ADDRESS_UNKNOWN,
  allocateTables,
  FDB_AGE_SECONDS,
  KIND_HOST,
  KIND_NONE,
  KIND_VM,
  MAX_PORTS,
  Tables,
} from '../../src/switch/tables.ts';
import { maskOf } from '../../src/wire/ipv4.ts';
import { int32 } from '../lib/test-switch.ts';

const NOW = 1000;
const HIGH = 0x0600;
const LOW = 0xc0a8000e | 0;
const ADDRESS = int32('192.168.0.14');

function twoPorts() {
  const memory = allocateTables();
  const tables = new Tables(memory, 0);
  tables.addPort(1, KIND_VM, 3);
  tables.addPort(2, KIND_VM, 3);
  return { memory, tables };
}

/** Port that is a destination for a MAC now, or undefined. */
function destination(tables: Tables, now: number, low = LOW, network = 3): number | undefined {
  const entry = tables.fdb.find(low, HIGH, network, now);
  return entry === NONE ? undefined : tables.fdb.value(entry);
}

describe('networks', () => {
  const record = {
    isolated: true,
    gateway: int32('10.1.0.1'),
    subnet: int32('10.1.0.0'),
    mask: maskOf(30),
  };

  test.each([0, MAX_NETWORKS - 1])('network %i: set -> read back, and no other changed', (network) => {
    const { tables } = twoPorts();
    tables.setNetwork(network, record);
    tables.setHostPort(network, 7, int32('10.1.0.2'));
    expect(tables.isolated(network)).toBe(true);
    expect(tables.gatewayAddress(network)).toBe(record.gateway);
    expect(tables.hostPort(network)).toBe(7);
    expect(tables.hostAddress(network)).toBe(int32('10.1.0.2'));
    expect(tables.isolated(1)).toBe(false);
    expect(tables.hostPort(1)).toBe(0);
  });

  test('without IPv6, MTU and clones -> no IPv6 gateway, prefixes of 64 bits, 1500 bytes, no clones', () => {
    const { tables } = twoPorts();
    tables.setNetwork(3, { ...record, gateway6: [1, 2, 3, 4], prefix6: 48, mtu: 9000, clones: true });
    tables.setNetwork(3, record);
    expect(tables.hasGateway6(3)).toBe(false);
    expect(tables.isGateway6(3, 1, 2, 3, 4)).toBe(false);
    expect([tables.prefix6(3), tables.mtu(3), tables.clones(3)]).toEqual([64, 1500, false]);
  });

  test('with all of them -> read back, and no other network changed', () => {
    const { tables } = twoPorts();
    const gateway6 = [0xfd000000 | 0, 2, -3, 1] as const;
    tables.setNetwork(3, { ...record, gateway6, prefix6: 56, mtu: 65_520, clones: true });
    expect(tables.hasGateway6(3)).toBe(true);
    expect([0, 1, 2, 3].map((i) => tables.gateway6(3, i))).toEqual([...gateway6]);
    expect(tables.isGateway6(3, ...gateway6)).toBe(true);
    expect([tables.prefix6(3), tables.mtu(3), tables.clones(3)]).toEqual([56, 65_520, true]);
    expect(tables.mask(3)).toBe(record.mask);
    for (const other of [2, 4]) {
      expect([tables.hasGateway6(other), tables.mtu(other), tables.clones(other)]).toEqual([false, 0, false]);
    }
  });

  test.each([0, 1, 2, 3])('IPv6 gateway: another word %i -> another address', (i) => {
    const { tables } = twoPorts();
    tables.setNetwork(3, { ...record, gateway6: [1, 2, 3, 4] });
    const words: [number, number, number, number] = [1, 2, 3, 4];
    words[i] = 9;
    expect(tables.isGateway6(3, ...words)).toBe(false);
  });

  test('set again -> without the host port it had', () => {
    const { tables } = twoPorts();
    tables.setHostPort(3, 7, 1);
    tables.setNetwork(3, { ...record, isolated: false });
    expect(tables.hostPort(3)).toBe(0);
    expect(tables.isolated(3)).toBe(false);
  });

  test.each([
    ['10.1.0.0', true, true],
    ['10.1.0.1', true, false],
    ['10.1.0.3', true, true],
    ['10.1.0.4', false, false],
    ['10.0.255.255', false, false],
    ['138.1.0.1', false, false],
  ])('10.1.0.0/30: %s -> inside %s, first or last %s', (address, inside, edge) => {
    const { tables } = twoPorts();
    tables.setNetwork(3, record);
    expect(tables.inSubnet(3, int32(address))).toBe(inside);
    expect(tables.isBroadcast(3, int32(address))).toBe(edge);
  });

  test.each([0, 1, 31, 32, 8080, 65_535])('port %i allowed from guests -> that one alone', (port) => {
    const { tables } = twoPorts();
    tables.allowFromGuests(3, 'udp', port);
    const allowed = Array.from({ length: 65_536 }, (_, i) => i).filter((i) =>
      tables.allowedFromGuests(3, true, i),
    );
    expect(allowed).toEqual([port]);
    expect(tables.allowedFromGuests(3, false, port)).toBe(false);
    expect(tables.allowedFromGuests(2, true, port)).toBe(false);
    expect(tables.allowedFromGuests(4, true, port)).toBe(false);
  });

  test('several ports of one word allowed -> all of them', () => {
    const { tables } = twoPorts();
    for (const port of [64, 65, 95]) tables.allowFromGuests(3, 'tcp', port);
    expect([64, 65, 66, 95].map((port) => tables.allowedFromGuests(3, false, port))).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });
});

describe('ports', () => {
  test('added -> of its kind and network, no carrier, no addresses', () => {
    const { tables } = twoPorts();
    tables.addPort(MAX_PORTS - 1, KIND_HOST, 5);
    expect(tables.kind(MAX_PORTS - 1)).toBe(KIND_HOST);
    expect(tables.network(MAX_PORTS - 1)).toBe(5);
    expect(tables.carrier(MAX_PORTS - 1)).toBe(false);
    expect(tables.macState(MAX_PORTS - 1)).toBe(ADDRESS_UNKNOWN);
    expect(tables.ipState(MAX_PORTS - 1)).toBe(ADDRESS_UNKNOWN);
  });

  test('removed -> no kind, and nothing leads to it any more', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_CONFIGURED, NOW);
    tables.bindIp(1, ADDRESS, ADDRESS_CONFIGURED, NOW);
    tables.hostFlows.insert(ADDRESS, 1, 1, 1, NOW + 10, 0);
    tables.removePort(1);
    expect(tables.kind(1)).toBe(KIND_NONE);
    for (const map of [tables.fdb, tables.neighbours, tables.hostFlows]) {
      expect([...map.entries(NOW)]).toEqual([]);
    }
  });

  test('removed, then another VM at the same number -> with nothing of the old one', () => {
    const { tables } = twoPorts();
    tables.setCarrier(1, true);
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    tables.bindIp(1, ADDRESS, ADDRESS_LEARNED, NOW);
    tables.bindIpv6(1, 1, 2, 3, 4);
    tables.removePort(1);
    tables.addPort(1, KIND_VM, 4);
    expect(tables.carrier(1)).toBe(false);
    expect(tables.macState(1)).toBe(ADDRESS_UNKNOWN);
    expect(tables.ipState(1)).toBe(ADDRESS_UNKNOWN);
    expect(tables.hasIpv6(1, 1, 2, 3, 4)).toBe(false);
  });

  test('a lease -> kept until the port is another VM’s', () => {
    const { tables } = twoPorts();
    expect(tables.leaseAddress(1)).toBe(0);
    tables.setLease(1, ADDRESS);
    tables.forgetLearned(1);
    expect([tables.leaseAddress(1), tables.leaseAddress(2)]).toEqual([ADDRESS, 0]);
    tables.removePort(1);
    tables.addPort(1, KIND_VM, 3);
    expect(tables.leaseAddress(1)).toBe(0);
  });

  test('changed by one thread -> seen by the other', () => {
    const { memory, tables } = twoPorts();
    const other = new Tables(memory, 1);
    tables.setCarrier(1, true);
    tables.bindMac(1, HIGH, LOW, ADDRESS_CONFIGURED, NOW);
    expect(other.carrier(1)).toBe(true);
    expect(other.macLow(1)).toBe(LOW);
    expect(destination(other, NOW)).toBe(1);
  });
});

describe('a MAC', () => {
  test('of every port there may be -> each found', () => {
    const { tables } = twoPorts();
    for (let port = 1; port < MAX_PORTS; port++) {
      tables.addPort(port, KIND_VM, 3);
      expect(tables.bindMac(port, HIGH, LOW + port, ADDRESS_CONFIGURED, NOW)).toBe(true);
    }
    for (let port = 1; port < MAX_PORTS; port++) expect(destination(tables, NOW, LOW + port)).toBe(port);
  });

  test('configured -> a destination for ever', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_CONFIGURED, NOW);
    tables.refreshMac(1, NOW + 1);
    expect(destination(tables, 0x7ffffffe)).toBe(1);
  });

  test(`learned, then silence -> no destination after ${FDB_AGE_SECONDS} s`, () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    expect(destination(tables, NOW + FDB_AGE_SECONDS - 1)).toBe(1);
    expect(destination(tables, NOW + FDB_AGE_SECONDS)).toBeUndefined();
  });

  test('learned, then in use -> goes on being a destination', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    tables.refreshMac(1, NOW + 200);
    expect(destination(tables, NOW + 200 + FDB_AGE_SECONDS - 1)).toBe(1);
    expect(destination(tables, NOW + 200 + FDB_AGE_SECONDS)).toBeUndefined();
  });

  test('learned, aged away, in use again -> a destination again', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    const later = NOW + 2 * FDB_AGE_SECONDS;
    tables.refreshMac(1, later);
    expect(destination(tables, later)).toBe(1);
    expect([...tables.fdb.entries(0)]).toHaveLength(1);
  });

  test('of another port -> refused, and both stay as they were', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    expect(tables.bindMac(2, HIGH, LOW, ADDRESS_LEARNED, NOW + 2 * FDB_AGE_SECONDS)).toBe(false);
    expect(tables.macState(1)).toBe(ADDRESS_LEARNED);
    expect(tables.macState(2)).toBe(ADDRESS_UNKNOWN);
  });

  test('configured for one port while another has learned it -> goes to the first, for ever', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    expect(tables.bindMac(2, HIGH, LOW, ADDRESS_CONFIGURED, NOW)).toBe(true);
    expect(tables.macState(1)).toBe(ADDRESS_UNKNOWN);
    tables.forgetLearned(1);
    expect(destination(tables, NOW + FDB_AGE_SECONDS)).toBe(2);
  });

  test('configured for two ports -> the first keeps it', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_CONFIGURED, NOW);
    expect(tables.bindMac(2, HIGH, LOW, ADDRESS_CONFIGURED, NOW)).toBe(false);
    expect(destination(tables, NOW)).toBe(1);
  });
});

describe('an IPv4 address', () => {
  const holder = (tables: Tables) => tables.neighbours.value(tables.neighbours.find(ADDRESS, 0, 3, NOW));

  test('of another port -> refused; on another network -> given', () => {
    const { tables } = twoPorts();
    expect(tables.bindIp(1, ADDRESS, ADDRESS_LEARNED, NOW)).toBe(true);
    expect(tables.bindIp(2, ADDRESS, ADDRESS_LEARNED, NOW)).toBe(false);
    expect(tables.ipState(2)).toBe(ADDRESS_UNKNOWN);
    tables.addPort(3, KIND_VM, 4);
    expect(tables.bindIp(3, ADDRESS, ADDRESS_LEARNED, NOW)).toBe(true);
    expect(holder(tables)).toBe(1);
  });

  test('configured for one port while another has learned it -> goes to the first', () => {
    const { tables } = twoPorts();
    tables.bindIp(1, ADDRESS, ADDRESS_LEARNED, NOW);
    expect(tables.bindIp(2, ADDRESS, ADDRESS_CONFIGURED, NOW)).toBe(true);
    expect(tables.ipState(1)).toBe(ADDRESS_UNKNOWN);
    tables.forgetLearned(1);
    expect(holder(tables)).toBe(2);
  });
});

describe('forgetLearned', () => {
  test('configured addresses -> kept', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_CONFIGURED, NOW);
    tables.bindIp(1, ADDRESS, ADDRESS_CONFIGURED, NOW);
    tables.forgetLearned(1);
    expect(destination(tables, NOW)).toBe(1);
    expect(tables.macState(1)).toBe(ADDRESS_CONFIGURED);
    expect(tables.ipState(1)).toBe(ADDRESS_CONFIGURED);
  });

  test('learned addresses -> gone, and free for another port', () => {
    const { tables } = twoPorts();
    tables.bindMac(1, HIGH, LOW, ADDRESS_LEARNED, NOW);
    tables.bindIp(1, ADDRESS, ADDRESS_LEARNED, NOW);
    tables.forgetLearned(1);
    expect(tables.macState(1)).toBe(ADDRESS_UNKNOWN);
    expect(tables.ipState(1)).toBe(ADDRESS_UNKNOWN);
    expect(tables.bindMac(2, HIGH, LOW, ADDRESS_LEARNED, NOW)).toBe(true);
    expect(tables.bindIp(2, ADDRESS, ADDRESS_LEARNED, NOW)).toBe(true);
  });
});

test('a thread that died holding every lock -> unlockDead frees them', () => {
  const { memory, tables } = twoPorts();
  const locks = [memory.fdb, memory.neighbours, memory.neighbours6, memory.hostFlows].map(
    (map) => new Int32Array(map),
  );
  for (const lock of locks) lock[0] = 5 + 1;
  tables.unlockDead(5);
  expect(locks.map((lock) => lock[0])).toEqual([0, 0, 0, 0]);
});
