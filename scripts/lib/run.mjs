// Running programs: quietly for set-up steps, in the foreground for the program the user asked for.
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { fail, ROOT } from './project.mjs';

/** Runs a set-up step without output; its first lines are shown and the script ends when it fails. */
export function runQuietly(what, command, args) {
  const { status, error, stdout, stderr } = capture(command, args);
  if (status === 0) return;
  const lines = `${stdout}${stderr}`.trimEnd().split('\n').slice(0, 25);
  process.stderr.write(`${lines.join('\n')}\n`);
  fail(`${what} failed: ${error?.message ?? `${command} ended with status ${status}`}`);
}

/** Runs a program to its end and gives its status (null when it could not run) and output. */
export function capture(command, args, env = process.env) {
  return spawnSync(command, args, {
    cwd: ROOT,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
const SAME_SIGNAL_MS = 300;

/**
 * Runs a program in the foreground and gives its exit status (128 + n when a signal ended it). Signals to this
 * process are passed on; the kernel ends the program with SIGTERM should this process be killed.
 *
 * The program gets a session of its own, so that Ctrl-C reaches it through us alone. We may get it twice (from the
 * terminal, and from npm, which passes on its own): a repetition at once is the same signal.
 */
export function runInForeground(command, { prefix = [], env = process.env } = {}) {
  const [program, ...args] = [...prefix, 'setpriv', '--pdeathsig', 'TERM', ...command];
  const child = spawn(program, args, { cwd: ROOT, env, stdio: 'inherit', detached: true });
  const lastSeen = new Map();
  const forward = (signal) => {
    const now = performance.now();
    const repeated = now - (lastSeen.get(signal) ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS;
    lastSeen.set(signal, now);
    if (!repeated) child.kill(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return new Promise((resolve) => {
    child.on('error', (error) => fail(`cannot run ${program}: ${error.message}`));
    child.on('exit', (status, signal) => {
      for (const forwarded of FORWARDED) process.off(forwarded, forward);
      resolve(status ?? 128 + constants.signals[signal]);
    });
  });
}
