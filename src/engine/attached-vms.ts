/** The VMs of a switch, and what is asked of them without looking at each: who has an id, a TAP, an address, a namespace. */
import type { NetworkConfig, VmConfig } from '../config/resolve.ts';
import { VmIndex } from '../config/vm-index.ts';
import { TapswitchError } from '../errors.ts';
import { isSameNamespace } from './namespace.ts';
import type { VmPort } from './vm-port.ts';

/** In how many rounds every VM's losses in the kernel have been asked for once */
const COLLECT_ROUNDS = 50;

function addTo<Key, Value>(sets: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<Key, Value>(sets: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const set = sets.get(key);
  set?.delete(value);
  if (set?.size === 0) sets.delete(key);
}

export class AttachedVms {
  /** What no other VM may share with them */
  readonly index: VmIndex;
  readonly #ports = new Map<string, VmPort>();
  readonly #byNetwork = new Map<string, Set<VmPort>>();
  readonly #byNamespace = new Map<string | undefined, Set<VmPort>>();
  /** Those of one name may be in several namespaces */
  readonly #byTap = new Map<string, Set<VmPort>>();

  constructor(networks: ReadonlyMap<string, NetworkConfig>) {
    this.index = new VmIndex(networks);
  }

  add(port: VmPort): void {
    const { vm } = port;
    this.#ports.set(vm.id, port);
    this.index.add(vm);
    addTo(this.#byNetwork, vm.network, port);
    addTo(this.#byNamespace, vm.netns, port);
    addTo(this.#byTap, vm.tap, port);
  }

  remove(port: VmPort): void {
    const { vm } = port;
    this.#ports.delete(vm.id);
    this.index.remove(vm);
    removeFrom(this.#byNetwork, vm.network, port);
    removeFrom(this.#byNamespace, vm.netns, port);
    removeFrom(this.#byTap, vm.tap, port);
  }

  /** Throws CONFIG_INVALID for what is no id, VM_EXISTS for one that is taken. */
  checkFree(id: string): void {
    if (typeof id !== 'string') {
      const next = 'Call attach(id, { tap, ... }).';
      throw new TapswitchError('CONFIG_INVALID', 'the id of a VM is a string', next);
    }
    if (!this.#ports.has(id)) return;
    const next = 'Detach it first, or use another id.';
    throw new TapswitchError('VM_EXISTS', `VM ${id} is attached already`, next);
  }

  get(id: string): VmPort | undefined {
    return this.#ports.get(id);
  }

  has(id: string): boolean {
    return this.#ports.has(id);
  }

  ids(): IterableIterator<string> {
    return this.#ports.keys();
  }

  [Symbol.iterator](): IterableIterator<VmPort> {
    return this.#ports.values();
  }

  /** The VM on a port of the switch, if there is one. */
  ofNumber(number: number): VmPort | undefined {
    for (const port of this.#ports.values()) if (port.number === number) return port;
    return undefined;
  }

  /**
   * Looks after what nobody tells the ports of. What the kernel counts for us is asked for by a few VMs at a time: among a
   * thousand it is a thousand calls.
   */
  keepUp(round: number): void {
    let turn = round % COLLECT_ROUNDS;
    for (const port of this.#ports.values()) {
      port.keepFastPath();
      if (turn++ % COLLECT_ROUNDS === 0) port.collect();
    }
  }

  inNetwork(name: string): ReadonlySet<VmPort> {
    return this.#byNetwork.get(name) ?? new Set();
  }

  hasInNamespace(path: string | undefined): boolean {
    return this.#byNamespace.has(path);
  }

  /**
   * Throws TAP_IN_USE where another VM has the TAP. A namespace has many paths: the configuration compares texts, here it
   * is the namespaces.
   */
  checkTapFree(vm: VmConfig): void {
    for (const { vm: other } of this.#byTap.get(vm.tap) ?? []) {
      if (!isSameNamespace(other.netns, vm.netns)) continue;
      throw new TapswitchError(
        'TAP_IN_USE',
        `VM ${vm.id}: ${vm.tap} is the TAP of VM ${other.id} already`,
        'Give each VM a TAP of its own.',
      );
    }
  }
}
