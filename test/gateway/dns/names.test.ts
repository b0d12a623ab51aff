import { describe, expect, test } from 'vitest';
import { formatIp } from '../../../src/config/ip.ts';
import { NameTable } from '../../../src/gateway/dns/names.ts';
import { encodeName } from '../../../src/wire/dns.ts';
import { FakeBook, ip, NAMES } from './fakes.ts';

const TYPES = { A: 1, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, ANY: 255 };

/** Two VMs, 192.168.0.14 on port 1 and 192.168.0.15 on port 2, and one without addresses on port 3. */
function table(changes: Partial<typeof NAMES> = {}) {
  const book = new FakeBook();
  book.addresses.set(1, [ip('192.168.0.14'), ip('fd00::e')]);
  book.addresses.set(2, [ip('192.168.0.15')]);
  const names = new NameTable(book);
  names.setNetwork(0, { ...NAMES, ...changes });
  for (const [port, id] of [
    [1, 'vm-1'],
    [2, 'Vm-2'],
    [3, 'vm-3'],
  ] as const)
    names.addVm(port, 0, id);
  /** What the VM on `port` is told: addresses and names, or the code, or that others may know. */
  const ask = (name: string, type: keyof typeof TYPES = 'A', port = 1): string => {
    const answer = names.answer(0, port, name, TYPES[type]);
    if (answer === undefined) return 'forward';
    if (answer.rcode !== 0) return answer.rcode === 3 ? 'NXDOMAIN' : `rcode ${answer.rcode}`;
    return [...answer.addresses.map(formatIp), ...named(answer.pointer)].join(' ') || 'NODATA';
  };
  return { ask, names, book };
}

/** Text of a name as messages carry it. */
function named(wire: Uint8Array | undefined): string[] {
  if (wire === undefined) return [];
  const text = Buffer.from(wire)
    .toString('latin1')
    .replaceAll(/\p{Cc}/gu, '.')
    .slice(1, -1);
  expect(encodeName(text)).toEqual(wire);
  return [text];
}

const SHARED = { isolated: false };
const HOST = { host: [ip('192.168.255.254')] };
const RECORDS = {
  records: new Map([
    ['db.corp.example', [ip('10.9.9.9'), ip('10.9.9.10')]],
    ['v6.corp.example', [ip('fd99::1')]],
  ]),
};

describe('isolated network', () => {
  const { ask } = table({ ...HOST, ...RECORDS });

  test.each([
    ['vm-1.tapswitch.internal', 'A', '192.168.0.14'],
    ['vm-1.tapswitch.internal', 'AAAA', 'fd00::e'],
    ['vm-1.tapswitch.internal', 'ANY', '192.168.0.14 fd00::e'],
    ['vm-1.tapswitch.internal', 'TXT', 'NODATA'],
    ['gateway.tapswitch.internal', 'A', '192.168.0.1'],
    ['gateway.tapswitch.internal', 'AAAA', 'fd00::1'],
    ['host.tapswitch.internal', 'A', '192.168.255.254'],
    ['host.tapswitch.internal', 'AAAA', 'NODATA'],
    ['db.corp.example', 'A', '10.9.9.9 10.9.9.10'],
    ['db.corp.example', 'AAAA', 'NODATA'],
    ['v6.corp.example', 'AAAA', 'fd99::1'],
    ['tapswitch.internal', 'A', 'NODATA'],
    ['tapswitch.internal', 'SOA', 'NODATA'],
    ['vm-2.tapswitch.internal', 'A', 'NXDOMAIN'],
    ['nobody.tapswitch.internal', 'A', 'NXDOMAIN'],
    ['a.vm-1.tapswitch.internal', 'A', 'NXDOMAIN'],
    ['www.example.com.tapswitch.internal', 'A', 'NXDOMAIN'],
    ['xtapswitch.internal', 'A', 'forward'],
    ['tapswitch.internal.example.com', 'A', 'forward'],
    ['corp.example', 'A', 'forward'],
    ['a.db.corp.example', 'A', 'forward'],
    ['vm-1', 'A', 'forward'],
    ['', 'A', 'forward'],
  ] as const)('%s %s -> %s', (name, type, expected) => {
    expect(ask(name, type)).toBe(expected);
  });

  test.each([
    ['14.0.168.192.in-addr.arpa', 'PTR', 'vm-1.tapswitch.internal'],
    ['14.0.168.192.in-addr.arpa', 'ANY', 'vm-1.tapswitch.internal'],
    ['14.0.168.192.in-addr.arpa', 'A', 'NODATA'],
    ['1.0.168.192.in-addr.arpa', 'PTR', 'gateway.tapswitch.internal'],
    ['254.255.168.192.in-addr.arpa', 'PTR', 'host.tapswitch.internal'],
    ['9.9.9.10.in-addr.arpa', 'PTR', 'db.corp.example'],
    ['15.0.168.192.in-addr.arpa', 'PTR', 'NXDOMAIN'],
    ['99.0.168.192.in-addr.arpa', 'PTR', 'NXDOMAIN'],
    ['168.192.in-addr.arpa', 'PTR', 'NODATA'],
    ['0.168.192.in-addr.arpa', 'SOA', 'NODATA'],
    ['b._dns-sd._udp.0.0.168.192.in-addr.arpa', 'PTR', 'NXDOMAIN'],
    ['1.14.0.168.192.in-addr.arpa', 'PTR', 'NXDOMAIN'],
    ['192.in-addr.arpa', 'PTR', 'forward'],
    ['14.0.169.192.in-addr.arpa', 'PTR', 'forward'],
    ['11.9.9.10.in-addr.arpa', 'PTR', 'forward'],
    [
      'e.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa',
      'PTR',
      'vm-1.tapswitch.internal',
    ],
    [
      '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa',
      'PTR',
      'gateway.tapswitch.internal',
    ],
    ['2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa', 'PTR', 'NXDOMAIN'],
    ['0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa', 'PTR', 'NODATA'],
    ['0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa', 'PTR', 'forward'],
  ] as const)('%s %s -> %s', (name, type, expected) => {
    expect(ask(name, type)).toBe(expected);
  });

  test('each VM -> its own name, not the other', () => {
    expect(ask('vm-2.tapswitch.internal', 'A', 2)).toBe('192.168.0.15');
    expect(ask('vm-1.tapswitch.internal', 'A', 2)).toBe('NXDOMAIN');
    expect(ask('15.0.168.192.in-addr.arpa', 'PTR', 2)).toBe('Vm-2.tapswitch.internal');
    expect(ask('14.0.168.192.in-addr.arpa', 'PTR', 2)).toBe('NXDOMAIN');
  });

  test('a VM that has no address yet -> nothing of the type, not an unknown name', () => {
    expect(ask('vm-3.tapswitch.internal', 'A', 3)).toBe('NODATA');
  });

  test('clones with one address -> each its own name', () => {
    const { ask, book } = table();
    book.addresses.set(2, [ip('192.168.0.14')]);
    expect(ask('14.0.168.192.in-addr.arpa', 'PTR', 1)).toBe('vm-1.tapswitch.internal');
    expect(ask('14.0.168.192.in-addr.arpa', 'PTR', 2)).toBe('Vm-2.tapswitch.internal');
  });
});

describe('shared network', () => {
  const { ask } = table(SHARED);

  test('other VMs -> by name and by address', () => {
    expect(ask('vm-2.tapswitch.internal')).toBe('192.168.0.15');
    expect(ask('vm-1.tapswitch.internal', 'A', 2)).toBe('192.168.0.14');
    expect(ask('15.0.168.192.in-addr.arpa', 'PTR')).toBe('Vm-2.tapswitch.internal');
    expect(ask('99.0.168.192.in-addr.arpa', 'PTR')).toBe('NXDOMAIN');
  });

  test('a VM of another network of the same name -> not seen', () => {
    const { ask, names, book } = table(SHARED);
    names.setNetwork(1, { ...NAMES, ...SHARED });
    names.addVm(9, 1, 'elsewhere');
    book.addresses.set(9, [ip('10.0.0.9')]);
    expect(ask('elsewhere.tapswitch.internal')).toBe('NXDOMAIN');
  });
});

describe('names', () => {
  test('no host port -> host. is the gateway, whose address is called gateway.', () => {
    const { ask } = table();
    expect(ask('host.tapswitch.internal', 'ANY')).toBe('192.168.0.1 fd00::1');
    expect(ask('1.0.168.192.in-addr.arpa', 'PTR')).toBe('gateway.tapswitch.internal');
  });

  test('VMs called gateway and host -> do not take these names', () => {
    const { ask, names, book } = table(SHARED);
    for (const [port, id] of [
      [8, 'gateway'],
      [9, 'host'],
    ] as const) {
      names.addVm(port, 0, id);
      book.addresses.set(port, [ip('192.168.6.6')]);
    }
    expect(ask('gateway.tapswitch.internal', 'A', 8)).toBe('192.168.0.1');
    expect(ask('host.tapswitch.internal', 'A', 9)).toBe('192.168.0.1');
  });

  test('an id with dots -> a name of several labels; with an empty label -> none', () => {
    const { ask, names, book } = table(SHARED);
    names.addVm(8, 0, 'a.b');
    names.addVm(9, 0, 'a..b');
    for (const port of [8, 9]) book.addresses.set(port, [ip(`192.168.7.${port}`)]);
    expect(ask('a.b.tapswitch.internal')).toBe('192.168.7.8');
    expect(ask('9.7.168.192.in-addr.arpa', 'PTR', 9)).toBe('NXDOMAIN');
  });

  test('ids that differ in case -> the first has the name, until it goes', () => {
    const { ask, names, book } = table(SHARED);
    names.addVm(8, 0, 'twin');
    names.addVm(9, 0, 'TWIN');
    for (const port of [8, 9]) book.addresses.set(port, [ip(`192.168.7.${port}`)]);
    expect(ask('twin.tapswitch.internal')).toBe('192.168.7.8');
    expect(ask('twin.tapswitch.internal', 'A', 9)).toBe('192.168.7.9');
    names.removeVm(9);
    expect(ask('twin.tapswitch.internal')).toBe('192.168.7.8');
    names.removeVm(8);
    expect(ask('twin.tapswitch.internal')).toBe('NXDOMAIN');
  });

  test('a VM that is removed -> unknown; its id on another port -> that one', () => {
    const { ask, names } = table(SHARED);
    names.removeVm(1);
    expect(ask('vm-1.tapswitch.internal', 'A', 2)).toBe('NXDOMAIN');
    expect(ask('14.0.168.192.in-addr.arpa', 'PTR', 2)).toBe('NXDOMAIN');
    names.addVm(2, 0, 'vm-1');
    expect(ask('vm-1.tapswitch.internal', 'A', 3)).toBe('192.168.0.15');
    expect(ask('vm-2.tapswitch.internal', 'A', 3)).toBe('NXDOMAIN');
  });

  test('a network that changes -> the new names, the same VMs', () => {
    const { ask, names } = table(RECORDS);
    names.setNetwork(0, { ...NAMES, ...SHARED });
    expect(ask('db.corp.example')).toBe('forward');
    expect(ask('vm-2.tapswitch.internal')).toBe('192.168.0.15');
  });

  test('a network nobody told of -> refused', () => {
    expect(table().names.answer(7, 1, 'example.com', 1)?.rcode).toBe(5);
  });
});
