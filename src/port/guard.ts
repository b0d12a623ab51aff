/**
 * The guard: a drop at the ingress of every VM's interface, behind the packet sockets (which still see each
 * frame) and before the host's stack, so that the host never sees, answers or forwards a guest's frame. No
 * forwarding depends on it.
 *
 * It fails closed: it belongs to the kernel, not to this process, and holds through a crash or `kill -9` until it
 * is released or the interface goes. Someone who flushes the whole ruleset takes an nftables guard away with it;
 * applying again puts it back.
 */
import { existsSync } from 'node:fs';
import { TapswitchError } from '../errors.ts';
import { SysError } from '../sys/errno.ts';
import { inNamespace } from '../sys/netns.ts';
import { withRouteSocket } from '../sys/rtnetlink.ts';
import {
  applyNftables,
  guardedByNftables,
  nftablesGeneration,
  probeNftables,
  releaseNftables,
} from './guard-nftables.ts';
import { applyTcx, guardedByTcx, probeTcx, releaseTcx } from './guard-tcx.ts';

/** nftables: one transaction for any number of interfaces, in a user namespace too. tcx: needs CAP_BPF and bpffs. */
export type GuardKind = 'nftables' | 'tcx';

export interface GuardTarget {
  /** Path of the network namespace the interface is in; the thread's own when undefined */
  readonly namespace?: string | undefined;
  readonly interfaceName: string;
  /** Index of the interface, where it has been looked up already */
  readonly index?: number;
}

function works(probe: () => void): boolean {
  try {
    probe();
    return true;
  } catch {
    return false;
  }
}

/** The kind of guard that can be had in a namespace, the better one first; `undefined` for none. */
export function detectGuard(namespace?: string): GuardKind | undefined {
  return inNamespace(namespace, () => {
    if (works(probeNftables)) return 'nftables';
    return works(probeTcx) ? 'tcx' : undefined;
  });
}

type Indexes = Map<string, number | undefined>;

/** Names of interfaces per namespace, with the index where it is known. */
function byNamespace(targets: readonly GuardTarget[]): Map<string | undefined, Indexes> {
  const namespaces = new Map<string | undefined, Indexes>();
  for (const { namespace, interfaceName, index } of targets) {
    const there = namespaces.get(namespace);
    if (there === undefined) namespaces.set(namespace, new Map([[interfaceName, index]]));
    else there.set(interfaceName, index);
  }
  return namespaces;
}

/** Indexes of interfaces of the thread's namespace. */
function existing(indexes: Indexes): Map<string, number> {
  const known = [...indexes].filter((entry): entry is [string, number] => entry[1] !== undefined);
  if (known.length === indexes.size) return new Map(known);
  return withRouteSocket(
    (routes) =>
      new Map(
        [...indexes.keys()].map((name) => {
          const link = routes.linkByName(name);
          if (link !== undefined) return [name, link.index];
          throw new TapswitchError(
            'TAP_MISSING',
            `there is no interface ${name} to guard`,
            'Make the interface first, or take the VM out of the configuration.',
          );
        }),
      ),
  );
}

/**
 * Puts interfaces under guard, those of a namespace at once. Already guarded is fine.
 *
 * @throws TapswitchError TAP_MISSING or NAMESPACE_MISSING: nothing was done in that namespace.
 *   CAPABILITY_MISSING, GUARD_UNAVAILABLE: see {@link detectGuard}
 */
export function applyGuard(kind: GuardKind, targets: readonly GuardTarget[]): void {
  for (const [namespace, names] of byNamespace(targets)) {
    requireNamespace(namespace);
    try {
      inNamespace(namespace, () => {
        const indexes = existing(names);
        if (kind === 'nftables') applyNftables([...indexes.keys()]);
        else applyTcx(indexes);
      });
    } catch (error) {
      throw explained(kind, error);
    }
  }
}

function requireNamespace(namespace: string | undefined): void {
  if (namespace === undefined || existsSync(namespace)) return;
  throw new TapswitchError(
    'NAMESPACE_MISSING',
    `there is no network namespace at ${namespace}`,
    'Start the VM that makes it, or correct `netns` in the configuration.',
  );
}

function explained(kind: GuardKind, error: unknown): unknown {
  if (!(error instanceof SysError)) return error;
  if (error.code === 'EPERM') {
    return new TapswitchError(
      'CAPABILITY_MISSING',
      `the ${kind} guard was refused: ${error.message}`,
      kind === 'tcx' ? 'Grant CAP_NET_ADMIN and CAP_BPF.' : 'Grant CAP_NET_ADMIN.',
      error,
    );
  }
  return new TapswitchError(
    'GUARD_UNAVAILABLE',
    `the ${kind} guard cannot be set: ${error.message}`,
    'Use a kernel with nf_tables and its netdev chains, or Linux 6.6 or later with a BPF file system at /sys/fs/bpf.',
    error,
  );
}

/** A number that is another as soon as somebody has changed rules of that kind; undefined where nothing tells. */
export function guardGeneration(kind: GuardKind, namespace?: string): number | undefined {
  return kind === 'nftables' ? inNamespace(namespace, nftablesGeneration) : undefined;
}

/** Ends the guard of interfaces. No guard, no interface or no namespace is fine. */
export function releaseGuard(kind: GuardKind, targets: readonly GuardTarget[]): void {
  for (const [namespace, names] of byNamespace(targets)) {
    if (namespace !== undefined && !existsSync(namespace)) continue;
    const gone = [...names.keys()];
    inNamespace(namespace, () => (kind === 'nftables' ? releaseNftables(gone) : releaseTcx(gone)));
  }
}

/**
 * Names of a namespace's interfaces that are under guard now. Since Linux 6.16 nftables also guards names whose
 * interface is gone until they are released: those are listed too.
 * @param among only of these
 */
export function guarded(kind: GuardKind, namespace?: string, among?: readonly string[]): string[] {
  return inNamespace(namespace, () => {
    if (kind === 'nftables') return guardedByNftables(among);
    return guardedByTcx().filter((name) => among?.includes(name) ?? true);
  });
}
