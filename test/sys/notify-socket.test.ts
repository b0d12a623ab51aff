import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AF_UNIX, openSocket, SOCK_DGRAM } from '../../src/sys/inet-socket.ts';
import { bind, check, close, recv } from '../../src/sys/libc.ts';
import { notify, unixAddress } from '../../src/sys/notify-socket.ts';

let directory: string;
let fd = -1;

/** A socket as the service manager has it, and what was sent to it. */
function receiver(name: string): void {
  const address = unixAddress(name);
  if (address === undefined) throw new Error(`${name} is no address`);
  fd = openSocket(AF_UNIX, SOCK_DGRAM);
  check(`bind ${name}`, bind(fd, address, address.length));
}

function received(): string | undefined {
  const bytes = new Uint8Array(1000);
  const length = recv(fd, bytes, bytes.length, 0);
  return length < 0 ? undefined : new TextDecoder().decode(bytes.subarray(0, length));
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tapswitch-notify-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  if (fd >= 0) close(fd);
  fd = -1;
  rmSync(directory, { recursive: true });
});

describe('notify', () => {
  test.each([
    ['a path', () => join(directory, 'notify')],
    ['a name of the abstract namespace', () => `@tapswitch-test-${process.pid}`],
  ])('%s -> one datagram for each call', (_fact, name) => {
    receiver(name());
    vi.stubEnv('NOTIFY_SOCKET', name());
    expect(notify('READY=1\nSTATUS=1 network, ü')).toBe(true);
    expect(notify('WATCHDOG=1')).toBe(true);
    expect([received(), received(), received()]).toEqual([
      'READY=1\nSTATUS=1 network, ü',
      'WATCHDOG=1',
      undefined,
    ]);
  });

  test.each([
    ['no service manager', undefined],
    ['empty', ''],
    ['relative path', 'notify'],
    ['no name', '@'],
    ['VM socket', 'vsock:2:1'],
    ['nobody there', '/nonexistent/notify'],
    ['too long', `/${'x'.repeat(107)}`],
  ])('%s -> false', (_fact, name) => {
    vi.stubEnv('NOTIFY_SOCKET', name);
    expect(notify('READY=1')).toBe(false);
  });

  test('a manager that takes nothing -> false, without waiting', () => {
    const name = join(directory, 'notify');
    receiver(name);
    vi.stubEnv('NOTIFY_SOCKET', name);
    let sent = 0;
    while (sent < 100_000 && notify('WATCHDOG=1')) sent++;
    expect(sent).toBeGreaterThan(0);
    expect(notify('WATCHDOG=1')).toBe(false);
    expect(received()).toBe('WATCHDOG=1');
    expect(notify('WATCHDOG=1')).toBe(true);
  });
});
