/**
 * The forwards of all VMs: numbers, loopback identities, and that what was asked for goes before an identity's port,
 * which is a courtesy: 0.0.0.0 takes a port from every address, 127.64.0.0/10 included.
 */
import type { Allocations } from '../config/allocations.ts';
import type { Path } from '../config/fault.ts';
import { nowhere } from '../config/fault.ts';
import { type ForwardHost, Listeners, type PortForward, resolveForwards } from '../config/forwards.ts';
import { isLoopbackIdentity, loopbackIdentity } from '../config/identity.ts';
import { isIpv4 } from '../config/ip.ts';
import { MAX_FORWARD_PORTS } from '../config/limits.ts';
import { type ForwardInput, VmSchema } from '../config/schema.ts';
import { checkShape } from '../config/shape.ts';
import { TapswitchError } from '../errors.ts';
import type { GivenUp } from '../gateway/forward-binding.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type ForwardState, type ForwardWorkers, VmForwards } from './vm-forwards.ts';

function pathOf(id: string): Path {
  return ['vms', id, 'forwards'];
}

/** Whether a socket at `host` could be in the way of a loopback identity's. */
function meetsIdentities(host: ForwardHost): boolean {
  if (host.kind === 'unix' || !isIpv4(host.address)) return false;
  return host.address[3] === 0 || isLoopbackIdentity(host.address[3] >>> 0);
}

export class ForwardTable {
  readonly #workers: ForwardWorkers;
  readonly #kept: Allocations;
  readonly #log: Logger;
  readonly #vms = new Map<string, VmForwards>();
  readonly #listeners = new Listeners();
  readonly #identities = new Set<number>();
  #numbers = 0;

  constructor(workers: ForwardWorkers, kept: Allocations, log: Logger) {
    this.#workers = workers;
    this.#kept = kept;
    this.#log = log;
  }

  /**
   * Gives the VM `id` on `port` its identity and opens its forwards, which no other may want.
   * @throws TapswitchError FORWARD_IN_USE, FORWARD_UNAVAILABLE, CAPABILITY_MISSING; nothing is open then
   */
  async open(id: string, port: number, forwards: readonly PortForward[]): Promise<void> {
    const loopback = this.#identityFor(id);
    const made = new VmForwards({
      id,
      port,
      loopback,
      workers: this.#workers,
      listeners: this.#listeners,
      kept: this.#kept,
      nextNumber: () => ++this.#numbers,
      log: this.#log,
    });
    this.#vms.set(id, made);
    this.#identities.add(loopback);
    try {
      await this.#add(id, made, forwards);
    } catch (error) {
      await this.close(id);
      throw error;
    }
  }

  #identityFor(id: string): number {
    const kept = this.#kept.loopbackOf(id);
    if (kept !== undefined && !this.#identities.has(kept)) return kept;
    const isTaken = (address: number) =>
      this.#identities.has(address) || this.#kept.isLoopbackOfAnother(address, id);
    return loopbackIdentity(id, { has: isTaken });
  }

  async #add(id: string, vm: VmForwards, forwards: readonly PortForward[]): Promise<ForwardState[]> {
    for (const { host, protocol } of forwards) {
      if (!meetsIdentities(host)) continue;
      for (const other of this.#vms.values()) await other.giveWay(host, protocol);
    }
    if (this.#vms.get(id) === vm) return vm.add(forwards);
    throw new TapswitchError('VM_UNKNOWN', `VM ${id} was detached meanwhile`, 'Attach it again.');
  }

  /**
   * Adds what `input` says to a VM that is there.
   * @throws TapswitchError CONFIG_INVALID, and what {@link open} throws; nothing is changed then
   */
  async add(id: string, input: ForwardInput): Promise<ForwardState[]> {
    const vm = this.#vm(id);
    const resolved = this.#resolve(id, input);
    if (vm.asked.length + resolved.length > MAX_FORWARD_PORTS) {
      const message = `VM ${id} would have more than ${MAX_FORWARD_PORTS} forwarded ports`;
      throw new TapswitchError('CONFIG_INVALID', message, 'Forward only the ports that are used.');
    }
    return this.#add(id, vm, resolved);
  }

  /** Ends what `spec` says, see {@link VmForwards.remove}. Throws CONFIG_INVALID or FORWARD_UNKNOWN. */
  async remove(id: string, spec: string, reset: boolean): Promise<PortForward[]> {
    const vm = this.#vm(id);
    return vm.remove(this.#resolve(id, spec), reset);
  }

  #resolve(id: string, input: ForwardInput): PortForward[] {
    checkShape(VmSchema.properties.forwards, [input], nowhere, pathOf(id));
    return resolveForwards([input], nowhere, pathOf(id)).map(({ forward }) => forward);
  }

  /** Throws VM_UNKNOWN. */
  states(id: string): ForwardState[] {
    return this.#vm(id).states();
  }

  /** A VM's part of its port's state; empty before {@link open}. */
  stateOf(id: string): { loopback?: string; forwards?: ForwardState[] } {
    const vm = this.#vms.get(id);
    return vm === undefined ? {} : { loopback: vm.loopbackText, forwards: vm.states() };
  }

  /** A VM's part of what was chosen for it. Throws VM_UNKNOWN. */
  chosen(id: string): { loopback: string; forwards: string[] } {
    const { loopbackText, chosen } = this.#vm(id);
    return { loopback: loopbackText, forwards: chosen };
  }

  #vm(id: string): VmForwards {
    const vm = this.#vms.get(id);
    if (vm !== undefined) return vm;
    throw new TapswitchError('VM_UNKNOWN', `there is no VM ${id}`, 'Use an id that was attached.');
  }

  /** Notes that a connection of one of the forwards was given up. */
  gaveUp(what: GivenUp): void {
    for (const vm of this.#vms.values()) vm.gaveUp(what);
  }

  /** Ends a VM's forwards and their flows. */
  async close(id: string): Promise<void> {
    const vm = this.#vms.get(id);
    if (vm === undefined) return;
    this.#vms.delete(id);
    this.#identities.delete(vm.loopback);
    await vm.close();
  }
}
