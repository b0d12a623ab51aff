/** The bench as a contributor runs it, with samples too short to mean anything. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bench, ROOT, scratchFolders } from './run.ts';

const ROWS = ['l2.tcp.1', 'l2.rr', 'forward.tcp.in', 'nat.udp.rr'];

test('a row of each set -> header and results, compared and checked, nothing left behind', () => {
  const before = scratchFolders();
  const only = ROWS.flatMap((row) => ['--only', row]);
  const run = bench(
    'l2',
    'forward',
    'nat',
    '--json',
    '--smoke',
    '--no-peers',
    '--samples',
    '1',
    '--check',
    ...only,
  );
  const lines = run.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const [about, ...results] = lines;
  expect(about, run.stderr).toMatchObject({ bench: 'tapswitch', node: process.version, samples: 1 });
  expect(about.tools.iperf3).toContain('iperf');
  const names = results.map(({ name }) => name);
  expect(names).toEqual([
    'l2.tcp.1',
    'l2.tcp.1.datapath',
    'l2.rr',
    'l2.rr.datapath',
    'forward.tcp.in',
    'nat.udp.rr',
  ]);
  for (const result of results) {
    expect(result.ratio, result.name).toBeGreaterThan(0);
    expect(result.interval).toEqual([result.ratio, result.ratio]);
    expect(run.stderr).toMatch(new RegExp(`(ok|warn|fail) +${result.name}: ratio `));
  }
  expect(results[0].rigs.bridge.machineCpuPerGB).toBeGreaterThan(0);
  expect(results[2].rigs.tapswitch.p999).toBeGreaterThanOrEqual(results[2].rigs.tapswitch.p99);
  expect(scratchFolders()).toEqual(before);
}, 180_000);

/** Processes that have the mark in their environment: the bench, and whatever it started. */
function marked(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
    } catch {
      return false; // ended meanwhile
    }
  });
}

test('interrupted in mid-sample -> ends by the signal, no program or folder stays', async () => {
  const before = scratchFolders();
  const mark = `TAPSWITCH_BENCH_TEST_${process.pid}`;
  const options = { cwd: ROOT, env: { ...process.env, [mark]: '1' } };
  const run = spawn(process.execPath, ['scripts/bench.mjs', 'l2', '--smoke', '--only', 'l2.rtt'], options);
  let said = '';
  const sampling = new Promise<void>((resolve) => {
    run.stderr.on('data', (text) => {
      said += text;
      if (said.includes('l2.rtt 0/5')) resolve();
    });
  });
  const ended = once(run, 'exit');
  await Promise.race([sampling, ended]);
  expect(marked(mark).length, said).toBeGreaterThan(2);
  run.kill('SIGINT');
  expect(await ended).toEqual([130, null]);
  expect(marked(mark)).toEqual([]);
  expect(scratchFolders()).toEqual(before);
}, 120_000);

test('a row that does not exist -> status 2, what there is', () => {
  const run = bench('--only', 'l2.tcp.9');
  expect(run.status).toBe(2);
  expect(run.stderr).toContain('no row l2.tcp.9');
  expect(run.stderr).toContain('usage:');
}, 120_000);
