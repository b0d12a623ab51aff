import { describe, expect, test } from 'vitest';
import { ipv4Words, parseIp } from '../../src/config/ip.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import { parseIpv4 } from '../../src/wire/ipv4.ts';
import { parseMac } from '../../src/wire/mac.ts';

const address = (text: string) => ({ kind: 'address', address: parseIp(text) });
const vm = (id: string) => ({ kind: 'vm', id, address: undefined, mac: undefined });

describe('a question', () => {
  test.each([
    ['vm1 -> tcp 10.0.0.5:443', vm('vm1'), 'tcp', address('10.0.0.5'), 443],
    ['  vm-1   ->  10.0.0.5:443 ', vm('vm-1'), 'tcp', address('10.0.0.5'), 443],
    ['vm1 -> 1.1.1.1', vm('vm1'), 'icmp', address('1.1.1.1'), undefined],
    ['vm1 -> udp [2001:db8::1]:53', vm('vm1'), 'udp', address('2001:db8::1'), 53],
    ['vm1 -> 2001:db8::1', vm('vm1'), 'icmp', address('2001:db8::1'), undefined],
    ['vm1 -> [2001:db8::1]', vm('vm1'), 'icmp', address('2001:db8::1'), undefined],
    ['vm1 -> udp gateway:53', vm('vm1'), 'udp', { kind: 'gateway' }, 53],
    ['vm1 -> host', vm('vm1'), 'icmp', { kind: 'host' }, undefined],
    ['vm1 -> vm2:22', vm('vm1'), 'tcp', { kind: 'vm', id: 'vm2' }, 22],
    ['vm1 -> arp vm2', vm('vm1'), 'arp', { kind: 'vm', id: 'vm2' }, undefined],
    ['host -> vm1:8080', { kind: 'host' }, 'tcp', { kind: 'vm', id: 'vm1' }, 8080],
    ['host -> 127.0.0.1:6080', { kind: 'host' }, 'tcp', address('127.0.0.1'), 6080],
    ['tcp -> tcp', vm('tcp'), undefined, undefined, undefined],
  ])('%s', (text, source, protocol, destination, port) => {
    if (protocol === undefined) expect(() => parseQuestion(text)).toThrow(/column/);
    else expect(parseQuestion(text)).toMatchObject({ source, protocol, destination, port });
  });

  test('of a VM that says it is another', () => {
    const { source } = parseQuestion('vm1 mac 06:00:00:00:00:09 from 10.0.0.9 -> 10.0.0.5:80');
    const said = { address: ipv4Words(parseIpv4('10.0.0.9') as number), mac: parseMac('06:00:00:00:00:09') };
    expect(source).toEqual({ kind: 'vm', id: 'vm1', ...said });
  });

  test('to a MAC', () => {
    const { protocol, destination } = parseQuestion('vm1 -> ff:ff:ff:ff:ff:ff');
    expect({ protocol, destination }).toEqual({
      protocol: 'frame',
      destination: { kind: 'mac', mac: 0xffffffffffff },
    });
  });
});

test.each([
  ['', 1, 'the id of a VM'],
  ['-> 10.0.0.1', 1, 'the id of a VM'],
  ['vm1', 4, "'->'"],
  ['vm1 tcp 10.0.0.1:1', 5, "'->', 'from ADDRESS'"],
  ['vm1->10.0.0.1', 1, 'the id of a VM'],
  ['host x', 6, "'->'"],
  ['vm1 from 10.0.0 -> gateway', 10, 'an IP address'],
  ['vm1 from 10.0.0.1 from 10.0.0.2 -> gateway', 19, "'->'"],
  ['vm1 mac 6:0 -> gateway', 9, 'a MAC'],
  ['vm1 ->', 7, 'an address'],
  ['vm1 -> tcp', 11, 'an address'],
  ['vm1 -> tcp 10.0.0.5', 20, 'tcp needs a port'],
  ['vm1 -> tcp 10.0.0.5:', 21, 'a port from 1'],
  ['vm1 -> tcp 10.0.0.5:65536', 21, 'a port from 1'],
  ['vm1 -> tcp 10.0.0.5:0', 21, 'a port from 1'],
  ['vm1 -> icmp 10.0.0.5:1', 13, 'icmp has no ports'],
  ['vm1 -> tcp [10.0.0.5]:1', 13, 'an IPv6 address'],
  ['vm1 -> tcp [x]:1', 13, 'an IPv6 address'],
  ['vm1 -> icmp 02:00:00:00:00:01', 13, 'only .frame. to a MAC'],
  ['vm1 -> frame 10.0.0.5', 14, '.frame. goes to a MAC'],
  ['vm1 -> arp 2001:db8::1', 12, 'arp asks for IPv4'],
  ['vm1 -> a/b', 8, 'an address'],
  ['vm1 -> 10.0.0.5 80', 17, 'expected the end'],
  [`${' '.repeat(400)}x`, 401, 'longer than 400'],
])("'%s' -> EXPLAIN_INVALID at column %i", (text, column, problem) => {
  const error = expect(() => parseQuestion(text));
  error.toThrow(expect.objectContaining({ code: 'EXPLAIN_INVALID' }));
  error.toThrow(new RegExp(`^flow, column ${column}: .*${problem}`));
});
