import { describe, expect, test } from 'vitest';
import { resolveDns } from '../../src/config/dns.ts';
import { nowhere } from '../../src/config/fault.ts';
import { type IpWords, ipv4Words } from '../../src/config/ip.ts';
import type { DnsInput } from '../../src/config/schema.ts';
import { messageOf } from './fixtures.ts';

const resolve = (input: DnsInput) => resolveDns(input, nowhere, ['dns']);

describe('records', () => {
  test('none -> none, and no upstreams of its own', () => {
    expect(resolve({})).toEqual({ records: new Map() });
  });

  test('one address and several of both families -> all in words, names in lower case', () => {
    const { records } = resolve({
      records: { 'Name.Example.': '10.0.0.5', _srv: ['10.0.0.6', 'fd00::6'], 'x-1.y': [] },
    });
    expect([...records]).toEqual([
      ['name.example', [ipv4Words(0x0a000005)]],
      ['_srv', [ipv4Words(0x0a000006), [0xfd000000 | 0, 0, 0, 6]]],
      ['x-1.y', []],
    ]);
  });

  test('longest label and name -> accepted', () => {
    const label = 'a'.repeat(63);
    const name = [label, label, label, 'b'.repeat(61)].join('.');
    expect([...resolve({ records: { [name]: '1.1.1.1' } }).records.keys()]).toEqual([name]);
  });

  test.each([
    '',
    '.',
    'a..b',
    '.a',
    'a b',
    '*.a',
    '-a',
    'a-.b',
    'ü.example',
    'a/b',
    'a'.repeat(64),
    [...'abcd'].map((letter) => letter.repeat(63)).join('.'),
  ])('name %j -> CONFIG_INVALID', (name) => {
    const message = messageOf('CONFIG_INVALID', () => resolve({ records: { [name]: '1.1.1.1' } }));
    expect(message).toMatch(/^dns\.records\..* is not a name$/);
  });

  test.each(['tapswitch.internal', 'vm-1.tapswitch.internal', 'GATEWAY.Tapswitch.Internal.'])(
    'name %s -> CONFIG_INVALID',
    (name) => {
      const message = messageOf('CONFIG_INVALID', () => resolve({ records: { [name]: '1.1.1.1' } }));
      expect(message).toMatch(/: names in tapswitch\.internal are the switch's own$/);
    },
  );

  test('name that only ends alike -> accepted', () => {
    expect(resolve({ records: { 'nottapswitch.internal': '1.1.1.1' } }).records.size).toBe(1);
  });

  test('name twice in other letters -> CONFIG_INVALID', () => {
    const records = { 'a.example': '1.1.1.1', 'A.example.': '1.1.1.2' };
    expect(messageOf('CONFIG_INVALID', () => resolve({ records }))).toBe(
      'dns.records.A.example.: a.example is given twice',
    );
  });

  test.each([
    [{ a: 'b' }, 'dns.records.a: "b" is not an IP address'],
    [{ a: ['1.1.1.1', '1.1.1.1/32'] }, 'dns.records.a[1]: "1.1.1.1/32" is not an IP address'],
  ])('%j -> CONFIG_INVALID', (records, message) => {
    expect(messageOf('CONFIG_INVALID', () => resolve({ records }))).toBe(message);
  });
});

describe('upstreams', () => {
  test.each<[string, IpWords, number]>([
    ['1.1.1.1', ipv4Words(0x01010101), 53],
    ['127.0.0.1:5353', ipv4Words(0x7f000001), 5353],
    ['::1', [0, 0, 0, 1], 53],
    ['fd00::5353', [0xfd000000 | 0, 0, 0, 0x5353], 53],
    ['[::1]', [0, 0, 0, 1], 53],
    ['[::1]:5353', [0, 0, 0, 1], 5353],
  ])('%s -> read', (text, address, port) => {
    expect(resolve({ upstreams: [text] }).upstreams).toEqual([{ address, port }]);
  });

  test.each([
    '',
    ':53',
    '1.1.1.1:0',
    '1.1.1.1:',
    '1.1.1.1:53:53',
    '[1.1.1.1]:53',
    '[]:53',
    '[::1]:x',
    'dns.google',
  ])('%j -> CONFIG_INVALID', (text) => {
    const message = messageOf('CONFIG_INVALID', () => resolve({ upstreams: ['1.1.1.1', text] }));
    expect(message).toBe(`dns.upstreams[1]: ${JSON.stringify(text)} is not the address of a name server`);
  });
});
