/** How messages get to an upstream server and back: what the forwarder knows of sockets. */
import type { DnsUpstream } from '../../config/dns.ts';

/** One query on its way to one server: a socket of its own. */
export interface Exchange {
  /** Ends it; the listener hears no more. */
  close(): void;
}

export interface ExchangeListener {
  /** A message came from the server. Its bytes may be changed, and are the transport's again after the call. */
  received(message: Uint8Array): void;
  /** Nothing will come: the server is unreachable, or refuses, or hung up. To be closed still. */
  failed(): void;
}

export interface DnsTransport {
  /**
   * Sends a query from a new socket whose port nobody can foretell, and listens to that server alone. `undefined` when
   * that is not possible; the listener is never called before the return.
   *
   * @param stream whether over TCP
   */
  exchange(
    upstream: DnsUpstream,
    query: Uint8Array,
    stream: boolean,
    listener: ExchangeListener,
  ): Exchange | undefined;
}
