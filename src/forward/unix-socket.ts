/**
 * Listening sockets with a path. A socket's file outlives whoever listened there; one that nobody listens at is
 * replaced, any other file is left alone.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { ENOENT, SysError } from '../sys/errno.ts';
import { AF_UNIX, openSocket, SOCK_STREAM } from '../sys/inet-socket.ts';
import { bind, check, close, connect } from '../sys/libc.ts';

const OWNER_ONLY = 0o600;

const PATH_OFFSET = 2; // struct sockaddr_un of sys/un.h
const SOCKADDR_UN_BYTES = 110;

/** The file of a socket, by what does not change when its name is given to another. */
export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

function addressOf(path: string): Uint8Array {
  const address = Buffer.alloc(SOCKADDR_UN_BYTES);
  address.writeUInt16LE(AF_UNIX);
  address.write(path, PATH_OFFSET);
  return address;
}

function fileAt(path: string): SocketFile | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isSocket() ? { path, device: stat.dev, inode: stat.ino } : undefined;
}

function isRefused(address: Uint8Array): boolean {
  const fd = openSocket(AF_UNIX, SOCK_STREAM);
  if (fd < 0) throw new SysError('open a socket', -fd);
  try {
    check('connect', connect(fd, address, address.length));
    return false;
  } catch (error) {
    return error instanceof SysError && error.code === 'ECONNREFUSED';
  } finally {
    close(fd);
  }
}

/** Runs `change`, one of Node's calls about files; throws SysError where the system refuses. */
function changing(operation: string, change: () => void): void {
  try {
    change();
  } catch (error) {
    throw new SysError(operation, Math.abs((error as NodeJS.ErrnoException).errno ?? 0));
  }
}

/** Gives a socket its path, for its owner's user alone. Throws SysError; EADDRINUSE where something else has the path. */
export function bindPath(fd: number, path: string): SocketFile {
  const address = addressOf(path);
  const attempt = () => check(`bind unix:${path}`, bind(fd, address, address.length));
  try {
    attempt();
  } catch (error) {
    const isTaken = error instanceof SysError && error.code === 'EADDRINUSE';
    if (!isTaken || fileAt(path) === undefined || !isRefused(address)) throw error;
    changing(`unlink ${path}`, () => unlinkSync(path));
    attempt();
  }
  // Nobody can connect before it listens.
  changing(`chmod ${path}`, () => chmodSync(path, OWNER_ONLY));
  const file = fileAt(path);
  if (file === undefined) throw new SysError(`bind unix:${path}`, ENOENT);
  return file;
}

/** Removes a socket's file, unless its name is another's by now. */
export function removeFile({ path, device, inode }: SocketFile): void {
  const now = fileAt(path);
  if (now?.device !== device || now.inode !== inode) return;
  changing(`unlink ${path}`, () => unlinkSync(path));
}
