import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BootArgsError, bootArgs, parseBootArgs, withAddress } from '../../src/vm-config/boot-args.ts';
import { formatIpv4, maskOf, parseIpv4 } from '../../src/wire/ipv4.ts';

const GUEST = { tap: 'fc-vm1', ip: '192.168.0.14', prefix: 16, gateway: '192.168.0.1' };
const OURS = 'ip=192.168.0.14::192.168.0.1:255.255.0.0::eth0:off';
const STATIC = { ip: '192.168.0.14', gateway: '192.168.0.1', prefix: 16, device: 'eth0' };

const address = fc.integer({ min: 1, max: 0xffffffff }).map(formatIpv4);

describe('bootArgs', () => {
  test('address -> ip= as the kernel documents it; without one -> nothing', () => {
    expect(bootArgs(GUEST)).toBe(OURS);
    expect(bootArgs({ tap: 'fc-vm1', prefix: 16, gateway: '192.168.0.1' })).toBe('');
  });

  test('any address, gateway and prefix -> read back', () => {
    fc.assert(
      fc.property(address, address, fc.integer({ min: 1, max: 32 }), (ip, gateway, prefix) => {
        const read = parseBootArgs(`console=ttyS0 ${bootArgs({ tap: 't', ip, prefix, gateway })} quiet`);
        expect(read).toEqual({ ip, gateway, prefix, device: 'eth0' });
      }),
    );
  });
});

describe('parseBootArgs', () => {
  test.each([
    ['nothing', '', {}],
    ['no ip=', 'console=ttyS0 reboot=k', {}],
    ['ours', `console=ttyS0 ${OURS}`, STATIC],
    ['twice: the last one counts', `ip=10.0.0.1 ${OURS}`, STATIC],
    ['after --: for init', `${OURS} -- ip=10.0.0.1`, STATIC],
    ['another parameter that ends so', 'my.ip=10.0.0.1', {}],
    ['inside quotation marks of another', 'note="set ip=10.0.0.1 later"', {}],
    ['in quotation marks of its own', 'ip="192.168.0.14"', { ip: '192.168.0.14' }],
    ['between tabs', '\tip=192.168.0.14\t', { ip: '192.168.0.14' }],
    ['asks by DHCP', 'ip=dhcp', {}],
    ['asks by DHCP on one interface', 'ip=:::::eth0:dhcp', { device: 'eth0' }],
    ['off', 'ip=off', {}],
    ['address alone', 'ip=10.0.0.1', { ip: '10.0.0.1' }],
    ['0.0.0.0 is none', 'ip=0.0.0.0:::255.0.0.0', { prefix: 8 }],
    [
      'all fields',
      'ip=10.0.0.2:10.0.0.9:10.0.0.1:255.255.255.0:vm1:eth1:off:1.1.1.1:8.8.8.8:10.0.0.3',
      { ip: '10.0.0.2', gateway: '10.0.0.1', prefix: 24, device: 'eth1' },
    ],
  ])('%s', (_fact, commandLine, expected) => {
    expect(parseBootArgs(commandLine)).toEqual(expected);
  });

  test.each([
    ['ip=10.0.0', '"10.0.0" is not an IPv4 address'],
    ['ip=fd00::1', '"fd00" is not an IPv4 address'],
    ['ip=10.0.0.2::gateway', '"gateway" is not an IPv4 gateway'],
    ['ip=10.0.0.2::10.0.0.1:24', '"24" is not an IPv4 netmask'],
    ['ip=10.0.0.2::10.0.0.1:255.0.255.0', '255.0.255.0 is not an IPv4 netmask'],
    ['ip=DHCP', '"DHCP" is not an IPv4 address'],
  ])('%s -> refused', (commandLine, message) => {
    expect(() => parseBootArgs(commandLine)).toThrow(new BootArgsError(message));
  });

  test('any command line -> an address that is one, or refused', () => {
    const field = fc.oneof(
      fc.constantFrom('', 'eth0', 'off', 'dhcp', '255.255.0.0', '"', ' '),
      address,
      fc.string(),
    );
    const value = fc.array(field, { maxLength: 12 }).map((fields) => `a ip=${fields.join(':')} b`);
    fc.assert(
      fc.property(fc.oneof(value, fc.string()), (commandLine) => {
        try {
          const { ip = '10.0.0.1', gateway = '10.0.0.1', prefix = 8 } = parseBootArgs(commandLine);
          expect(parseIpv4(ip)).toBeGreaterThan(0);
          expect(parseIpv4(gateway)).toBeGreaterThan(0);
          expect(maskOf(prefix)).not.toBe(0);
        } catch (error) {
          expect(error).toBeInstanceOf(BootArgsError);
        }
      }),
    );
  });
});

describe('withAddress', () => {
  test.each([
    ['', OURS, OURS],
    ['console=ttyS0', OURS, `console=ttyS0 ${OURS}`],
    ['ip=dhcp quiet ip=off', OURS, `quiet ${OURS}`],
    ['quiet -- ip=mine', OURS, `quiet ${OURS} -- ip=mine`],
    ['a="b  c" ip=dhcp', '', 'a="b  c"'],
    ['', '', ''],
  ])('%j with %j -> %j', (commandLine, parameter, expected) => {
    expect(withAddress(commandLine, parameter)).toBe(expected);
  });
});
