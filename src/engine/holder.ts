/** Which process holds a TAP's descriptor end: the kernel says so in /proc/PID/fdinfo (drivers/net/tun.c). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isSameNamespace } from './namespace.ts';

export interface Holder {
  readonly pid: number;
  /** The program's name, as the kernel knows it */
  readonly command: string;
}

const TUN_DEVICE = '/dev/net/tun';

function attempt<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    // Gone since it was listed, or not ours to look at (naming another user's process needs CAP_SYS_PTRACE).
    return otherwise;
  }
}

function holds(pid: string, name: string): boolean {
  return attempt(() => readdirSync(`/proc/${pid}/fd`), []).some((fd) => {
    if (attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`), '') !== TUN_DEVICE) return false;
    return attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'), '').includes(`iff:\t${name}\n`);
  });
}

/**
 * The process that holds the TAP called `name`, if it can be seen. Walks every process: not for a hot path. The kernel
 * tells a TAP's name and not its namespace: of several with one name, that of a process in the namespace is the one.
 *
 * @param netns path of the TAP's namespace, our own where undefined
 */
export function findTapHolder(name: string, netns?: string): Holder | undefined {
  const pids = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && holds(pid, name));
  const pid = pids.find((one) => isSameNamespace(`/proc/${one}/ns/net`, netns)) ?? pids[0];
  if (pid === undefined) return undefined;
  return {
    pid: Number(pid),
    command: attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), '?'),
  };
}
