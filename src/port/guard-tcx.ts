/**
 * Guard by TCX: a two-instruction BPF program attached to each interface, its link pinned in the BPF file system
 * under the namespace's inode number and the interface's name, so that it outlives us. When the interface goes,
 * the kernel detaches the link and leaves the pin, which then guards nothing: a pin alone proves nothing.
 */
import { accessSync, constants, mkdirSync, readdirSync, rmdirSync, statSync, unlinkSync } from 'node:fs';
import {
  attachTcxIngress,
  detachLink,
  isBpffs,
  loadVerdictProgram,
  openPinned,
  pin,
  TCX,
  tcxLinkInterface,
} from '../sys/bpf.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { withRouteSocket } from '../sys/rtnetlink.ts';

const BPFFS = '/sys/fs/bpf';
const ROOT = `${BPFFS}/tapswitch`;
const ESCAPED = /[^A-Za-z0-9_-]/g;

const hasCode = (error: unknown, codes: readonly string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException).code ?? '');

/** Directory of the thread's namespace. Numbers are used again, but only once every interface of theirs is gone. */
function directory(): string {
  return `${ROOT}/${statSync('/proc/thread-self/ns/net').ino}`;
}

/** File name of an interface: bpffs refuses dots, and a name may hold any character. */
function pinName(interfaceName: string): string {
  return interfaceName.replace(ESCAPED, (character) => `=${character.codePointAt(0)?.toString(16)}=`);
}

function interfaceNameOf(pinned: string): string {
  return pinned.replace(/=([0-9a-f]+)=/g, (_, digits) => String.fromCodePoint(Number.parseInt(digits, 16)));
}

/** Runs `work` with a descriptor and closes it. */
function withDescriptor<T>(fd: number, work: (fd: number) => T): T {
  try {
    return work(fd);
  } finally {
    close(fd);
  }
}

/** Runs `work` with the link pinned at a path; `undefined` where nothing is pinned. */
function withPinned<T>(path: string, work: (link: number) => T): T | undefined {
  let link: number;
  try {
    link = openPinned(path);
  } catch (error) {
    if (error instanceof SysError && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return withDescriptor(link, work);
}

/** Index of the interface a pinned link guards; 0 when it is gone, `undefined` where nothing is pinned. */
const guardedIndex = (path: string): number | undefined => withPinned(path, tcxLinkInterface);

/** Pins of the thread's namespace, by path. */
function pins(): string[] {
  const path = directory();
  try {
    return readdirSync(path).map((name) => `${path}/${name}`);
  } catch (error) {
    if (hasCode(error, ['ENOENT'])) return [];
    throw error;
  }
}

function unpin(path: string): void {
  withPinned(path, detachLink);
  try {
    unlinkSync(path);
  } catch (error) {
    if (!hasCode(error, ['ENOENT'])) throw error;
  }
}

/** Throws where such a guard cannot be had in the thread's namespace; leaves nothing behind. */
export function probeTcx(): void {
  if (!isBpffs(BPFFS)) throw new Error(`no BPF file system is mounted at ${BPFFS}`);
  accessSync(BPFFS, constants.W_OK);
  const loopback = withRouteSocket((routes) => routes.linkByName('lo')?.index ?? 0);
  withDescriptor(loadVerdictProgram(TCX.next), (program) => close(attachTcxIngress(program, loopback)));
}

/** Guards interfaces of the thread's namespace one after the other; about 10 ms each that was not guarded yet. */
export function applyTcx(indexes: ReadonlyMap<string, number>): void {
  const parent = directory();
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  withDescriptor(loadVerdictProgram(TCX.drop), (program) => {
    for (const [name, index] of indexes) {
      const path = `${parent}/${pinName(name)}`;
      if (guardedIndex(path) === index) continue;
      unpin(path);
      withDescriptor(attachTcxIngress(program, index), (link) => pin(link, path));
    }
  });
}

/** Ends the guard of those interfaces that have one, and clears away pins of interfaces that are gone. */
export function releaseTcx(names: readonly string[]): void {
  const released = new Set(names.map(pinName));
  for (const path of pins()) {
    const isReleased = released.has(path.slice(path.lastIndexOf('/') + 1));
    if (isReleased || guardedIndex(path) === 0) unpin(path);
  }
  try {
    rmdirSync(directory());
  } catch (error) {
    if (!hasCode(error, ['ENOENT', 'ENOTEMPTY'])) throw error;
  }
}

export function guardedByTcx(): string[] {
  return pins()
    .filter((path) => (guardedIndex(path) ?? 0) !== 0)
    .map((path) => interfaceNameOf(path.slice(path.lastIndexOf('/') + 1)));
}
