import pino from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { Allocations } from '../../src/config/allocations.ts';
import { leaseAddress } from '../../src/config/identity.ts';
import { resolveNetwork, type VmConfig } from '../../src/config/resolve.ts';
import { Leases, type Lessee } from '../../src/engine/leases.ts';
import { ADDRESS_LEARNED, allocateTables, KIND_VM, Tables } from '../../src/switch/tables.ts';

const network = resolveNetwork('default', { subnet: '10.0.0.0/29', gateway: '10.0.0.1' });
const clones = resolveNetwork('clones', { subnet: '10.0.0.0/30', gateway: '10.0.0.1', clones: true });
const FIRST = 0x0a000002;

let tables: Tables;
let kept: Allocations;
let leases: Leases;
let warnings: number;

beforeEach(() => {
  tables = new Tables(allocateTables(), 0);
  warnings = 0;
  kept = new Allocations();
  leases = new Leases(tables, kept, pino({ level: 'warn' }, { write: () => void warnings++ }));
});

function lessee(number: number, ip?: number): Lessee {
  tables.addPort(number, KIND_VM, 0);
  const vm: VmConfig = {
    id: `vm-${number}`,
    network: 'x',
    tap: 't',
    takeover: false,
    forwards: [],
    egress: [],
  };
  return { number, vm: ip === undefined ? vm : { ...vm, ip } };
}

const leaseOf = ({ number }: Lessee) => tables.leaseAddress(number) >>> 0;

describe('VM without an address', () => {
  test('nobody else: -> the one that follows from its id', () => {
    const one = lessee(1);
    leases.give(one, network, [], () => []);
    expect(leaseOf(one)).toBe(leaseAddress('vm-1', network, new Set()));
  });

  test('addresses configured, expected, learned and leased: -> the one that is left', () => {
    const [configured, learned, leased] = [lessee(1, FIRST), lessee(2), lessee(3)];
    tables.bindIp(2, FIRST + 1, ADDRESS_LEARNED, 0);
    tables.setLease(3, FIRST + 2);
    const one = lessee(4);
    leases.give(one, network, [configured, learned, leased], () => [lessee(9, FIRST + 3).vm]);
    expect(leaseOf(one)).toBe(FIRST + 4);
    expect(warnings).toBe(0);
  });

  test('none left: -> none, and a warning', () => {
    const others = [0, 1, 2, 3, 4].map((i) => lessee(i + 1, FIRST + i));
    const one = lessee(9);
    leases.give(one, network, others, () => []);
    expect([leaseOf(one), warnings]).toEqual([0, 1]);
  });

  test('network of clones with one address: -> each has it', () => {
    const [one, other] = [lessee(1), lessee(2)];
    leases.give(one, clones, [], () => []);
    leases.give(other, clones, [one], () => []);
    expect([leaseOf(one), leaseOf(other)]).toEqual([FIRST, FIRST]);
  });
});

describe('VM with an address', () => {
  test('another was offered it: -> that one is given a new one', () => {
    const one = lessee(1);
    leases.give(one, network, [], () => []);
    const wanted = leaseOf(one);
    const newcomer = lessee(2, wanted);
    leases.give(newcomer, network, [one, newcomer], () => []);
    expect(leaseOf(newcomer)).toBe(0);
    expect(leaseOf(one)).not.toBe(wanted);
    expect(leaseOf(one)).toBeGreaterThanOrEqual(FIRST);
  });

  test('network of clones: -> nobody is moved', () => {
    const one = lessee(1);
    leases.give(one, clones, [], () => []);
    leases.give(lessee(2, FIRST), clones, [one], () => []);
    expect(leaseOf(one)).toBe(FIRST);
  });
});

describe('what was leased before', () => {
  const chosen = { leased: '10.0.0.4', loopback: '127.64.0.1', forwards: [] };

  test('VM it is kept for: -> leased to it again, where that is possible', () => {
    kept.keep('vm-1', chosen);
    const one = lessee(1);
    leases.give(one, network, [], () => []);
    expect(leaseOf(one)).toBe(FIRST + 2);
    leases.give(one, network, [lessee(2, FIRST + 2)], () => []);
    expect(leaseOf(one)).toBe(FIRST + 3);
  });

  test('it is of another network by now: -> one of this', () => {
    kept.keep('vm-1', { ...chosen, leased: '192.168.0.4' });
    const one = lessee(1);
    leases.give(one, network, [], () => []);
    expect(leaseOf(one)).toBe(leaseAddress('vm-1', network, new Set()));
  });

  test('another VM: -> not leased to it, in a network of clones apart', () => {
    const first = leaseAddress('vm-1', network, new Set()) as number;
    kept.keep('vm-2', { ...chosen, leased: `10.0.0.${first & 255}` });
    const one = lessee(1);
    leases.give(one, network, [], () => []);
    expect(leaseOf(one)).toBe(leaseAddress('vm-1', network, new Set([first])));
    kept.drop('vm-2');
    kept.keep('vm-2', { ...chosen, leased: '10.0.0.2' });
    leases.give(one, clones, [], () => []);
    expect(leaseOf(one)).toBe(FIRST);
  });
});
