/**
 * The API's unix socket. It is bound in a directory that only we can enter, given its owner and mode there, and then
 * renamed to its path: at no time can somebody connect who may not, whatever the umask. The rename also takes the place
 * of a socket that a killed daemon left.
 */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { TapswitchError } from '../errors.ts';
import { listening } from './listening.ts';

const OWNER_ONLY = 0o600;
const OWNER_AND_GROUP = 0o660;
const DIRECTORY_MODE = 0o755;
const BACKLOG = 4096; // connect() fails at once where it is full, and a burst of clients is not an error
const LONGEST_PATH = 107; // sun_path of sys/un.h, less the terminating zero

function unavailable(path: string, what: string, nextStep: string, cause?: unknown): TapswitchError {
  return new TapswitchError('API_UNAVAILABLE', `api.socket ${path}: ${what}`, nextStep, cause);
}

function inUse(path: string, what: string): TapswitchError {
  return new TapswitchError(
    'API_IN_USE',
    `api.socket ${path}: ${what}`,
    'End it, or configure another path.',
  );
}

/** gid of a group by name or number. Throws API_UNAVAILABLE. */
function gidOf(group: string | number, path: string): number {
  if (typeof group === 'number' || /^\d+$/.test(group)) return Number(group);
  const lines = readFileSync('/etc/group', 'utf8').split('\n');
  const gid = lines.map((line) => line.split(':')).find(([name]) => name === group)?.[2];
  if (gid === undefined) {
    throw unavailable(
      path,
      `there is no group ${group}`,
      'Add it (groupadd --system), or correct api.group.',
    );
  }
  return Number(gid);
}

function makeDirectory(directory: string, path: string): void {
  try {
    mkdirSync(directory);
    chmodSync(directory, DIRECTORY_MODE); // mkdir's is less the umask
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    throw unavailable(path, `its directory cannot be made (${code})`, `Make ${directory} first.`, error);
  }
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: its backlog is full. EACCES: somebody else's, who may well be listening.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT');
    });
  });
}

async function refuseIfTaken(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw inUse(path, 'a file that is no socket has this path');
  if (await isListening(path)) throw inUse(path, 'another process listens there');
}

async function bindAside(server: Server, path: string, gid: number | undefined): Promise<void> {
  const aside = mkdtempSync(join(dirname(path), '.s')); // mode 0700
  try {
    const made = join(aside, 's');
    await listening(server, { path: made, backlog: BACKLOG });
    if (gid !== undefined) chownSync(made, -1, gid);
    chmodSync(made, gid === undefined ? OWNER_ONLY : OWNER_AND_GROUP);
    renameSync(made, path);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/**
 * Makes `server` listen at `path`. Resolves with a function that removes the socket's file, unless its name is
 * another's by then. Throws API_IN_USE, API_UNAVAILABLE.
 */
export async function listenAtPath(
  server: Server,
  path: string,
  group: string | number | undefined,
): Promise<() => void> {
  if (Buffer.byteLength(path) > LONGEST_PATH) {
    throw unavailable(path, `longer than ${LONGEST_PATH} bytes`, 'Choose a shorter path.');
  }
  const gid = group === undefined ? undefined : gidOf(group, path);
  makeDirectory(dirname(path), path);
  await refuseIfTaken(path);
  try {
    await bindAside(server, path, gid);
  } catch (error) {
    server.close();
    const { code } = error as NodeJS.ErrnoException;
    throw unavailable(path, `cannot be made (${code})`, 'Correct the path, or its directory.', error);
  }
  const { dev, ino } = lstatSync(path);
  return () => {
    const now = lstatSync(path, { throwIfNoEntry: false });
    if (now?.dev === dev && now.ino === ino) unlinkSync(path);
  };
}
