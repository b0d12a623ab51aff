/** What the calling thread may do (capabilities(7), linux/capability.h). */
import { readFileSync } from 'node:fs';

/** Numbers of the capabilities that the switch has a use for. */
export const CAPABILITIES = {
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** Whether the thread has a capability in its own user namespace. */
export function hasCapability(name: Capability): boolean {
  const status = readFileSync('/proc/thread-self/status', 'utf8');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}

/** Whether the thread has CAP_NET_ADMIN in its own user namespace. */
export function hasNetAdmin(): boolean {
  return hasCapability('CAP_NET_ADMIN');
}
