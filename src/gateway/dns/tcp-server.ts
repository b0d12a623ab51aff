/** The guests' TCP connections to the gateway's DNS: how many there may be, and which (see connection.ts for one). */
import { type ByteStream, Connection, type ConnectionTools } from './connection.ts';
import type { DnsCounts } from './counts.ts';

/** Connections over all VMs: each has a buffer of 4 KB. */
const MAX_CONNECTIONS = 1024;
/** The same of one VM. */
const MAX_CONNECTIONS_PER_VM = 8;

export class DnsTcpServer {
  readonly #tools: ConnectionTools;
  readonly #counts: DnsCounts;
  readonly #connections = new Map<number, Set<Connection>>();
  #size = 0;

  constructor(tools: ConnectionTools, counts: DnsCounts) {
    this.#tools = tools;
    this.#counts = counts;
  }

  /** Connections open now. */
  get size(): number {
    return this.#size;
  }

  /**
   * Takes over a stream from the VM on `port`; the caller calls `ready` of what is returned when the stream is. Where
   * there are too many already the stream is closed.
   */
  open(network: number, port: number, stream: ByteStream): Connection | undefined {
    const ofVm = this.#connections.get(port) ?? new Set();
    if (this.#size >= MAX_CONNECTIONS || ofVm.size >= MAX_CONNECTIONS_PER_VM) {
      this.#counts.connectionsRefused++;
      stream.close();
      return undefined;
    }
    const connection = new Connection(this.#tools, network, port, stream, this.#remove);
    this.#connections.set(port, ofVm.add(connection));
    this.#size++;
    return connection;
  }

  /** Closes all connections of a VM. */
  forgetPort(port: number): void {
    for (const connection of this.#connections.get(port) ?? []) connection.close();
  }

  readonly #remove = (connection: Connection): void => {
    const ofVm = this.#connections.get(connection.port);
    if (ofVm?.delete(connection) !== true) return;
    this.#size--;
    if (ofVm.size === 0) this.#connections.delete(connection.port);
  };
}
