/**
 * The networks of a switch: their numbers, host ports, services and names, at the start and when the configuration changes.
 *
 * Theory of operation. A network has a number that the datapath knows it by, for as long as it is there. What its VMs'
 * ports are made of (subnet, gateway, mode, MTU, clones) changes only while none of them is attached: whoever changes it
 * detaches them first. The rest changes under them: a host port is opened anew where it is another, services, names and
 * servers are told to the datapath again.
 */
import { isDeepStrictEqual } from 'node:util';
import { type FlowLimits, USUAL_LIMITS } from '../config/network.ts';
import { PREFIX6_BITS } from '../config/network6.ts';
import type { NetworkConfig } from '../config/resolve.ts';
import type { Logger } from '../telemetry/logger.ts';
import { maskOf } from '../wire/ipv4.ts';
import type { Engine } from './engine.ts';
import { HostPort } from './host-port.ts';
import type { LinkWatch } from './link-watch.ts';
import type { NameService } from './name-service.ts';

/** Whether VMs stay attached while the one becomes the other. */
export function keepsPorts(before: NetworkConfig, after: NetworkConfig | undefined): boolean {
  if (after === undefined) return false;
  const partsOf = ({ subnet, gateway, ipv6, mtu, mode, clones }: NetworkConfig) => ({
    subnet,
    gateway,
    ipv6,
    mtu,
    mode,
    clones,
  });
  return isDeepStrictEqual(partsOf(before), partsOf(after));
}

export interface NetworksParts {
  readonly engine: Engine;
  readonly links: LinkWatch;
  readonly names: NameService;
  readonly log: Logger;
}

export class Networks {
  /** As they are now */
  readonly configs: Map<string, NetworkConfig>;
  readonly #parts: NetworksParts;
  readonly #numbers = new Map<string, number>();
  readonly #hostPorts = new Map<string, HostPort>();

  constructor(configs: ReadonlyMap<string, NetworkConfig>, parts: NetworksParts) {
    this.configs = new Map(configs);
    this.#parts = parts;
    for (const network of configs.values()) this.#describe(network);
  }

  numberOf(name: string): number {
    return this.#numbers.get(name) as number;
  }

  /** What the connections of each VM of a network may take. */
  limitsOf(name: string): FlowLimits {
    return this.configs.get(name)?.limits ?? USUAL_LIMITS;
  }

  get hostPorts(): Iterable<HostPort> {
    return this.#hostPorts.values();
  }

  /** Tells the datapath of a network, which has a number from then on. */
  #describe({ name, mode, gateway, subnet, ipv6, mtu, clones }: NetworkConfig): void {
    const number = this.#numbers.get(name) ?? this.#freeNumber();
    this.#numbers.set(name, number);
    this.#parts.engine.tables.setNetwork(number, {
      isolated: mode === 'isolated',
      gateway: gateway | 0,
      subnet: subnet.address | 0,
      mask: maskOf(subnet.prefix),
      ...(ipv6 !== undefined && { gateway6: ipv6.gateway, prefix6: PREFIX6_BITS }),
      mtu,
      clones,
    });
  }

  #freeNumber(): number {
    const taken = new Set(this.#numbers.values());
    let number = 0;
    while (taken.has(number)) number++;
    return number;
  }

  /** Opens what the networks have: services and names first, so that nobody meets a host port without them. */
  async open(): Promise<void> {
    for (const network of this.configs.values()) await this.#serve(network);
    await this.#parts.names.follow();
    for (const network of this.configs.values()) await this.#openHostPort(network);
  }

  async #serve(network: NetworkConfig): Promise<void> {
    const number = this.numberOf(network.name);
    await this.#parts.engine.services(number, network.hostServices);
    await this.#parts.names.setNetwork(number, network);
  }

  async #openHostPort(network: NetworkConfig): Promise<void> {
    const { hostPort: config, name } = network;
    if (config === undefined) return;
    const { engine, links, log } = this.#parts;
    const port = new HostPort({ engine, network, config, id: this.numberOf(name), log });
    this.#hostPorts.set(name, port);
    await links.add(config.netns, config.name, port);
    await port.open();
  }

  /**
   * Makes the networks what `next` says; those that are the same are not touched. No VM is attached to one that is
   * not kept, see {@link keepsPorts}.
   * @returns names of those that have another host port now: guests may know the MAC of the one before
   * @throws TapswitchError what opening a host port throws; that network has none then, until the next change
   */
  async change(next: ReadonlyMap<string, NetworkConfig>): Promise<string[]> {
    const gone = [...this.configs.values()].filter((network) => !next.has(network.name));
    const changed = [...next.values()].filter(
      (network) => !isDeepStrictEqual(this.configs.get(network.name), network),
    );
    // All that ends goes first: an address or a name may move from one to another.
    for (const { name } of [...gone, ...changed]) {
      const after = next.get(name);
      if (after === undefined || !this.#keepsHostPort(after)) await this.#closeHostPort(name);
    }
    for (const { name } of gone) {
      const number = this.numberOf(name);
      await this.#parts.engine.services(number, []);
      this.#parts.names.forgetNetwork(number);
      this.#numbers.delete(name);
      this.configs.delete(name);
    }
    for (const network of changed) {
      if (!this.#keepsHostPort(network)) this.#describe(network);
      this.configs.set(network.name, network);
      await this.#serve(network);
    }
    const opened = [...this.configs.values()].filter(
      ({ name, hostPort }) => hostPort !== undefined && !this.#hostPorts.has(name),
    );
    for (const network of opened) await this.#openLater(network);
    return opened.map(({ name }) => name);
  }

  /** One that cannot be opened now is tried again with the next change. */
  async #openLater(network: NetworkConfig): Promise<void> {
    try {
      await this.#openHostPort(network);
    } catch (error) {
      await this.#closeHostPort(network.name);
      throw error;
    }
  }

  #keepsHostPort(after: NetworkConfig): boolean {
    const before = this.configs.get(after.name);
    if (before === undefined || !isDeepStrictEqual(before.hostPort, after.hostPort)) return false;
    return keepsPorts(before, after);
  }

  /** Ends a host port while the switch goes on; its interface goes, too: nothing answers behind it any more. */
  async #closeHostPort(name: string): Promise<void> {
    const port = this.#hostPorts.get(name);
    if (port === undefined) return;
    this.#hostPorts.delete(name);
    await this.#parts.links.remove(port.config.netns, port.config.name);
    await port.end();
  }

  /** Hears of the host ports' interfaces no more. */
  async unwatch(): Promise<void> {
    for (const { config } of this.hostPorts) await this.#parts.links.remove(config.netns, config.name);
  }

  /** Closes the host ports; their interfaces stay. To be called when no worker runs any more. */
  async close(): Promise<void> {
    for (const port of this.hostPorts) await port.close();
  }

  /** Removes the host ports' interfaces that were made: for a start that failed. To be called after {@link close}. */
  undo(): void {
    for (const port of this.hostPorts) port.undo();
  }
}
