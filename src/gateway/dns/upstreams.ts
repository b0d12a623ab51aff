/** The servers that each network's questions go to, and which of them failed of late. */
import type { DnsUpstream } from '../../config/dns.ts';
import { formatEndpoint } from '../../config/ip.ts';
import type { Clock } from '../../sys/clock.ts';

/** How long a server that failed is asked after all others, `ms`. */
const LAST_FOR_MS = 10_000;

export class Upstreams {
  readonly #clock: Clock;
  readonly #lists = new Map<number, readonly DnsUpstream[]>();
  /** When a server failed, `ms`, by its address */
  readonly #failures = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The servers of a network in the order they are asked. What failed before is forgotten. */
  set(network: number, upstreams: readonly DnsUpstream[]): void {
    this.#lists.set(network, upstreams);
    this.#failures.clear();
  }

  /** A copy of a network's list, those that failed of late at its end. */
  inOrder(network: number): DnsUpstream[] {
    const list = this.#lists.get(network) ?? [];
    const failed = list.filter((upstream) => this.#failedLately(upstream));
    return [...list.filter((upstream) => !failed.includes(upstream)), ...failed];
  }

  failed({ address, port }: DnsUpstream): void {
    this.#failures.set(formatEndpoint(address, port), this.#clock.ms);
  }

  worked({ address, port }: DnsUpstream): void {
    if (this.#failures.size > 0) this.#failures.delete(formatEndpoint(address, port));
  }

  #failedLately({ address, port }: DnsUpstream): boolean {
    if (this.#failures.size === 0) return false;
    const at = this.#failures.get(formatEndpoint(address, port));
    return at !== undefined && (this.#clock.ms - at) >>> 0 < LAST_FOR_MS;
  }
}
