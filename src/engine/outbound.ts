/**
 * Where VMs may go, as the datapath is told: their rules, their network's, and that the host itself is out of bounds
 * at whatever addresses it has at the moment, in the namespace its connections for guests are made in.
 */
import { type IpWords, parseIp } from '../config/ip.ts';
import type { NetworkConfig, VmConfig } from '../config/resolve.ts';
import { compileEgress } from '../gateway/egress-policy.ts';
import type { Logger } from '../telemetry/logger.ts';
import { withLinks } from './namespace.ts';

function hostAddresses(): string[] {
  const texts = withLinks(undefined, (links) => links.addresses().map(({ address }) => address));
  return [...new Set(texts)].sort();
}

export class OutboundRules {
  readonly #networks: ReadonlyMap<string, NetworkConfig>;
  #host = '';
  #hostAddresses: IpWords[] = [];

  constructor(networks: ReadonlyMap<string, NetworkConfig>) {
    this.#networks = networks;
  }

  /** Looks at the host's addresses; true when they are others than before. Throws SYSTEM_CALL_FAILED. */
  refresh(): boolean {
    const texts = hostAddresses();
    const host = texts.join(' ');
    if (host === this.#host) return false;
    this.#host = host;
    this.#hostAddresses = texts.map(parseIp).filter((address) => address !== undefined);
    return true;
  }

  /** The same, where a failure is nothing but logged. */
  follow(log: Logger): boolean {
    try {
      return this.refresh();
    } catch (error) {
      log.error({ err: error }, "the host's addresses could not be listed");
      return false;
    }
  }

  /** Words of the VM's EgressPolicy. */
  wordsOf(vm: VmConfig): Int32Array {
    const network = this.#networks.get(vm.network)?.egress ?? [];
    return compileEgress({ vm: vm.egress, network, hostAddresses: this.#hostAddresses }).words;
  }
}
