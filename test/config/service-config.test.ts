import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig, loadDaemonConfig } from '../../src/config/load.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { messageOf } from './fixtures.ts';

const directory = mkdtempSync(join(tmpdir(), 'tapswitch-service-'));
afterAll(() => rmSync(directory, { recursive: true }));

const path = join(directory, 'switch.yaml');
const NETWORK = 'networks:\n  default: { subnet: 192.168.0.0/16, gateway: 192.168.0.1 }\n';

function load(text: string, environment = {}) {
  writeFileSync(path, `${NETWORK}${text}`);
  return loadDaemonConfig(path, environment).service;
}

describe('loadDaemonConfig', () => {
  test('nothing about the daemon -> its socket, and nothing else', () => {
    expect(load('')).toEqual({
      api: { socket: '/run/tapswitch/api.sock', listen: [], hosts: [] },
      autoAttach: [],
    });
  });

  test('everything -> read', () => {
    const text = `
api:
  socket: /run/other.sock
  group: 27
  listen: ["127.0.0.1:7080", "[::1]:0", "0.0.0.0:7081"]
  exposed: true
  tokenFile: /etc/tapswitch.token
  hosts: [Switch.Example.]
guestAccess: { listen: "127.0.0.1:7090", domain: vms.localhost }
autoAttach:
  - { match: fc-*, profile: browser-vm }
  - match: "vm??"
`;
    expect(load(text)).toEqual({
      api: {
        socket: '/run/other.sock',
        group: 27,
        listen: [
          { host: '127.0.0.1', port: 7080 },
          { host: '::1', port: 0 },
          { host: '0.0.0.0', port: 7081 },
        ],
        tokenFile: '/etc/tapswitch.token',
        hosts: ['switch.example'],
      },
      guestAccess: { listen: { host: '127.0.0.1', port: 7090 }, domain: 'vms.localhost' },
      autoAttach: [
        { match: 'fc-*', network: 'default', profile: 'browser-vm' },
        { match: 'vm??', network: 'default' },
      ],
    });
  });

  test('TAPSWITCH_SOCKET -> goes before the file; one that cannot be -> CONFIG_INVALID that names it', () => {
    const text = 'api: { socket: /run/a.sock }\n';
    expect(load(text, { TAPSWITCH_SOCKET: '/run/b.sock' }).api.socket).toBe('/run/b.sock');
    expect(load(text, { TAPSWITCH_SOCKET: '' }).api.socket).toBe('/run/a.sock');
    expect(messageOf('CONFIG_INVALID', () => load(text, { TAPSWITCH_SOCKET: 'b.sock' }))).toBe(
      'TAPSWITCH_SOCKET: "b.sock" cannot be the path of a socket',
    );
  });

  test.each<[fact: string, text: string, message: string, code?: ErrorCode]>([
    ['misspelt key', 'api:\n  sokcet: /a\n', ':4:3: api.sokcet: unknown key, did you mean socket?'],
    ['relative socket', 'api:\n  socket: a\n', ':4:3: api.socket: "a" cannot be'],
    ['long socket', `api: { socket: /${'x'.repeat(107)} }\n`, ':3:8: api.socket: '],
    ['negative group', 'api: { group: -1 }\n', ':3:8: api.group: must be at least 0'],
    ['group of two words', 'api: { group: a b }\n', ':3:8: api.group: "a b" is not the name of a group'],
    ['group a list', 'api: { group: [] }\n', ':3:8: api.group: must be text or a whole number'],
    ['no port', 'api: { listen: ["127.0.0.1"] }\n', ':3:17: api.listen[0]: "127.0.0.1" is not the address'],
    ['port too large', 'api: { listen: ["127.0.0.1:65536"] }\n', ':3:17: api.listen[0]: '],
    ['bare IPv6', 'api: { listen: ["::1:80"] }\n', ':3:17: api.listen[0]: "::1:80" is not the address'],
    [
      'a name',
      'api: { listen: ["localhost:80"] }\n',
      ':3:17: api.listen[0]: "localhost:80" is not the address',
    ],
    [
      'exposed without saying so',
      'api:\n  tokenFile: /t\n  listen:\n    - 127.0.0.1:1\n    - 0.0.0.0:2\n',
      ':7:7: api.listen[1]: 0.0.0.0:2 can be reached by other hosts',
    ],
    ['no token', 'api: { listen: ["127.0.0.1:1"] }\n', ':3:8: api.listen: a TCP listener needs a token'],
    [
      'listener twice',
      'api: { tokenFile: /t, listen: ["127.0.0.1:1", "127.0.0.1:1"] }\n',
      ':3:47: api.listen[1]: 127.0.0.1:1 is given twice',
    ],
    ['relative token file', 'api: { tokenFile: t }\n', ':3:8: api.tokenFile: "t" is not the path of a file'],
    [
      'host with a port',
      'api: { hosts: ["a:80"] }\n',
      ':3:16: api.hosts[0]: "a:80" is not the name of a host',
    ],
    ['guest access without listener', 'guestAccess: {}\n', ':3:1: guestAccess: listen is missing'],
    [
      'guest access exposed',
      'guestAccess: { listen: "0.0.0.0:80" }\n',
      ':3:16: guestAccess.listen: 0.0.0.0:80 can be reached by other hosts',
    ],
    [
      'guest access at the API',
      'api: { tokenFile: /t, listen: ["127.0.0.1:1"] }\nguestAccess: { listen: "127.0.0.1:1" }\n',
      ':4:16: guestAccess.listen: the API listens at 127.0.0.1:1',
    ],
    [
      'domain that is none',
      'guestAccess: { listen: "[::1]:1", domain: -a }\n',
      ':3:35: guestAccess.domain: "-a" is not the name of a host',
    ],
    ['every interface', 'autoAttach: [{ match: "*" }]\n', ':3:16: autoAttach[0].match: "*" matches every'],
    ['empty pattern', 'autoAttach: [{ match: "" }]\n', ':3:16: autoAttach[0].match: "" is not a pattern'],
    ['pattern too long', 'autoAttach: [{ match: "0123456789abcde?" }]\n', ':3:16: autoAttach[0].match: '],
    ['pattern with a slash', 'autoAttach: [{ match: a/* }]\n', ':3:16: autoAttach[0].match: "a/*" is not'],
    [
      'unknown network',
      'autoAttach:\n  - { match: a*, network: defualt }\n',
      ':4:18: autoAttach[0].network: there is no network "defualt", did you mean default?',
      'NETWORK_UNKNOWN',
    ],
    [
      'unknown profile',
      'autoAttach:\n  - { match: a*, profile: browser }\n',
      ':4:18: autoAttach[0].profile: there is no profile "browser"',
      'PROFILE_UNKNOWN',
    ],
  ])('%s -> refused with file, line and column', (_fact, text, message, code = 'CONFIG_INVALID') => {
    expect(messageOf(code, () => load(text))).toContain(`${path}${message}`);
  });

  test('bad daemon section -> the switch alone is not loaded either', () => {
    writeFileSync(path, `${NETWORK}api: { listen: ["1.2.3.4:1"] }\n`);
    messageOf('CONFIG_INVALID', () => loadConfig(path));
  });
});
