import fc from 'fast-check';
import { expect, test } from 'vitest';
import { derivedPorts } from '../../src/forward/derived-port.ts';

test('the same id, port and protocol -> the same ports, on every run', () => {
  expect(derivedPorts('vm-02018', 6080, 'tcp').slice(0, 2)).toEqual([29197, 29198]);
});

test('another id, port or protocol -> other ports', () => {
  const firsts = [
    derivedPorts('vm-02018', 6080, 'tcp')[0],
    derivedPorts('vm-02019', 6080, 'tcp')[0],
    derivedPorts('vm-02018', 6081, 'tcp')[0],
    derivedPorts('vm-02018', 6080, 'udp')[0],
  ];
  expect(new Set(firsts).size).toBe(4);
});

test('any id -> eight different ports from 20000 to 29999', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 65535 }), (id, guestPort) => {
      const ports = derivedPorts(id, guestPort, 'tcp');
      expect(new Set(ports).size).toBe(8);
      expect(ports.every((port) => port >= 20_000 && port <= 29_999)).toBe(true);
    }),
  );
});
