import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatEndpoint } from '../../src/config/ip.ts';
import { derivedPorts } from '../../src/forward/derived-port.ts';
import { closeListener, type Listener, openListener } from '../../src/forward/listener.ts';
import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { createNamespace, enterNamespace } from '../../src/sys/netns.ts';
import { openDescriptors } from '../lib/engine-stage.ts';
import { forward, listens, refusalOf } from './fixtures.ts';

const undo: (() => void)[] = [];
let directory: string;

beforeEach(() => {
  const namespace = createNamespace();
  undo.push(() => namespace.close());
  withRoutes(namespace.path, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
  undo.push(enterNamespace(namespace.path));
  directory = mkdtempSync(join(tmpdir(), 'tapswitch-'));
  undo.push(() => rmSync(directory, { recursive: true }));
});

afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

function listener(text: string, id: string): Listener {
  const wanted = forward(text);
  return openListener(wanted, id, derivedPorts(id, wanted.guestPort, wanted.protocol));
}

function open(text: string, id = 'vm-1'): Listener {
  const opened = listener(text, id);
  undo.push(() => closeListener(opened));
  return opened;
}

function shown({ host }: Listener): string {
  return host.kind === 'unix' ? `unix:${host.path}` : formatEndpoint(host.address, host.port);
}

describe('addresses', () => {
  test.each(['127.0.0.1:16080:6080', '[::1]:16080:6080', '127.64.3.7:6080:6080'])(
    '%s: -> connections reach it, and no more once it is closed; nothing stays open',
    async (text) => {
      const before = openDescriptors();
      const opened = listener(text, 'vm-1');
      expect(text.startsWith(shown(opened))).toBe(true);
      expect(await listens(shown(opened))).toBe(true);
      closeListener(opened);
      expect(await listens(shown(opened))).toBe(false);
      expect(openDescriptors()).toEqual(before);
    },
  );

  test('0.0.0.0 and [::]: -> both at once, each for its family', async () => {
    open('0.0.0.0:700:7');
    open('[::]:700:7');
    expect(await listens('127.0.0.1:700')).toBe(true);
    expect(await listens('[::1]:700')).toBe(true);
  });

  test('TCP and UDP on one port: -> both; neither twice', async () => {
    open('700:7');
    open('700:7/udp');
    expect(await refusalOf(() => open('700:8'))).toBe('FORWARD_IN_USE: VM vm-1: 127.0.0.1:700/tcp is in use');
    expect(await refusalOf(() => open('700:8/udp'))).toMatch(/^FORWARD_IN_USE: .*127\.0\.0\.1:700\/udp/);
  });

  test.each([
    ['port that another address has for all', '0.0.0.0:700:7', '127.0.0.1:700:7', 'FORWARD_IN_USE'],
    ['address of nobody', '700:7', '192.0.2.1:700:7', 'FORWARD_UNAVAILABLE'],
    ['IPv6 address of nobody', '700:7', '[2001:db8::1]:700:7/udp', 'FORWARD_UNAVAILABLE'],
    ['link-local address', '700:7', '[fe80::1]:700:7', 'FORWARD_UNAVAILABLE'],
  ])('%s: -> refused by name, nothing left open', async (_, first, second, code) => {
    open(first);
    const before = openDescriptors();
    const said = await refusalOf(() => open(second));
    expect(said).toContain(`${code}: VM vm-1: ${second.slice(0, second.indexOf(':700'))}:700/`);
    expect(openDescriptors()).toEqual(before);
  });

  test('port below 1024 without the capability: -> CAPABILITY_MISSING, naming it', () => {
    const dist = new URL('../../dist/forward/listener.js', import.meta.url).href;
    const wanted = JSON.stringify(forward('80:7'));
    const script = `
      import { openListener } from '${dist}';
      try { openListener(${wanted}, 'vm-1', []); } catch ({ code, message }) { console.log(code + ': ' + message); }
    `;
    const drop = ['--inh-caps=-all', '--bounding-set=-net_bind_service'];
    const words = [...drop, process.execPath, '--input-type=module', '-e', script];
    expect(execFileSync('setpriv', words, { encoding: 'utf8' }).trim()).toBe(
      'CAPABILITY_MISSING: VM vm-1: 127.0.0.1:80/tcp needs CAP_NET_BIND_SERVICE',
    );
  });
});

describe('port 0', () => {
  test.each(['0:6080', '0:6080/udp'])('%s: -> the same after a restart, another for another VM', (text) => {
    const first = listener(text, 'vm-1');
    closeListener(first);
    expect(shown(open(text))).toBe(shown(first));
    expect(shown(open(text, 'vm-2'))).not.toBe(shown(first));
  });

  test('its port is somebody else`s: -> the next; none is left: -> one of the kernel`s choice', () => {
    const ports = derivedPorts('vm-1', 6080, 'tcp');
    for (const port of ports) {
      expect(shown(open('0:6080'))).toBe(`127.0.0.1:${port}`);
    }
    const chosen = Number(shown(open('0:6080')).split(':')[1]);
    expect(chosen).toBeGreaterThan(0);
    expect(ports).not.toContain(chosen);
  });
});

describe('paths', () => {
  const path = () => join(directory, 'vm.sock');

  test('path: -> a socket for its owner alone, gone when closed', async () => {
    const before = openDescriptors();
    const listener = openListener(forward(`unix:${path()}:6080`), 'vm-1', []);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(await listens(`unix:${path()}`)).toBe(true);
    closeListener(listener);
    expect(statSync(path(), { throwIfNoEntry: false })).toBeUndefined();
    expect(openDescriptors()).toEqual(before);
  });

  test('socket that nobody listens at any more: -> replaced', async () => {
    const at = JSON.stringify(path());
    const script = `require('net').createServer().listen(${at}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(statSync(path()).isSocket()).toBe(true);
    expect(await listens(`unix:${path()}`)).toBe(false);
    open(`unix:${path()}:6080`);
    expect(await listens(`unix:${path()}`)).toBe(true);
  });

  test('socket that somebody listens at: -> FORWARD_IN_USE, and it stays', async () => {
    const server = createServer().listen(path());
    await new Promise((resolve) => server.once('listening', resolve));
    const before = openDescriptors();
    expect(await refusalOf(() => open(`unix:${path()}:6080`))).toBe(
      `FORWARD_IN_USE: VM vm-1: unix:${path()} is somebody else's`,
    );
    expect(openDescriptors()).toEqual(before);
    expect(await listens(`unix:${path()}`)).toBe(true);
    server.close();
  });

  test.each([
    ['file', () => writeFileSync(path(), 'kept')],
    ['symbolic link', () => symlinkSync('/nowhere', path())],
  ])('%s in its place: -> FORWARD_IN_USE, untouched', async (_, make) => {
    make();
    expect(await refusalOf(() => open(`unix:${path()}:6080`))).toMatch(/^FORWARD_IN_USE/);
  });

  test('no such directory: -> FORWARD_UNAVAILABLE, naming the path', async () => {
    const missing = join(directory, 'missing', 'vm.sock');
    expect(await refusalOf(() => open(`unix:${missing}:6080`))).toBe(
      `FORWARD_UNAVAILABLE: VM vm-1: unix:${missing} cannot be made: there is no such directory`,
    );
  });

  test('path given to another socket meanwhile: closed -> the other`s stays', async () => {
    const listener = openListener(forward(`unix:${path()}:6080`), 'vm-1', []);
    rmSync(path());
    const server = createServer().listen(path());
    await new Promise((resolve) => server.once('listening', resolve));
    closeListener(listener);
    expect(await listens(`unix:${path()}`)).toBe(true);
    server.close();
  });
});
