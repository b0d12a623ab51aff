/**
 * What VMs must not share: TAP, and within a network MAC and addresses, except in a network of `clones`. Each is found by
 * a key, so that a VM among a thousand is checked as fast as one among ten.
 */
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac } from '../wire/mac.ts';
import { configError, type Locate, type Path } from './fault.ts';
import { formatIp } from './ip.ts';
import type { NetworkConfig } from './network.ts';
import type { VmConfig } from './vm.ts';

interface Share {
  readonly key: string;
  readonly code: 'TAP_IN_USE' | 'ADDRESS_IN_USE' | 'MAC_IN_USE';
  readonly field: 'tap' | 'ip' | 'ip6' | 'mac';
  /** As in `... is already the TAP of vm-1` */
  readonly what: string;
  readonly nextStep: string;
}

const ADDRESS_STEP = 'Give each VM of a network an address of its own.';
const MAC_STEP = 'Give each VM of a network a MAC address of its own.';

function sharesOf({ tap, netns = '', network, ip, ip6, mac }: VmConfig, clones: boolean): Share[] {
  const shares: Share[] = [
    {
      key: `tap ${netns} ${tap}`,
      code: 'TAP_IN_USE',
      field: 'tap',
      what: `${tap} is already the TAP`,
      nextStep: 'Give each VM a TAP of its own.',
    },
  ];
  if (clones) return shares;
  for (const [field, text] of [
    ['ip', ip === undefined ? undefined : formatIpv4(ip)],
    ['ip6', ip6 === undefined ? undefined : formatIp(ip6)],
  ] as const) {
    if (text === undefined) continue;
    const what = `${text} is already the address`;
    shares.push({
      key: `${network} ${text}`,
      code: 'ADDRESS_IN_USE',
      field,
      what,
      nextStep: ADDRESS_STEP,
    });
  }
  if (mac === undefined) return shares;
  const text = formatMac(mac);
  const what = `${text} is already the MAC address`;
  shares.push({ key: `${network} ${text}`, code: 'MAC_IN_USE', field: 'mac', what, nextStep: MAC_STEP });
  return shares;
}

export class VmIndex {
  readonly #networks: ReadonlyMap<string, NetworkConfig>;
  readonly #ids = new Set<string>();
  /** Key to the id of the VM that has it */
  readonly #owners = new Map<string, string>();

  constructor(networks: ReadonlyMap<string, NetworkConfig>, vms: Iterable<VmConfig> = []) {
    this.#networks = networks;
    for (const vm of vms) this.add(vm);
  }

  #sharesOf(vm: VmConfig): Share[] {
    return sharesOf(vm, this.#networks.get(vm.network)?.clones ?? false);
  }

  add(vm: VmConfig): void {
    this.#ids.add(vm.id);
    for (const { key } of this.#sharesOf(vm)) this.#owners.set(key, vm.id);
  }

  remove(vm: VmConfig): void {
    this.#ids.delete(vm.id);
    for (const { key } of this.#sharesOf(vm)) if (this.#owners.get(key) === vm.id) this.#owners.delete(key);
  }

  /** Throws VM_EXISTS, TAP_IN_USE, ADDRESS_IN_USE or MAC_IN_USE for whatever `vm` must not share with those there. */
  check(vm: VmConfig, locate: Locate): void {
    const path: Path = ['vms', vm.id];
    if (this.#ids.has(vm.id)) {
      const nextStep = 'Detach it first, or use another id.';
      throw configError('VM_EXISTS', locate, path, 'a VM of this id exists already', nextStep);
    }
    for (const { key, code, field, what, nextStep } of this.#sharesOf(vm)) {
      const owner = this.#owners.get(key);
      if (owner !== undefined)
        throw configError(code, locate, [...path, field], `${what} of ${owner}`, nextStep);
    }
  }
}
