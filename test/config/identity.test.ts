import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLoopbackIdentity, leaseAddress, loopbackIdentity } from '../../src/config/identity.ts';
import { resolveNetwork } from '../../src/config/resolve.ts';
import { formatIpv4, parseIpv4 } from '../../src/wire/ipv4.ts';
import { networkInput } from './fixtures.ts';

const network = resolveNetwork('default', networkInput({ hostPort: { address: '192.168.255.254' } }));
const small = resolveNetwork(
  'small',
  networkInput({ subnet: '10.0.0.0/29', gateway: '10.0.0.1', hostPort: { address: '10.0.0.6' } }),
);
const none: ReadonlySet<number> = new Set();
const shown = (address: number | undefined) => (address === undefined ? undefined : formatIpv4(address));

describe('leaseAddress', () => {
  test('the same id -> the same address, on every run', () => {
    expect(shown(leaseAddress('vm-02018', network, none))).toBe('192.168.214.28');
  });

  test('any id -> an address of the subnet that is nobody else’s', () => {
    const others = new Set([network.gateway, network.hostPort?.address]);
    fc.assert(
      fc.property(fc.string(), (id) => {
        const address = leaseAddress(id, network, none) as number;
        expect(address).toBeGreaterThan(0xc0a80000);
        expect(address).toBeLessThan(0xc0a8ffff);
        expect(others.has(address)).toBe(false);
      }),
    );
  });

  test('one after the other in a small subnet -> every free address once, then none', () => {
    const taken = new Set<number>();
    for (let i = 0; i < 4; i++) taken.add(leaseAddress(`vm-${i}`, small, taken) as number);
    expect([...taken].sort().map(shown)).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5']);
    expect(leaseAddress('vm-4', small, taken)).toBeUndefined();
  });

  test('a taken address -> the next; free again -> as before', () => {
    const first = leaseAddress('vm-1', network, none) as number;
    expect(leaseAddress('vm-1', network, new Set([first]))).toBe(first + 1);
    expect(leaseAddress('vm-1', network, none)).toBe(first);
  });

  test('4000 ids -> spread over the subnet', () => {
    const blocks = new Set<number>();
    for (let i = 0; i < 4000; i++) blocks.add((leaseAddress(`vm-${i}`, network, none) as number) >>> 8);
    expect(blocks.size).toBe(256);
  });
});

describe('loopbackIdentity', () => {
  const [first, last] = ['127.64.0.1', '127.127.255.254'].map((text) => parseIpv4(text) as number);

  test('the same id -> the same address, on every run', () => {
    expect(shown(loopbackIdentity('vm-02018', none))).toBe('127.123.253.212');
  });

  test('any id, anything taken -> inside the range, ending in neither 0 nor 255, not taken', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(600), (id, count) => {
        const taken = new Set<number>();
        for (let i = 0; i < count; i++) taken.add(loopbackIdentity(id, taken));
        expect(taken.size).toBe(count);
        for (const address of taken) {
          expect(address >= (first as number) && address <= (last as number)).toBe(true);
          expect([0, 255]).not.toContain(address & 0xff);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('the last address taken -> on from the first', () => {
    // An id whose hash says the 34th address from the end
    const taken = new Set<number>();
    let address = loopbackIdentity('wrap-18973', taken);
    while (address !== last) {
      taken.add(address);
      address = loopbackIdentity('wrap-18973', taken);
    }
    taken.add(address);
    expect(loopbackIdentity('wrap-18973', taken)).toBe(first);
  });
});

describe('isLoopbackIdentity', () => {
  test('any id`s identity -> true', () => {
    fc.assert(fc.property(fc.string(), (id) => isLoopbackIdentity(loopbackIdentity(id, none))));
  });

  test.each([
    ['127.64.0.0', true],
    ['127.127.255.255', true],
    ['127.63.255.255', false],
    ['127.128.0.0', false],
    ['255.64.0.1', false],
  ])('%s -> %s', (text, expected) => {
    expect(isLoopbackIdentity(parseIpv4(text) as number)).toBe(expected);
  });
});
