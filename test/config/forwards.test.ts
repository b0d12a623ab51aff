import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nowhere } from '../../src/config/fault.ts';
import {
  formatListener,
  isExposed,
  Listeners,
  type PortForward,
  resolveForward,
  resolveForwards,
} from '../../src/config/forwards.ts';
import { type IpWords, ipv4Words } from '../../src/config/ip.ts';
import { MAX_FORWARD_PORTS } from '../../src/config/limits.ts';
import type { ForwardInput } from '../../src/config/schema.ts';
import { TapswitchError } from '../../src/errors.ts';
import { messageOf } from './fixtures.ts';

const LOCALHOST = ipv4Words(0x7f000001);
const resolve = (input: ForwardInput) => resolveForward(input, nowhere, ['forwards', 0]);

function one(text: string): PortForward {
  const forwards = resolve(text);
  expect(forwards).toHaveLength(1);
  return forwards[0] as PortForward;
}

const at = (address: IpWords, port: number, guestPort: number, protocol = 'tcp') => ({
  protocol,
  host: { kind: 'ip', address, port },
  guestPort,
  waitMs: 30_000,
});

describe('resolveForward: text', () => {
  test.each([
    ['16080:6080', at(LOCALHOST, 16080, 6080)],
    ['127.0.0.1:16080:6080', at(LOCALHOST, 16080, 6080)],
    ['16080:6080/tcp', at(LOCALHOST, 16080, 6080)],
    ['0.0.0.0:53:5353/udp', at(ipv4Words(0), 53, 5353, 'udp')],
    ['1:65535', at(LOCALHOST, 1, 65535)],
    ['0:6080', at(LOCALHOST, 0, 6080)],
    ['0.0.0.0:0:53/udp', at(ipv4Words(0), 0, 53, 'udp')],
    ['[::1]:8080:80', at([0, 0, 0, 1], 8080, 80)],
    ['[fd00::1]:8080:80/udp', at([0xfd000000 | 0, 0, 0, 1], 8080, 80, 'udp')],
    ['[::ffff:127.0.0.1]:16080:6080', at(LOCALHOST, 16080, 6080)],
    ['80-80:90-90', at(LOCALHOST, 80, 90)],
  ])('%s -> one forward', (text, forward) => {
    expect(resolve(text)).toEqual([forward]);
  });

  test('ranges -> a forward for each port, in turn', () => {
    const forwards = resolve('[::1]:8000-8010:80-90/udp');
    expect(forwards).toHaveLength(11);
    expect(forwards[0]).toEqual(at([0, 0, 0, 1], 8000, 80, 'udp'));
    expect(forwards[10]).toEqual(at([0, 0, 0, 1], 8010, 90, 'udp'));
  });

  test.each([
    ['unix:/run/vm1.sock:6080', '/run/vm1.sock'],
    ['unix:/run/vm1.sock:6080/tcp', '/run/vm1.sock'],
    ['unix:/run/a:b/c d.sock:6080', '/run/a:b/c d.sock'],
    [`unix:/${'x'.repeat(106)}:6080`, `/${'x'.repeat(106)}`],
  ])('%s -> a socket', (text, path) => {
    expect(resolve(text)).toEqual([
      { protocol: 'tcp', host: { kind: 'unix', path }, guestPort: 6080, waitMs: 30_000 },
    ]);
  });

  test.each([
    ['', '"" is not a port forward'],
    ['6080', '"6080" is not a port forward'],
    [':6080', '":6080" is not a port forward'],
    ['1:2:3:4', '"1:2:3:4" is not a port forward'],
    ['1:2/', '"1:2/" is not a port forward'],
    ['1:2/sctp', '"1:2/sctp" is not a port forward'],
    ['1:2/tcp/udp', '"1:2/tcp/udp" is not a port forward'],
    ['1 : 2', '"1 : 2" is not a port forward'],
    ['+1:2', '"+1:2" is not a port forward'],
    ['::1:8080:80', '"::1:8080:80" is not a port forward'],
    ['1:2\n', '"1:2\\n" is not a port forward'],
    ['localhost:1:2', '"localhost" is not an IP address'],
    ['1:2:3', '"1" is not an IP address'],
    [':1:2', '"" is not an IP address'],
    ['[127.0.0.1]:1:2', '"[127.0.0.1]" is not an IP address'],
    ['[fe80::1%eth0]:1:2', '"[fe80::1%eth0]" is not an IP address'],
    ['[]:1:2', '"[]" is not an IP address'],
    ['16080:0', '"0" is not a port or range of ports'],
    ['65536:1', '"65536" is not a port or range of ports'],
    ['016080:6080', '"016080" is not a port or range of ports'],
    ['0-5:80-85', '"0-5" is not a port or range of ports'],
    ['8010-8000:90-80', '"8010-8000" is not a port or range of ports'],
    ['1-2-3:1-3', '"1-2-3" is not a port or range of ports'],
    ['-:1', '"-" is not a port or range of ports'],
    ['0:80-90', 'host port 0 leads to one port, not to a range'],
    ['8000-8010:80-85', '8000-8010 has 11 ports and 80-85 has 6'],
    ['8000:80-81', '8000 has 1 ports and 80-81 has 2'],
    ['unix:/run/vm.sock', '"unix:/run/vm.sock" is not a port forward'],
    ['unix:/run/vm.sock:80/sctp', '"unix:/run/vm.sock:80/sctp" is not a port forward'],
    ['unix:/run/vm.sock:80/udp', 'a socket path has no UDP'],
    ['unix:/run/vm.sock:0', '"0" is not a port'],
    ['unix:/run/vm.sock:80-81', '"80-81" is not a port'],
    ['unix:vm.sock:80', '"vm.sock" cannot be the path of a socket'],
    ['unix::80', '"" cannot be the path of a socket'],
    ['unix:/:80', '"/" cannot be the path of a socket'],
    ['unix:/run/:80', '"/run/" cannot be the path of a socket'],
    ['unix:/run//a:80', '"/run//a" cannot be the path of a socket'],
    ['unix:/run/../a:80', '"/run/../a" cannot be the path of a socket'],
    ['unix:/a\0b:80', '"/a\\u0000b" cannot be the path of a socket'],
    [`unix:/${'ü'.repeat(54)}:80`, `"/${'ü'.repeat(54)}" cannot be the path of a socket`],
  ])('%j -> CONFIG_INVALID, one line', (text, message) => {
    expect(messageOf('CONFIG_INVALID', () => resolve(text))).toBe(`forwards[0]: ${message}`);
  });

  test('any text -> ports in range, or a TapswitchError', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789.:/tcpudnix[]- ') });
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          text.map((tail) => `unix:/${tail}`),
        ),
        (listen) => {
          try {
            for (const { host, guestPort } of resolve(listen)) {
              const hostPort = host.kind === 'ip' ? host.port : 0;
              expect(hostPort >= 0 && hostPort <= 65535 && guestPort >= 1 && guestPort <= 65535).toBe(true);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(TapswitchError);
          }
        },
      ),
    );
  });
});

describe('resolveForward: mapping', () => {
  test.each([
    [0, 0],
    [60, 60_000],
    [3600, 3_600_000],
  ])('wait: %i -> %i ms, for every port of a range', (wait, waitMs) => {
    const forwards = resolve({ listen: '8000-8001:80-81', wait });
    expect(forwards.map((forward) => forward.waitMs)).toEqual([waitMs, waitMs]);
  });

  test('no wait -> as for text', () => {
    expect(resolve({ listen: '1:2' })).toEqual(resolve('1:2'));
  });

  test('bad text -> an error that names its key', () => {
    const message = messageOf('CONFIG_INVALID', () => resolve({ listen: '3' }));
    expect(message).toBe('forwards[0].listen: "3" is not a port forward');
  });
});

describe('resolveForwards', () => {
  const all = (inputs: ForwardInput[]) => resolveForwards(inputs, nowhere, ['forwards']);

  test('a range among others -> each forward with the path of its entry', () => {
    const paths = all(['1:2', '10-11:20-21']).map(({ path }) => path);
    expect(paths).toEqual([
      ['forwards', 0],
      ['forwards', 1],
      ['forwards', 1],
    ]);
  });

  test('as many ports as a VM may have -> accepted; one more -> CONFIG_INVALID', () => {
    const range = `10001-${10_000 + MAX_FORWARD_PORTS}:1-${MAX_FORWARD_PORTS}`;
    expect(all([range])).toHaveLength(MAX_FORWARD_PORTS);
    const message = messageOf('CONFIG_INVALID', () => all([range, '1:1']));
    expect(message).toBe('forwards: there are 1025 ports, more than 1024');
  });
});

test.each([
  ['16080:6080', '127.0.0.1:16080/tcp', false],
  ['127.64.0.14:6080:6080', '127.64.0.14:6080/tcp', false],
  ['[::1]:53:53/udp', '[::1]:53/udp', false],
  ['unix:/run/vm.sock:1', 'unix:/run/vm.sock', false],
  ['0.0.0.0:1:1', '0.0.0.0:1/tcp', true],
  ['192.168.255.254:1:1', '192.168.255.254:1/tcp', true],
  ['[::]:1:1', '[::]:1/tcp', true],
  ['[::2]:1:1', '[::2]:1/tcp', true],
])('%s -> listens at %s, exposed: %s', (text, listener, exposed) => {
  expect(formatListener(one(text))).toBe(listener);
  expect(isExposed(one(text))).toBe(exposed);
});

describe('Listeners', () => {
  const claimAll = (...texts: string[]) => {
    const listeners = new Listeners();
    texts.forEach((text, i) => {
      for (const forward of resolve(text)) listeners.claim(forward, `vm-${i}`, nowhere, ['vms', `vm-${i}`]);
    });
  };

  test.each([
    ['1:1', '1:1/udp'],
    ['1:1', '127.0.0.2:1:1'],
    ['1:1', '[::1]:1:1'],
    ['0:1', '0:1'],
    ['0.0.0.0:1:1', '[::]:1:1'],
    ['0.0.0.0:1:1', '[::1]:1:1'],
    ['0.0.0.0:1:1', '0.0.0.0:2:1'],
    ['0.0.0.0:0:1', '0.0.0.0:0:1'],
    ['unix:/a:1', 'unix:/b:1'],
    ['8000-8001:1-2', '8002-8003:1-2'],
  ])('%s and %s -> both', (first, second) => {
    expect(() => claimAll(first, second)).not.toThrow();
  });

  test.each([
    ['1:1', '1:2', '127.0.0.1:1/tcp already leads to vm-0'],
    ['1:1/udp', '127.0.0.1:1:1/udp', '127.0.0.1:1/udp already leads to vm-0'],
    ['[::1]:1:1', '[0::1]:1:1', '[::1]:1/tcp already leads to vm-0'],
    ['8000-8010:1-11', '8010:1', '127.0.0.1:8010/tcp already leads to vm-0'],
    ['unix:/a:1', 'unix:/a:2', 'unix:/a already leads to vm-0'],
    ['0.0.0.0:1:1', '0.0.0.0:1:1', '0.0.0.0:1/tcp already leads to vm-0'],
    ['0.0.0.0:1:1', '1:1', '127.0.0.1:1/tcp overlaps 0.0.0.0:1/tcp, which leads to vm-0'],
    ['1:1', '0.0.0.0:1:1', '0.0.0.0:1/tcp overlaps 127.0.0.1:1/tcp, which leads to vm-0'],
    ['[::1]:1:1', '[::]:1:1', '[::]:1/tcp overlaps [::1]:1/tcp, which leads to vm-0'],
    ['[::]:1:1', '[fd00::1]:1:1', '[fd00::1]:1/tcp overlaps [::]:1/tcp, which leads to vm-0'],
  ])('%s, then %s -> FORWARD_IN_USE', (first, second, message) => {
    expect(messageOf('FORWARD_IN_USE', () => claimAll(first, second))).toBe(`vms.vm-1: ${message}`);
  });
});
