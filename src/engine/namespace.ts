/** Work in a VM's network namespace, with errors a user understands. */
import { statSync } from 'node:fs';
import { TapswitchError } from '../errors.ts';
import { enterNamespace } from '../sys/netns.ts';
import { RouteSocket, withRouteSocket } from '../sys/rtnetlink.ts';
import { explaining } from './system-errors.ts';

const OWN = '/proc/thread-self/ns/net';

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

/** What a namespace is told apart by; undefined for a path that leads nowhere. */
function namespaceOf(path: string): string | undefined {
  const { dev, ino } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return ino === undefined ? undefined : `${dev}:${ino}`;
}

/** Whether two paths (undefined: our own) lead to one namespace; a path that leads nowhere is the same as none. */
export function isSameNamespace(one: string | undefined, other: string | undefined): boolean {
  const [a, b] = [one, other].map((path) => namespaceOf(path ?? OWN));
  return a !== undefined && a === b;
}

/** Socket of our own namespace, kept since every VM needs it, and the namespace: a thread may change its own */
let own: { readonly links: RouteSocket; readonly namespace: string } | undefined;

function ownLinks(): RouteSocket {
  const namespace = namespaceOf(OWN) ?? '';
  if (own?.namespace !== namespace) {
    own?.links.close();
    own = { links: new RouteSocket(), namespace };
  }
  return own.links;
}

/** Runs `work` with a link socket of the namespace at `path`. */
export function withLinks<T>(path: string | undefined, work: (links: RouteSocket) => T): T {
  if (path === undefined) {
    return explaining('CAP_NET_ADMIN', () => work(ownLinks()));
  }
  return within(path, () => explaining('CAP_NET_ADMIN', () => withRouteSocket(work)));
}
