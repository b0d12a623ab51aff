/**
 * The guards of a switch's VMs: which kind each namespace has, which were there before us, and that they stay.
 *
 * A guard that a switch before us left (killed, or stopped) is inherited: it stays when an attach or the start fails,
 * since the guard fails closed. It goes when its VM is detached. Somebody who flushes the machine's nftables ruleset
 * takes guards away; {@link Guards.restore}, called now and then, puts them back.
 */
import type { VmConfig } from '../config/resolve.ts';
import { TapswitchError } from '../errors.ts';
import {
  applyGuard,
  detectGuard,
  type GuardKind,
  guarded,
  guardGeneration,
  releaseGuard,
} from '../port/guard.ts';
import { hasNetAdmin } from '../sys/capability.ts';
import type { Logger } from '../telemetry/logger.ts';
import { within } from './namespace.ts';

function targetOf({ netns, tap }: VmConfig): { namespace: string | undefined; interfaceName: string } {
  return { namespace: netns, interfaceName: tap };
}

export class Guards {
  readonly #required: boolean;
  readonly #log: Logger;
  readonly #kinds = new Map<string | undefined, GuardKind>();
  readonly #inherited = new Set<string>();
  /** The ruleset's generation when all guards of a namespace were there */
  readonly #generations = new Map<string | undefined, number>();
  /** VMs that {@link prepare} has guarded */
  readonly #prepared = new Map<string, GuardKind>();

  /** @param required false: no VM is guarded */
  constructor(required: boolean, log: Logger) {
    this.#required = required;
    this.#log = log;
  }

  /** Kind in use, undefined while no VM is attached. */
  get inUse(): GuardKind | 'off' | undefined {
    return this.#required ? this.#kinds.values().next().value : 'off';
  }

  /** Kind of guard for a VM, undefined when none is wanted. Throws GUARD_UNAVAILABLE. */
  kindFor(vm: VmConfig): GuardKind | undefined {
    if (!this.#required) return undefined;
    const known = this.#kinds.get(vm.netns);
    if (known !== undefined) return known;
    const kind = within(vm.netns, () => detectGuard());
    if (kind === undefined && !hasNetAdmin()) {
      throw new TapswitchError(
        'CAPABILITY_MISSING',
        `VM ${vm.id}: shielding the host from ${vm.tap} needs CAP_NET_ADMIN`,
        'Run as root, or give the process CAP_NET_ADMIN.',
      );
    }
    if (kind === undefined) {
      throw new TapswitchError(
        'GUARD_UNAVAILABLE',
        `VM ${vm.id}: neither nftables nor TCX can be used to shield the host from ${vm.tap}`,
        'Load nf_tables, or set guard: off if the host may see the guests’ frames.',
      );
    }
    this.#kinds.set(vm.netns, kind);
    return kind;
  }

  /** Takes note of guards that are there already. To be called before any of these VMs is guarded. */
  inherit(vms: readonly VmConfig[]): void {
    for (const [namespace, kind] of this.#kinds) {
      const there = vms.filter((vm) => vm.netns === namespace);
      if (there.length === 0) continue;
      const taps = there.map(({ tap }) => tap);
      const present = new Set(guarded(kind, namespace, taps));
      for (const vm of there) {
        if (present.has(vm.tap)) this.#inherited.add(vm.id);
        else this.#inherited.delete(vm.id);
      }
    }
  }

  /** Guards many VMs, all of a namespace at once. One that cannot be guarded is refused when it is attached. */
  prepare(vms: readonly VmConfig[]): void {
    for (const vm of vms) this.kindFor(vm);
    this.inherit(vms);
    for (const [namespace, kind] of this.#kinds) {
      try {
        const there = vms.filter((vm) => vm.netns === namespace);
        applyGuard(kind, there.map(targetOf));
        for (const vm of there) this.#prepared.set(vm.id, kind);
      } catch (error) {
        this.#log.debug({ err: error, namespace }, 'not all TAPs could be guarded at once');
      }
    }
  }

  /** Lifts a VM's guard; unless it is detached for good, an inherited one stays. */
  lift(vm: VmConfig, detached: boolean): void {
    if (!detached && this.#inherited.has(vm.id)) return;
    this.#inherited.delete(vm.id);
    // Its namespace may be forgotten already when it was prepared and its turn never came.
    const kind = this.#kinds.get(vm.netns) ?? this.#prepared.get(vm.id);
    this.#prepared.delete(vm.id);
    if (kind !== undefined) releaseGuard(kind, [targetOf(vm)]);
  }

  /** Forgets a namespace that has no VM any more. */
  forget(namespace: string | undefined): void {
    this.#kinds.delete(namespace);
    this.#generations.delete(namespace);
  }

  /** Puts back what is missing of the guards of these VMs, where somebody has changed the ruleset since it was looked at. */
  restore(vmsOf: () => readonly VmConfig[]): void {
    let vms: readonly VmConfig[] | undefined;
    for (const [namespace, kind] of this.#kinds) {
      try {
        const generation = guardGeneration(kind, namespace);
        if (generation !== undefined && generation === this.#generations.get(namespace)) continue;
        vms ??= vmsOf();
        const present = new Set(guarded(kind, namespace));
        const missing = vms.filter((vm) => vm.netns === namespace && !present.has(vm.tap));
        if (missing.length > 0) {
          applyGuard(kind, missing.map(targetOf));
          this.#log.warn({ ports: missing.map((vm) => vm.tap) }, 'guard was gone; put back');
        }
        // As it was before we looked: what has changed since is looked at the next time.
        if (generation !== undefined) this.#generations.set(namespace, generation);
      } catch (error) {
        this.#log.error({ err: error }, 'guard could not be looked after');
      }
    }
  }
}
