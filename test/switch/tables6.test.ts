/** Ports' IPv6 addresses. */
import { describe, expect, test } from 'vitest';
import {
  ADDRESS_CONFIGURED,
  allocateTables,
  KIND_VM,
  MAX_IPV6_ADDRESSES,
  MAX_PORTS,
  Tables,
} from '../../src/switch/tables.ts';

function twoPorts() {
  const memory = allocateTables();
  const tables = new Tables(memory, 0);
  tables.addPort(1, KIND_VM, 3);
  tables.addPort(2, KIND_VM, 3);
  return { memory, tables };
}

describe('IPv6 addresses', () => {
  test(`${MAX_IPV6_ADDRESSES} -> all known, one more refused`, () => {
    const { tables } = twoPorts();
    for (let i = 0; i < MAX_IPV6_ADDRESSES; i++) expect(tables.bindIpv6(1, 1, 2, 3, i)).toBe(true);
    expect(tables.bindIpv6(1, 1, 2, 3, 99)).toBe(false);
    for (let i = 0; i < MAX_IPV6_ADDRESSES; i++) expect(tables.hasIpv6(1, 1, 2, 3, i)).toBe(true);
    expect(tables.hasIpv6(2, 1, 2, 3, 0)).toBe(false);
  });

  test.each([
    [9, 2, 3, 4],
    [1, 9, 3, 4],
    [1, 2, 9, 4],
    [1, 2, 3, 9],
  ])('%i %i %i %i beside 1 2 3 4 -> another address', (...words) => {
    const { tables } = twoPorts();
    tables.bindIpv6(1, 1, 2, 3, 4);
    expect(tables.hasIpv6(1, ...words)).toBe(false);
    expect(tables.bindIpv6(2, ...words)).toBe(true);
    expect(tables.bindIpv6(2, 1, 2, 3, 4)).toBe(false);
  });
});

describe('IPv6 addresses of several ports', () => {
  test('of another port -> refused; of a port of another network -> given', () => {
    const { memory, tables } = twoPorts();
    tables.addPort(3, KIND_VM, 4);
    expect(tables.bindIpv6(1, 1, 2, 3, 4)).toBe(true);
    expect(new Tables(memory, 1).bindIpv6(2, 1, 2, 3, 4)).toBe(false);
    expect(tables.hasIpv6(2, 1, 2, 3, 4)).toBe(false);
    expect(tables.bindIpv6(3, 1, 2, 3, 4)).toBe(true);
  });

  test('of every port there may be, as many as each may have -> all given, and none a second time', () => {
    const { tables } = twoPorts();
    const addresses = [0, 1].map((i) => [0xfd000000 | 0, i, 0x04005eff] as const);
    for (let port = 1; port < MAX_PORTS; port++) {
      tables.addPort(port, KIND_VM, 3);
      for (const words of addresses) expect(tables.bindIpv6(port, ...words, port)).toBe(true);
    }
    for (let port = 2; port < MAX_PORTS; port++) {
      for (const words of addresses) expect(tables.bindIpv6(port, ...words, port - 1)).toBe(false);
    }
  });

  test('the same in many prefixes, by one port -> all given', () => {
    const { tables } = twoPorts();
    for (let i = 0; i < MAX_IPV6_ADDRESSES; i++) {
      expect(tables.bindIpv6(1, 0xfd000000 | 0, i << 16, 7, 7)).toBe(true);
    }
  });

  test.each([
    ['forgotten', (tables: Tables) => tables.forgetLearned(1)],
    ['its port removed', (tables: Tables) => tables.removePort(1)],
  ])('%s -> free for another port', (_name, forget) => {
    const { tables } = twoPorts();
    tables.bindIpv6(1, 1, 2, 3, 4);
    tables.bindIpv6(1, 1, 2, 3, 5);
    forget(tables);
    expect(tables.bindIpv6(2, 1, 2, 3, 4)).toBe(true);
    expect(tables.bindIpv6(2, 1, 2, 3, 5)).toBe(true);
  });
});

describe('an IPv6 address that is configured', () => {
  const OWN = [1, 2, 3, 4] as const;
  const configure = (tables: Tables, port: number) => tables.bindIpv6(port, ...OWN, ADDRESS_CONFIGURED);

  test('the carrier goes -> stays, those learned before and after it go', () => {
    const { tables } = twoPorts();
    tables.bindIpv6(1, 1, 2, 3, 5);
    expect(configure(tables, 1)).toBe(true);
    tables.bindIpv6(1, 1, 2, 3, 6);
    for (const last of [4, 5, 6]) expect(tables.hasIpv6(1, 1, 2, 3, last)).toBe(true);
    tables.forgetLearned(1);
    expect([4, 5, 6].map((last) => tables.hasIpv6(1, 1, 2, 3, last))).toEqual([true, false, false]);
    expect([4, 5, 6].map((last) => tables.bindIpv6(2, 1, 2, 3, last))).toEqual([false, true, true]);
  });

  test('learned elsewhere -> taken from there, the other port’s other addresses stay', () => {
    const { tables } = twoPorts();
    for (const last of [3, 4, 5]) tables.bindIpv6(2, 1, 2, 3, last);
    expect(configure(tables, 1)).toBe(true);
    expect(tables.hasIpv6(1, ...OWN)).toBe(true);
    expect([3, 4, 5].map((last) => tables.hasIpv6(2, 1, 2, 3, last))).toEqual([true, false, true]);
    expect(tables.bindIpv6(2, ...OWN)).toBe(false);
    tables.forgetLearned(2);
    expect(tables.bindIpv6(2, ...OWN)).toBe(false);
  });

  test('configured elsewhere, too -> the first keeps it', () => {
    const { tables } = twoPorts();
    expect(configure(tables, 1)).toBe(true);
    expect(configure(tables, 2)).toBe(false);
    expect([tables.hasIpv6(1, ...OWN), tables.hasIpv6(2, ...OWN)]).toEqual([true, false]);
  });

  test('its port removed -> free', () => {
    const { tables } = twoPorts();
    configure(tables, 1);
    tables.removePort(1);
    tables.addPort(1, KIND_VM, 3);
    expect(tables.hasIpv6(1, ...OWN)).toBe(false);
    expect(tables.bindIpv6(2, ...OWN)).toBe(true);
    tables.forgetLearned(1);
    expect(tables.hasIpv6(2, ...OWN)).toBe(true);
  });
});
