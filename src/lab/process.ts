/**
 * Programs run inside a network namespace. `nsenter` and `setpriv` are part of util-linux, which every Debian
 * has; `--pdeathsig` ends the program with us, however we end.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

function argumentsIn(namespace: string | undefined, command: readonly string[]): string[] {
  const entry = namespace === undefined ? [] : ['nsenter', `--net=${namespace}`];
  return [...entry, 'setpriv', '--pdeathsig', 'KILL', ...command];
}

const running = new Set<ChildProcess>();
let ended = false;

/** Starts `command` in the namespace at `namespace` (a path), or in our own when undefined. */
export function spawnIn(
  namespace: string | undefined,
  command: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  if (ended) throw new Error(`no program is started any more: ${command.join(' ')}`);
  const [program, ...rest] = argumentsIn(namespace, command);
  // A group of its own: what it starts in turn can be ended with it, and a terminal's Ctrl-C is ours alone.
  const child = spawn(program as string, rest, { ...options, detached: true });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // gone already
  }
}

/**
 * Ends every program that still runs and starts no other: for a process about to end itself, since the kernel does not
 * keep its promise to one that has capabilities of its own (`ping`; PR_SET_PDEATHSIG in prctl(2)).
 */
export async function endPrograms(): Promise<void> {
  ended = true;
  const gone = [...running].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of running) killGroup(child);
  await Promise.all(gone);
}

export interface Outcome {
  /** Exit status, or 128 + n when ended by a signal */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Time after which the program is killed, `ms` (default 30,000) */
  readonly timeoutMs?: number;
  readonly input?: string;
}

/** Runs `command` to its end. Never rejects for the program's own failure: look at `status`. */
export function runIn(
  namespace: string | undefined,
  command: readonly string[],
  { timeoutMs = 30_000, input }: RunOptions = {},
): Promise<Outcome> {
  const child = spawnIn(namespace, command, { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.on('error', () => {}); // a program that ends without reading its input is no failure of ours
  child.stdin?.end(input);
  const timer = setTimeout(() => killGroup(child), timeoutMs);
  return new Promise((resolve, reject) => {
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ status: code ?? (signal === 'SIGKILL' ? 137 : 143), stdout, stderr });
    });
  });
}
