import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMAND_LOOP } from '../../src/lab/guest-init.ts';
import { GuestShell } from '../../src/lab/guest-shell.ts';

// The guest's half of the channel is plain shell: here it runs on this machine, over a socket pair.
describe('GuestShell with the command loop at its other end', () => {
  let loop: ChildProcess;
  let shell: GuestShell;
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tapswitch-test-'));
    loop = spawn('sh', ['-c', COMMAND_LOOP], {
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      env: { ...process.env, TMPDIR: directory },
      detached: true, // a process group of its own, so that all of the loop can be ended
    });
    shell = new GuestShell(loop.stdio[3] as Duplex);
  });

  afterEach(async () => {
    shell.end(new Error('test over'));
    process.kill(-(loop.pid as number), 'SIGKILL');
    await rm(directory, { recursive: true });
  });

  test('a command: status, stdout and stderr come back apart', async () => {
    const outcome = await shell.run(`echo "out 'quoted'"; echo err >&2; exit 3`, 5000);
    expect(outcome).toEqual({ status: 3, stdout: "out 'quoted'\n", stderr: 'err\n' });
  });

  test('no output, many lines, non-ASCII: each comes back whole', async () => {
    expect(await shell.run('true', 5000)).toEqual({ status: 0, stdout: '', stderr: '' });
    expect((await shell.run('echo one; echo two; echo "håndtag €"', 5000)).stdout).toBe(
      'one\ntwo\nhåndtag €\n',
    );
    expect((await shell.run('seq 1 50000', 5000)).stdout).toHaveLength(288_894);
  });

  test('commands at once: a quick one does not wait for a slow one', async () => {
    const order: string[] = [];
    await Promise.all([
      shell.run('sleep 0.5; echo slow', 5000).then(({ stdout }) => order.push(stdout.trim())),
      shell.run('echo quick', 5000).then(({ stdout }) => order.push(stdout.trim())),
    ]);
    expect(order).toEqual(['quick', 'slow']);
  });

  test('a command over its time: killed, status 137, the next one runs', async () => {
    expect((await shell.run('echo begun; sleep 30', 1000)).status).toBe(137);
    expect((await shell.run('echo next', 5000)).stdout).toBe('next\n');
  });

  test('the guest ends: what runs and what comes later rejects with the reason', async () => {
    const running = shell.run('sleep 5', 10_000);
    shell.end(new Error('guest vm1 has ended'));
    await expect(running).rejects.toThrow('guest vm1 has ended');
    await expect(shell.run('true', 5000)).rejects.toThrow('guest vm1 has ended');
  });
});
