import { describe, expect, test } from 'vitest';
import { failAt, nowhere } from '../../src/config/fault.ts';
import { parseAllowedPort, parsePortRange, resolveHostService } from '../../src/config/ports.ts';
import { messageOf } from './fixtures.ts';

describe('parsePortRange', () => {
  test.each([
    ['80', 80, 80],
    ['1-65535', 1, 65535],
    ['80-80', 80, 80],
  ])('%s -> read', (text, first, last) => {
    expect(parsePortRange(text)).toEqual({ first, last });
  });

  test.each(['', '-', '80-', '-80', '0', '0-1', '81-80', '1-65536', '080', '1-2-3', '1 - 2', '+1'])(
    '%j -> not a range',
    (text) => {
      expect(parsePortRange(text)).toBeUndefined();
    },
  );
});

describe('resolveHostService', () => {
  const fail = failAt(nowhere, ['hostServices', 0]);

  test.each([
    ['8080:9000', { protocol: 'tcp', gatewayPort: 8080, hostPort: 9000 }],
    ['8080:9000/tcp', { protocol: 'tcp', gatewayPort: 8080, hostPort: 9000 }],
    ['123:10123/udp', { protocol: 'udp', gatewayPort: 123, hostPort: 10123 }],
    ['9000', { protocol: 'tcp', gatewayPort: 9000, hostPort: 9000 }],
    ['9000/udp', { protocol: 'udp', gatewayPort: 9000, hostPort: 9000 }],
    ['67', { protocol: 'tcp', gatewayPort: 67, hostPort: 67 }],
    ['5353:53', { protocol: 'tcp', gatewayPort: 5353, hostPort: 53 }],
  ])('%s -> read', (text, service) => {
    expect(resolveHostService(text, fail)).toEqual(service);
  });

  test.each(['', ':', '0', '8080:0', '8080:9000:1', '8080:', '8080/sctp', '8080/tcp/udp', 'http', '1-2:1-2'])(
    '%j -> CONFIG_INVALID',
    (text) => {
      const message = messageOf('CONFIG_INVALID', () => resolveHostService(text, fail));
      expect(message).toBe(`hostServices[0]: ${JSON.stringify(text)} is not a service of the host`);
    },
  );

  test.each([
    ['53:5353/udp', 'port 53/udp of the gateway is for its own DNS'],
    ['53', 'port 53/tcp of the gateway is for its own DNS'],
    ['67:6767/udp', 'port 67/udp of the gateway is for its own DHCP'],
  ])("%s, a port of the gateway's own -> CONFIG_INVALID", (text, message) => {
    expect(messageOf('CONFIG_INVALID', () => resolveHostService(text, fail))).toBe(
      `hostServices[0]: ${message}`,
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
