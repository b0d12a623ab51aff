/**
 * Network namespaces by descriptor: a namespace lives as long as something holds it open, so one made here
 * disappears, with every interface and rule in it, when its owner ends in whatever way.
 *
 * A thread is in one namespace at a time. Everything here enters a namespace, does synchronous work and comes
 * back before it returns: no other code of the thread ever runs in the wrong place. What was opened inside
 * (a socket, a TAP) keeps belonging to the namespace it was opened in.
 */
import { check, close, open, setns, unshare } from './libc.ts';

const CLONE_NEWNET = 0x40000000;
const O_RDONLY_CLOEXEC = 0x80000;
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

function openNamespace(path: string): number {
  return check(`open ${path}`, open(path, O_RDONLY_CLOEXEC, 0));
}

/**
 * Takes the calling thread into the namespace at `path`. Needs CAP_SYS_ADMIN.
 *
 * @returns takes the thread back; to be called before any other code of the thread can run
 * @throws SysError ENOENT when there is no such file, EINVAL when it is no network namespace, EPERM
 */
export function enterNamespace(path: string): () => void {
  const target = openNamespace(path);
  try {
    const home = openNamespace(OWN_NAMESPACE);
    try {
      check(`enter network namespace ${path}`, setns(target, CLONE_NEWNET));
    } catch (error) {
      close(home);
      throw error;
    }
    return () => {
      const result = setns(home, CLONE_NEWNET);
      close(home);
      check('return to the own network namespace', result);
    };
  } finally {
    close(target);
  }
}

/** Runs `work`, which must be synchronous, in the namespace at `path`; `undefined` means the thread's own. */
export function inNamespace<T>(path: string | undefined, work: () => T): T {
  if (path === undefined) return work();
  const leave = enterNamespace(path);
  try {
    return work();
  } finally {
    leave();
  }
}

/** A network namespace of our own. */
export interface Namespace {
  /** Path that any process of this user can open while this process lives, for `nsenter --net=` or a config file */
  readonly path: string;
  close(): void;
}

/** Makes an empty network namespace (its loopback is down). Needs CAP_SYS_ADMIN. */
export function createNamespace(): Namespace {
  const home = openNamespace(OWN_NAMESPACE);
  try {
    check('unshare network namespace', unshare(CLONE_NEWNET));
    let fd: number;
    try {
      fd = openNamespace(OWN_NAMESPACE);
    } finally {
      check('return to the own network namespace', setns(home, CLONE_NEWNET));
    }
    return { path: `/proc/${process.pid}/fd/${fd}`, close: () => void close(fd) };
  } finally {
    close(home);
  }
}
