/**
 * Addresses for VMs that are configured with none: one each, which follows from the VM's id and goes around what is
 * somebody's already, or kept for somebody. A VM that comes later and is configured with such an address has it; the
 * other is given a new one, and is told so when it asks again.
 *
 * In a network of clones nobody is in anybody's way.
 */
import type { Allocations } from '../config/allocations.ts';
import { leaseAddress } from '../config/identity.ts';
import type { NetworkConfig, VmConfig } from '../config/resolve.ts';
import type { Tables } from '../switch/tables.ts';
import { ADDRESS_UNKNOWN } from '../switch/tables.ts';
import type { Logger } from '../telemetry/logger.ts';

/** A VM with its port. */
export interface Lessee {
  readonly vm: VmConfig;
  readonly number: number;
}

export class Leases {
  readonly #tables: Tables;
  readonly #kept: Allocations;
  readonly #log: Logger;

  constructor(tables: Tables, kept: Allocations, log: Logger) {
    this.#tables = tables;
    this.#kept = kept;
    this.#log = log;
  }

  /**
   * Gives `newcomer` an address, where it has none.
   * @param attached the VMs of its network, itself among them
   * @param expected VMs of its network that are to be attached
   */
  give(
    newcomer: Lessee,
    network: NetworkConfig,
    attached: Iterable<Lessee>,
    expected: () => readonly VmConfig[],
  ): void {
    const { ip } = newcomer.vm;
    if (ip === undefined) this.#lease(newcomer, network, attached, expected);
    if (ip === undefined || network.clones) return;
    for (const holder of attached) {
      if (holder === newcomer || this.#tables.leaseAddress(holder.number) !== (ip | 0)) continue;
      this.#lease(holder, network, attached, expected);
      return;
    }
  }

  #lease(
    lessee: Lessee,
    network: NetworkConfig,
    attached: Iterable<Lessee>,
    expected: () => readonly VmConfig[],
  ): void {
    const { vm, number } = lessee;
    const taken = network.clones ? { has: () => false } : this.#taken(lessee, attached, expected());
    const address = leaseAddress(vm.id, network, taken, this.#kept.leaseOf(vm.id));
    this.#tables.setLease(number, address ?? 0);
    if (address === undefined) this.#log.warn({ vm: vm.id }, 'no address is left for this VM');
  }

  #taken(lessee: Lessee, attached: Iterable<Lessee>, expected: readonly VmConfig[]) {
    const tables = this.#tables;
    const taken = new Set<number>();
    for (const { ip } of expected) if (ip !== undefined) taken.add(ip);
    for (const other of attached) {
      if (other === lessee) continue;
      const { number, vm } = other;
      if (vm.ip !== undefined) taken.add(vm.ip);
      const lease = tables.leaseAddress(number);
      if (lease !== 0) taken.add(lease >>> 0);
      if (tables.ipState(number) !== ADDRESS_UNKNOWN) taken.add(tables.ip(number) >>> 0);
    }
    const { id } = lessee.vm;
    return { has: (address: number) => taken.has(address) || this.#kept.isLeaseOfAnother(address, id) };
  }
}
