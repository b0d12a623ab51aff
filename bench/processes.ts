/** Programs the bench keeps running, and what they cost. */

import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { runIn, spawnIn } from '../src/lab/process.ts';

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 3_000;
const RUN_TIMEOUT_MS = 20_000;
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
/** Position of utime among the fields after the command's name (proc(5), /proc/pid/stat) */
const UTIME = 11;

/** Starts a program and resolves once it has written `sign` to its standard output. */
export function startProgram(
  namespace: string | undefined,
  command: readonly string[],
  sign: string,
  timeoutMs = START_TIMEOUT_MS,
): Promise<ChildProcess> {
  const child = spawnIn(namespace, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let output = '';
    const fail = (reason: string) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`${command[0]} ${reason}: ${output.trim().slice(-500)}`));
    };
    const timer = setTimeout(() => fail('is not ready in time'), timeoutMs);
    const listen = (text: string) => {
      output = (output + text).slice(-4096);
      if (!output.includes(sign)) return;
      clearTimeout(timer);
      resolve(child);
    };
    child.stdout?.setEncoding('utf8').on('data', listen);
    child.stderr?.setEncoding('utf8').on('data', listen);
    child.on('error', (error) => fail(error.message));
    child.on('exit', (status, signal) => fail(`has ended (${status ?? signal})`));
  });
}

/** Ends a program, first asking. */
export async function stopProgram(child: ChildProcess, timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  await ended;
  clearTimeout(timer);
}

/** Runs a program to its end and gives its standard output; rejects when it fails. */
export async function runProgram(namespace: string, command: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runIn(namespace, command, { timeoutMs: RUN_TIMEOUT_MS });
  if (status === 0) return stdout;
  throw new Error(`${command.join(' ')}: status ${status}: ${(stderr || stdout).trim().slice(-500)}`);
}

/** Processor time a process has used since it started, all its threads together, seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[UTIME]) + Number(fields[UTIME + 1])) / TICKS_PER_SECOND;
}

/** The same to the nanosecond: for a process that does next to nothing (/proc/pid/task/tid/schedstat). */
export function fineCpuSeconds(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((tid) =>
    Number(readFileSync(`${tasks}/${tid}/schedstat`, 'utf8').split(' ', 1)[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

/** Time that all processors of the machine together have not been idle since it started, seconds (/proc/stat). */
export function machineSeconds(): number {
  const [line] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const [user, nice, system, , , irq, softirq] = line!.split(/\s+/).slice(1).map(Number) as number[];
  return (user! + nice! + system! + irq! + softirq!) / TICKS_PER_SECOND;
}

function memoryOf(pid: number, field: string): number {
  const [, kilobytes] = new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  )!;
  return Number(kilobytes) * 1024;
}

/** Memory of a process that is in RAM, bytes (VmRSS, proc(5)). */
export const residentBytes = (pid: number): number => memoryOf(pid, 'VmRSS');

/** The most that it was since the process started, bytes (VmHWM, proc(5)). */
export const mostResidentBytes = (pid: number): number => memoryOf(pid, 'VmHWM');
