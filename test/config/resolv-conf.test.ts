import { expect, test } from 'vitest';
import { formatEndpoint } from '../../src/config/ip.ts';
import { parseResolvConf } from '../../src/config/resolv-conf.ts';

function read(text: string): { upstreams: string[]; refused: string[] } {
  const { upstreams, refused } = parseResolvConf(text);
  return { upstreams: upstreams.map(({ address, port }) => formatEndpoint(address, port)), refused };
}

test('an ordinary file -> its name servers in order', () => {
  const text = `# Generated
search corp.example
nameserver 10.0.0.1
nameserver\t10.0.0.2
nameserver 2001:db8::53
options edns0
`;
  expect(read(text)).toEqual({ upstreams: ['10.0.0.1:53', '10.0.0.2:53', '[2001:db8::53]:53'], refused: [] });
});

test('the stub of systemd-resolved -> asked like any other', () => {
  expect(read('nameserver 127.0.0.53\noptions edns0 trust-ad\n').upstreams).toEqual(['127.0.0.53:53']);
});

test.each([
  [
    'a comment behind the address',
    'nameserver 10.0.0.1 # first\nnameserver 10.0.0.2;x',
    ['10.0.0.1:53', '10.0.0.2:53'],
  ],
  ['several blanks, blanks behind', 'nameserver \t 10.0.0.1 \t', ['10.0.0.1:53']],
  [
    'lines that end as on Windows',
    'nameserver 10.0.0.1\r\nnameserver 10.0.0.2\r\n',
    ['10.0.0.1:53', '10.0.0.2:53'],
  ],
  ['no line end at the end', 'nameserver 10.0.0.1', ['10.0.0.1:53']],
  ['the same twice', 'nameserver ::1\nnameserver 0:0::1', ['[::1]:53']],
  ['an IPv4 address in IPv6', 'nameserver ::ffff:10.0.0.1', ['10.0.0.1:53']],
])('%s -> read', (_name, text, upstreams) => {
  expect(read(text)).toEqual({ upstreams, refused: [] });
});

test.each([
  ['nothing', ''],
  ['comments alone', '# nameserver 10.0.0.1\n;nameserver 10.0.0.2\n'],
  ['a blank before the keyword', ' nameserver 10.0.0.1'],
  ['a longer keyword', 'nameservers 10.0.0.1'],
  ['no value', 'nameserver\nnameserver \n'],
])('%s -> the name server of the machine itself', (_name, text) => {
  expect(read(text)).toEqual({ upstreams: ['127.0.0.1:53'], refused: [] });
});

test.each(['fe80::1%eth0', '10.0.0', '010.0.0.1', 'dns.example', '10.0.0.1:53'])('%s -> refused', (value) => {
  expect(read(`nameserver ${value}\nnameserver 10.0.0.1`)).toEqual({
    upstreams: ['10.0.0.1:53'],
    refused: [value],
  });
  expect(read(`nameserver ${value}`)).toEqual({ upstreams: [], refused: [value] });
});

test('nine name servers -> eight', () => {
  const text = Array.from({ length: 9 }, (_, i) => `nameserver 10.0.0.${i + 1}\n`).join('');
  const { upstreams, refused } = read(text);
  expect([upstreams.length, refused]).toEqual([8, ['10.0.0.9']]);
});
