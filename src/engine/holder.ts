/** Which process holds a TAP's descriptor end: the kernel says so in /proc/PID/fdinfo (drivers/net/tun.c). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

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

/** The process that holds the TAP called `name`, if it can be seen. Walks every process: not for a hot path. */
export function findTapHolder(name: string): Holder | undefined {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || !holds(pid, name)) continue;
    return {
      pid: Number(pid),
      command: attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), '?'),
    };
  }
  return undefined;
}
