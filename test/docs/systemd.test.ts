/** The unit file that is shipped: what it promises, and that systemd takes it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readText } from './tables.ts';

const unit = readText('contrib/systemd/tapswitch.service');
const settings = unit.split('\n').filter((line) => /^\w+=/.test(line));
const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

test('notifies, is watched, has two capabilities and no more', () => {
  for (const setting of [
    'Type=notify',
    'CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW',
    'AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW',
    'NoNewPrivileges=yes',
    'StateDirectory=tapswitch',
    'RuntimeDirectory=tapswitch',
  ]) {
    expect(settings).toContain(setting);
  }
  expect(settings.filter((line) => line.startsWith('WatchdogSec='))).toHaveLength(1);
  expect(settings.filter((line) => line.includes('CAP_'))).toHaveLength(2);
  expect(settings.join('\n')).not.toContain('MemoryDenyWriteExecute');
});

test('each optional capability is there in a comment that says what for', () => {
  const optional = [...unit.matchAll(/^# Optional: (CAP_\w+), for .+\n((?:#\w+=.*\n)+)/gm)];
  expect(optional.map(([, name]) => name)).toEqual([
    'CAP_BPF',
    'CAP_SYS_ADMIN',
    'CAP_SYS_PTRACE',
    'CAP_NET_BIND_SERVICE',
  ]);
  for (const [, name, lines] of optional) {
    expect(lines).toContain(`#CapabilityBoundingSet=${name}\n#AmbientCapabilities=${name}\n`);
  }
});

test.skipIf(!hasAnalyze)('systemd takes it, without a warning, optional settings included', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tapswitch-unit-'));
  try {
    const path = join(directory, 'tapswitch.service');
    // A command that is there, or that is what is found wrong
    const text = unit.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`);
    writeFileSync(path, text.replaceAll(/^#(?=\w+=)/gm, ''));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
    expect({
      status,
      aboutIt: stderr.split('\n').filter((line) => line.includes('tapswitch.service')),
    }).toEqual({
      status: 0,
      aboutIt: [],
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
