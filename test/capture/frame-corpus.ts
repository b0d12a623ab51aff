/** Frames of every kind a filter tells apart, from few addresses and ports so that conditions meet them often. */

/** Deterministic numbers below `n` (mulberry32). */
export function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const MACS = ['020000000001', '020000000002', 'ffffffffffff', '01005e000001', '333300000001'];
const ADDRESSES = ['0a000001', '0a000002', '0a010203', 'c0a80001', 'e0000001', 'ffffffff'];
const ADDRESSES6 = [
  'fd000000000000000000000000000001',
  'fd000000000000000000000000000002',
  'fe800000000000000000000000000001',
  'ff020000000000000000000000000001',
];
const PORTS = [20, 22, 53, 80, 443, 8080, 5353];
const PROTOCOLS = [1, 2, 6, 6, 6, 17, 17, 58, 132, 47, 89];
const TAGS = ['8100', '88a8', '9100'];

export function makeFrames(count: number, seed: number): Buffer[] {
  const random = numbers(seed);
  const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  const transport = (protocol: number): string => {
    const ports = hex(pick(PORTS), 4) + hex(pick(PORTS), 4);
    const flags = hex(pick([0x02, 0x12, 0x10, 0x18, 0x11, 0x04]), 2);
    switch (protocol) {
      case 6:
        return `${ports}${hex(random(2 ** 32), 8)}00000000${'50'}${flags}ffff00000000`;
      case 1:
        return `${hex(pick([0, 3, 8, 11]), 2)}${hex(random(4), 2)}000012340001`;
      case 58:
        return `${hex(pick([128, 129, 133, 134, 135, 136]), 2)}00000012340001`;
      default:
        return `${ports}${hex(8 + random(20), 4)}0000`;
    }
  };
  const ip = () => {
    const protocol = pick(PROTOCOLS);
    const words = pick([5, 5, 5, 6, 15]);
    const fragment = hex(pick([0, 0, 0, 0x4000, 0x2000, 0x0010]), 4);
    const options = '01'.repeat(4 * (words - 5));
    const head = `4${hex(words, 1)}00${hex(40 + random(100), 4)}0001${fragment}40${hex(protocol, 2)}0000`;
    return `0800${head}${pick(ADDRESSES)}${pick(ADDRESSES)}${options}${transport(protocol)}`;
  };
  const ip6 = () => {
    const protocol = pick(PROTOCOLS);
    const next = pick([protocol, protocol, protocol, 44, 0]);
    const extension = next === protocol ? '' : `${hex(protocol, 2)}00000000000000`;
    return `86dd60000000${hex(20 + random(50), 4)}${hex(next, 2)}40${pick(ADDRESSES6)}${pick(ADDRESSES6)}${extension}${transport(protocol)}`;
  };
  const arp = () => {
    const type = pick(['0806', '0806', '8035']);
    return `${type}0001080006040001${pick(MACS)}${pick(ADDRESSES)}${pick(MACS)}${pick(ADDRESSES)}`;
  };
  const other = () => `${pick(['88cc', '0026', '0600', '8863'])}${'00'.repeat(random(30))}`;
  return Array.from({ length: count }, () => {
    const tag = () => `${pick(TAGS)}${hex(random(8), 1)}${hex(pick([1, 5, 100]), 3)}`;
    const tags = Array.from({ length: pick([0, 0, 0, 0, 1, 1, 2]) }, tag).join('');
    const payload = pick([ip, ip, ip, ip6, ip6, arp, other])() + hex(random(256), 2).repeat(random(60));
    const whole = Buffer.from(pick(MACS) + pick(MACS) + tags + payload, 'hex');
    return random(6) === 0 ? whole.subarray(0, 1 + random(whole.length - 1)) : whole;
  });
}
