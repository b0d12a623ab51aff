/** Work in a VM's network namespace, with errors a user understands. */
import { statSync } from 'node:fs';
import { TapswitchError } from '../errors.ts';
import { enterNamespace } from '../sys/netns.ts';
import { type RouteSocket, withRouteSocket } from '../sys/rtnetlink.ts';
import { explaining } from './system-errors.ts';

function enter(path: string): () => void {
  try {
    return explaining('CAP_SYS_ADMIN', () => enterNamespace(path));
  } catch (error) {
    if (!(error instanceof TapswitchError) || error.code !== 'SYSTEM_CALL_FAILED') throw error;
    throw new TapswitchError(
      'NAMESPACE_MISSING',
      `${path} is not a network namespace`,
      'Start the VM first, or correct the path: ip netns lists those under /run/netns.',
      error,
    );
  }
}

/** Runs `work` in the namespace at `path` (our own when undefined). Throws NAMESPACE_MISSING, CAPABILITY_MISSING. */
export function within<T>(path: string | undefined, work: () => T): T {
  if (path === undefined) return work();
  const leave = enter(path);
  try {
    return work();
  } finally {
    leave();
  }
}

/** Whether two paths (undefined: our own) lead to one namespace; a path that leads nowhere is the same as none. */
export function isSameNamespace(one: string | undefined, other: string | undefined): boolean {
  const [a, b] = [one, other].map((path) => {
    const { dev, ino } = statSync(path ?? '/proc/thread-self/ns/net', { throwIfNoEntry: false }) ?? {};
    return ino === undefined ? undefined : `${dev}:${ino}`;
  });
  return a !== undefined && a === b;
}

/** Runs `work` with a link socket of the namespace at `path`. */
export function withLinks<T>(path: string | undefined, work: (links: RouteSocket) => T): T {
  return within(path, () => explaining('CAP_NET_ADMIN', () => withRouteSocket(work)));
}
