/** What the calling thread may do (capabilities(7), linux/capability.h). */
import { readFileSync } from 'node:fs';

const CAP_NET_ADMIN = 12;

/** Whether the thread has CAP_NET_ADMIN in its own user namespace. */
export function hasNetAdmin(): boolean {
  const status = readFileSync('/proc/thread-self/status', 'utf8');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(CAP_NET_ADMIN)) & 1n) === 1n;
}
