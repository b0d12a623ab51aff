/** Waits for what another program does in a namespace. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { withRoutes } from '../src/lab/netns-guest.ts';
import { inNamespace } from '../src/sys/netns.ts';

const TIMEOUT_MS = 5000;
const POLL_MS = 20;
/** TCP_LISTEN of linux/tcp_states.h, as /proc/net/tcp writes it */
const LISTEN = '0A';

/** Resolves once `condition` holds; rejects with `what` when it does not in time. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < TIMEOUT_MS; waited += POLL_MS) {
    if (condition()) return;
    await delay(POLL_MS);
  }
  throw new Error(`${what} in vain`);
}

/** Resolves once the namespace has those interfaces. */
export function appearance(namespace: string, interfaces: readonly string[]): Promise<void> {
  const there = () => withRoutes(namespace, (routes) => interfaces.every((name) => routes.linkByName(name)));
  return until(`waited for ${interfaces.join(', ')}`, there);
}

function isListened(table: string, port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return state === LISTEN && local?.endsWith(suffix);
  });
}

/** Resolves once somebody in the namespace listens on each of those TCP ports, at whatever IPv4 or IPv6 address. */
export function listeners(namespace: string, ports: readonly number[]): Promise<void> {
  const there = () => {
    const read = () => ['tcp', 'tcp6'].map((name) => readFileSync(`/proc/thread-self/net/${name}`, 'utf8'));
    const table = inNamespace(namespace, read).join('\n');
    return ports.every((port) => isListened(table, port));
  };
  return until(`waited for a listener on ${ports.join(', ')}`, there);
}
