/** Programs that forward ports or carry a guest's connections out, which users have today: started where installed. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnIn } from '../src/lab/process.ts';
import { stopProgram } from './processes.ts';
import type { RigName, Undo } from './rig.ts';
import { appearance, listeners } from './waiting.ts';

const MTU = '65520';
/** Address slirp4netns gives the guest (--configure) */
const SLIRP_GUEST = '10.0.2.100';
const SOCAT_BUFFER_BYTES = '65536';
const ANSWER_TIMEOUT_MS = 5000;

const PROGRAMS: Readonly<Partial<Record<RigName, string>>> = {
  'bridge-docker': 'iptables-restore',
  socat: 'socat',
  pasta: 'pasta',
  'pasta-tap': 'pasta',
  'pasta-out': 'pasta',
  slirp4netns: 'slirp4netns',
  'slirp4netns-out': 'slirp4netns',
};

/** True where the program that a rig is about can be run. */
export function isInstalled(rig: RigName): boolean {
  const program = PROGRAMS[rig];
  return program === undefined || spawnSync(program, ['--version']).error === undefined;
}

function start(host: string, command: readonly string[], undo: Undo): number | undefined {
  const child = spawnIn(host, command, { stdio: 'ignore' });
  // One that cannot be run is noticed by what then does not appear
  child.on('error', () => {});
  undo.push(() => stopProgram(child));
  return child.pid;
}

/** A port of the host's loopback that leads to the same port of `address`, a child for each connection. */
export async function socat(host: string, port: number, address: string, undo: Undo): Promise<void> {
  const listen = `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,backlog=1024,nodelay`;
  start(host, ['socat', '-b', SOCAT_BUFFER_BYTES, listen, `TCP:${address}:${port},nodelay`], undo);
  await listeners(host, [port]);
}

function scratchFolder(undo: Undo): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  undo.push(remove);
  // A run that is interrupted undoes nothing
  process.on('exit', remove);
  return folder;
}

/**
 * Loopback to loopback, spliced: `in` from the host's to the guest's, `out` the other way; over a TAP what comes to the
 * host's ports from elsewhere. Gives its process. It may
 * not open a namespace by another process's descriptor, so it is given a name in a mount namespace of its own.
 */
export async function pasta(
  host: string,
  guest: string,
  ports: readonly number[],
  undo: Undo,
  direction: 'in' | 'out' = 'in',
): Promise<number | undefined> {
  const named = join(scratchFolder(undo), 'guest');
  writeFileSync(named, '');
  const list = ports.join(',');
  const [inbound, outbound] = direction === 'in' ? [list, 'none'] : ['none', list];
  const tcp = ['-t', inbound, '-T', outbound, '-u', 'none', '-U', 'none'];
  const command = ['pasta', '-f', '-e', '--runas', '0', '--config-net', ...tcp, '--netns', named];
  const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  const pid = start(host, ['unshare', '-m', 'sh', '-c', script, 'sh', guest, named, ...command], undo);
  await listeners(direction === 'in' ? host : guest, ports);
  return pid;
}

/** Asks slirp4netns for a forwarded port by its socket, one request for each connection. */
async function addForward(socketPath: string, port: number): Promise<void> {
  const socket = connect(socketPath);
  const ends = { host_addr: '127.0.0.1', host_port: port, guest_addr: SLIRP_GUEST, guest_port: port };
  socket.end(JSON.stringify({ execute: 'add_hostfwd', arguments: { proto: 'tcp', ...ends } }));
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  if (String(answer).includes('error')) throw new Error(`slirp4netns: ${answer}`);
}

/** Ports of the host's loopback that lead to the guest, and the guest's way out; gives its process. */
export async function slirp4netns(
  host: string,
  guest: string,
  ports: readonly number[],
  undo: Undo,
): Promise<number | undefined> {
  const socketPath = join(scratchFolder(undo), 'api');
  const options = ['--configure', `--mtu=${MTU}`, '-a', socketPath, '--netns-type=path'];
  const pid = start(host, ['slirp4netns', ...options, guest, 'tap0'], undo);
  await appearance(guest, ['tap0']);
  for (const port of ports) await addForward(socketPath, port);
  return pid;
}
