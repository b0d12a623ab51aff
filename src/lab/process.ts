/**
 * Programs run inside a network namespace. `nsenter` and `setpriv` are part of util-linux, which every Debian
 * has; `--pdeathsig` ends the program with us, however we end.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

function argumentsIn(namespace: string | undefined, command: readonly string[]): string[] {
  const entry = namespace === undefined ? [] : ['nsenter', `--net=${namespace}`];
  return [...entry, 'setpriv', '--pdeathsig', 'KILL', ...command];
}

/** Starts `command` in the namespace at `namespace` (a path), or in our own when undefined. */
export function spawnIn(
  namespace: string | undefined,
  command: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const [program, ...rest] = argumentsIn(namespace, command);
  return spawn(program as string, rest, options);
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
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
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
