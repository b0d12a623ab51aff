/**
 * Somewhere to run programs: a network namespace, of this user or inside a user namespace of its own. Both look the
 * same to a test, so that one scene can be played in either.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Outcome, runIn, spawnIn } from '../../src/lab/process.ts';
import { createNamespace } from '../../src/sys/netns.ts';
import type { Cleanup } from './net-cleanup.ts';

const RUN_TIMEOUT_MS = 30_000;
// Again inside: entering a user namespace changes credentials, which clears the signal set before.
const END_WITH_US = ['setpriv', '--pdeathsig', 'KILL'];

/** Whatever runs shell commands: a place, a guest. */
export interface Shell {
  run(command: string, timeoutMs?: number): Promise<Outcome>;
}

export class Place implements Shell {
  /** Path of the network namespace, for `netns` of a configuration and of `ip link` */
  readonly path: string;
  readonly #enter: readonly string[];

  constructor(path: string, enter: readonly string[]) {
    this.path = path;
    this.#enter = enter;
  }

  spawn(command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return spawnIn(undefined, [...this.#enter, ...END_WITH_US, ...command], options);
  }

  /** Runs a shell command to its end, whatever its status. */
  run(command: string, timeoutMs: number = RUN_TIMEOUT_MS): Promise<Outcome> {
    return runIn(undefined, [...this.#enter, ...END_WITH_US, 'sh', '-c', command], { timeoutMs });
  }

  /** Output of shell commands, one after the other; throws where one fails, and runs none behind it. */
  async must(...commands: string[]): Promise<string> {
    const script = commands.join('\n');
    const { status, stdout, stderr } = await this.run(`set -e\n${script}`);
    if (status !== 0) throw new Error(`status ${status} of\n${script}\n${stderr || stdout}`);
    return stdout;
  }

  /** Sets a kernel setting of the namespace, by its path under /proc/sys/net. */
  set(setting: string, value: number): Promise<string> {
    return this.must(`echo ${value} >/proc/sys/net/${setting}`);
  }
}

/** Ends a program that was spawned and waits until it is gone. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** An empty network namespace, its loopback up. */
export async function createPlace(cleanup: Cleanup): Promise<Place> {
  const namespace = createNamespace();
  cleanup.add(() => namespace.close());
  const place = new Place(namespace.path, ['nsenter', `--net=${namespace.path}`]);
  await place.must('ip link set lo up');
  return place;
}

/** Namespaces that live as long as a process in them: `unshare` with these options makes them. */
async function heldPlace(cleanup: Cleanup, enter: readonly string[], options: string[]): Promise<Place> {
  const holder = spawnIn(undefined, [...enter, 'unshare', ...options, ...END_WITH_US, 'sleep', 'infinity'], {
    stdio: 'ignore',
  });
  await new Promise((resolve, reject) => holder.on('spawn', resolve).on('error', reject));
  cleanup.add(() => kill(holder));
  const process = `/proc/${holder.pid}`;
  while (readFileSync(`${process}/comm`, 'utf8') !== 'sleep\n') {
    if (holder.exitCode !== null) throw new Error(`unshare ${options.join(' ')}: status ${holder.exitCode}`);
    await sleep(10);
  }
  const namespaces = [`--user=${process}/ns/user`, `--net=${process}/ns/net`];
  const place = new Place(`${process}/ns/net`, ['nsenter', ...namespaces, '--preserve-credentials']);
  await place.must('ip link set lo up');
  return place;
}

/** Network namespaces inside a user namespace that is made for them, as many as asked for. */
export async function createUserPlaces(cleanup: Cleanup, count: number): Promise<Place[]> {
  const first = await heldPlace(cleanup, [], ['-U', '-r', '-n']);
  const user = first.path.replace(/net$/, 'user');
  const places = [first];
  while (places.length < count) {
    places.push(await heldPlace(cleanup, ['nsenter', `--user=${user}`, '--preserve-credentials'], ['-n']));
  }
  return places;
}
