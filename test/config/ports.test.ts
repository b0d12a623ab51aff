import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAllowedPort, parsePortForward } from '../../src/config/ports.ts';

const tcp = { protocol: 'tcp', hostAddress: 0x7f000001, hostPort: 16080, guestPort: 6080 };

describe('parsePortForward', () => {
  test.each([
    ['16080:6080', tcp],
    ['127.0.0.1:16080:6080', tcp],
    ['16080:6080/tcp', tcp],
    ['0.0.0.0:53:5353/udp', { protocol: 'udp', hostAddress: 0, hostPort: 53, guestPort: 5353 }],
    ['1:65535', { ...tcp, hostPort: 1, guestPort: 65535 }],
  ])('%s -> read', (text, forward) => {
    expect(parsePortForward(text)).toEqual(forward);
  });

  test.each([
    '',
    '6080',
    ':6080',
    '0:6080',
    '16080:0',
    '65536:1',
    '016080:6080',
    '+1:2',
    '1:2:3',
    'localhost:1:2',
    '127.0.0.1:1:2:3',
    '1:2/',
    '1:2/sctp',
    '1:2/tcp/udp',
    '1 : 2',
  ])('%j -> not a forward', (text) => {
    expect(parsePortForward(text)).toBeUndefined();
  });

  test('any text -> never throws, and what is read has ports in range', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789.:/tcpud ') }), (text) => {
        const forward = parsePortForward(text);
        if (forward === undefined) return;
        for (const port of [forward.hostPort, forward.guestPort]) {
          expect(port).toBeGreaterThanOrEqual(1);
          expect(port).toBeLessThanOrEqual(65535);
        }
      }),
    );
  });
});

describe('parseAllowedPort', () => {
  test('tcp/7000 and udp/53 -> read', () => {
    expect(parseAllowedPort('tcp/7000')).toEqual({ protocol: 'tcp', port: 7000 });
    expect(parseAllowedPort('udp/53')).toEqual({ protocol: 'udp', port: 53 });
  });

  test.each(['', 'tcp', '7000', 'tcp/', 'tcp/0', 'tcp/65536', 'TCP/1', 'tcp/1/2', 'icmp/1'])(
    '%j -> not a port',
    (text) => {
      expect(parseAllowedPort(text)).toBeUndefined();
    },
  );
});
