/**
 * What the gateway's name server is told: the names it answers itself, once, and the servers it asks for the rest,
 * which are those of the host's resolver configuration and follow it, unless a network names its own.
 */
import { readFileSync } from 'node:fs';
import type { DnsUpstream } from '../config/dns.ts';
import { type IpPrefix, ipv4Words, MAPPED_BITS } from '../config/ip.ts';
import { PREFIX6_BITS } from '../config/network6.ts';
import { parseResolvConf } from '../config/resolv-conf.ts';
import type { NetworkConfig } from '../config/resolve.ts';
import type { NetworkNames } from '../gateway/dns/names.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Engine } from './engine.ts';

const RESOLV_CONF = '/etc/resolv.conf';

export class NameService {
  readonly #engine: Engine;
  readonly #log: Logger;
  /** Networks without servers of their own, by number */
  readonly #followers = new Set<number>();
  #seen: string | undefined;

  constructor(engine: Engine, log: Logger) {
    this.#engine = engine;
    this.#log = log;
  }

  /** Tells the datapath of a network's names and servers, at first and when they have changed. */
  async setNetwork(number: number, network: NetworkConfig): Promise<void> {
    await this.#engine.names(number, namesOf(network));
    const { upstreams } = network.dns;
    if (upstreams === undefined) {
      this.#followers.add(number);
      if (this.#seen !== undefined)
        await this.#engine.upstreams(number, parseResolvConf(this.#seen).upstreams);
    } else {
      this.#followers.delete(number);
      await this.#engine.upstreams(number, upstreams);
    }
  }

  forgetNetwork(number: number): void {
    this.#followers.delete(number);
  }

  /** Reads the host's resolver configuration and passes it on where it has changed. */
  async follow(): Promise<void> {
    const text = readConfiguration();
    if (text === this.#seen) return;
    this.#seen = text;
    const { upstreams, refused } = parseResolvConf(text);
    if (refused.length > 0) this.#log.warn({ refused }, 'name servers that cannot be used');
    await Promise.all([...this.#followers].map((network) => this.#engine.upstreams(network, upstreams)));
  }
}

/** The file's text; without it the machine's own server is meant, as with an empty one. */
function readConfiguration(): string {
  try {
    return readFileSync(RESOLV_CONF, 'utf8');
  } catch {
    return '';
  }
}

/** The name servers of the host's resolver configuration, as they are now. */
export function hostNameServers(): DnsUpstream[] {
  return parseResolvConf(readConfiguration()).upstreams;
}

function namesOf({ mode, gateway, ipv6, hostPort, subnet, dns }: NetworkConfig): NetworkNames {
  const own: IpPrefix = { address: ipv4Words(subnet.address | 0), length: MAPPED_BITS + subnet.prefix };
  return {
    isolated: mode === 'isolated',
    gateway: [ipv4Words(gateway | 0), ...(ipv6 ? [ipv6.gateway] : [])],
    host: hostPort === undefined ? [] : [ipv4Words(hostPort.address | 0)],
    subnets: [own, ...(ipv6 ? [{ address: ipv6.subnet, length: PREFIX6_BITS }] : [])],
    records: dns.records,
  };
}
