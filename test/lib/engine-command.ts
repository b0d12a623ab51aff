/** The `tapswitch` command as a child process in a namespace, and what it says and does. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfigInput } from 'tapswitch';
import { type Outcome, runIn, spawnIn } from '../../src/lab/process.ts';

export const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
export const COMMAND = [process.execPath, join(DIST, 'cli/main.js')];

/** A directory for files of a test, gone with `remove`. */
export function scratch(): { path: string; file(name: string, content: string): string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'tapswitch-test-'));
  chmodSync(path, 0o755); // for children that are other users
  return {
    path,
    file(name, content) {
      writeFileSync(join(path, name), content);
      return join(path, name);
    },
    remove: () => rmSync(path, { recursive: true }),
  };
}

/** Where a daemon of a test has its socket and its state: none may meet another, or the machine's own. */
function ownPlace({ path }: { readonly path: string }): NodeJS.ProcessEnv {
  const own = mkdtempSync(join(path, 'daemon-'));
  chmodSync(own, 0o1777); // for daemons that are other users
  return { TAPSWITCH_SOCKET: join(own, 'sock'), TAPSWITCH_STATE: join(own, 'state') };
}

/** Runs a command of tapswitch to its end. `prefix` is put before it, e.g. `setpriv ...`. */
export function tapswitch(
  namespace: string | undefined,
  words: readonly string[],
  prefix: readonly string[] = [],
  timeoutMs = 20_000,
): Promise<Outcome> {
  return runIn(namespace, [...prefix, ...COMMAND, ...words], { timeoutMs });
}

export interface Daemon {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it has written to stderr */
  log(): string;
  /** Its exit status, 128 + n for a signal */
  readonly ended: Promise<number>;
}

export interface StartOptions {
  /** Put before the command */
  readonly prefix?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Added to the command */
  readonly args?: readonly string[];
}

/** Starts `tapswitch up` and waits until it says on descriptor 3 that it is ready, or has ended. */
export async function startUp(
  namespace: string | undefined,
  config: ConfigInput,
  directory: ReturnType<typeof scratch>,
  { prefix = [], env = {}, args = [] }: StartOptions = {},
): Promise<Daemon & { ready: string }> {
  const path = directory.file(`${Math.random().toString(36).slice(2)}.json`, JSON.stringify(config));
  const child = spawnIn(
    namespace,
    [...prefix, ...COMMAND, 'up', '--config', path, '--ready-fd', '3', ...args],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...ownPlace(directory), ...env },
    },
  );
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  const ended = once(child, 'close').then(
    ([code, signal]) => (code as number | null) ?? (signal === 'SIGKILL' ? 137 : 143),
  );
  let ready = '';
  const told = new Promise<void>((resolve) => {
    child.stdio[3]?.on('data', (more: Buffer) => {
      ready += more.toString();
    });
    child.stdio[3]?.on('end', () => resolve());
  });
  await Promise.race([told, ended]);
  return { child, pid: child.pid as number, log: () => text, ended, ready };
}
