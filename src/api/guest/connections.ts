/**
 * HTTP connections into VMs.
 *
 * A request takes a connection that is idle, or has one opened; given back, it is idle for a few seconds. Each is a
 * client of its own, not a pool's: so a request waits for its own VM only as long as it says, is told by the control
 * plane itself why it cannot be had, and gives up when the browser does. What is idle goes with the VM.
 * Bounds: connections in use per VM, idle ones per VM and port, time idle.
 */
import type { Duplex } from 'node:stream';
import { Client } from 'undici';
import type { ControlPlane, DialOptions } from '../../control/contract.ts';
import { TapswitchError } from '../../errors.ts';

export const MAX_BUSY_PER_VM = 256;
export const MAX_IDLE_PER_PORT = 8;
/** Time an idle connection is kept, `ms`: less than servers keep theirs, 5 s in Node and Apache */
export const IDLE_MS = 3000;
/** Time a service has to begin its answer, `ms` */
export const ANSWER_MS = 300_000;

export interface Connection {
  readonly vm: string;
  readonly port: number;
  readonly client: Client;
  readonly stream: Duplex;
  /** Whether it has served a request before, and may have been closed by the guest meanwhile */
  used: boolean;
}

/** A client that speaks over `stream`, and never over another. */
function clientOver(stream: Duplex): Client {
  let given = false;
  return new Client('http://guest', {
    connect: (_options, done) => {
      // Not before connect returns: the client would not notice.
      if (given) process.nextTick(done, new Error('the connection has ended'), null);
      else process.nextTick(done, null, stream as never); // any Duplex will do, the types say Socket
      given = true;
    },
    keepAliveTimeout: IDLE_MS,
    keepAliveMaxTimeout: IDLE_MS,
    headersTimeout: ANSWER_MS,
    bodyTimeout: 0, // an event stream may be silent for as long as it likes
  });
}

export class Connections {
  readonly #plane: ControlPlane;
  readonly #busy = new Map<string, number>();
  readonly #idle = new Map<string, Connection[]>();

  constructor(plane: ControlPlane) {
    this.#plane = plane;
  }

  /**
   * A connection for one request, to be given back or dropped.
   * @param fresh not an idle one
   * @throws TapswitchError as `ControlPlane.dial`; FLOW_LIMIT
   */
  async take(vm: string, port: number, options: DialOptions, fresh = false): Promise<Connection> {
    const busy = this.#busy.get(vm) ?? 0;
    if (busy >= MAX_BUSY_PER_VM) {
      const message = `VM ${vm}: ${MAX_BUSY_PER_VM} requests are under way`;
      throw new TapswitchError('FLOW_LIMIT', message, 'Wait until some have ended.');
    }
    this.#busy.set(vm, busy + 1);
    try {
      const idle = fresh ? undefined : this.#idle.get(`${vm}:${port}`)?.pop();
      return idle ?? (await this.#open(vm, port, options));
    } catch (error) {
      this.#release(vm);
      throw error;
    }
  }

  async #open(vm: string, port: number, options: DialOptions): Promise<Connection> {
    const stream = await this.#plane.dial(vm, port, options);
    stream.on('error', () => {}); // the client hears of it too, but not once it is idle
    const connection = { vm, port, client: clientOver(stream), stream, used: false };
    stream.once('close', () => this.#forget(connection));
    return connection;
  }

  #release(vm: string): void {
    const left = (this.#busy.get(vm) as number) - 1;
    if (left === 0) this.#busy.delete(vm);
    else this.#busy.set(vm, left);
  }

  #forget(connection: Connection): void {
    const key = `${connection.vm}:${connection.port}`;
    const left = (this.#idle.get(key) ?? []).filter((one) => one !== connection);
    if (left.length === 0) this.#idle.delete(key);
    else this.#idle.set(key, left);
  }

  /** The answer has been read to its end. */
  giveBack(connection: Connection): void {
    const key = `${connection.vm}:${connection.port}`;
    const idle = this.#idle.get(key) ?? [];
    if (connection.stream.destroyed || idle.length >= MAX_IDLE_PER_PORT) {
      this.drop(connection);
      return;
    }
    this.#release(connection.vm);
    connection.used = true;
    this.#idle.set(key, [...idle, connection]);
  }

  drop(connection: Connection): void {
    this.#release(connection.vm);
    this.#end(connection);
  }

  #end({ client, stream }: Connection): void {
    void client.destroy();
    stream.destroy(); // the client does not know it before its first request
  }

  /** Ends what is idle, of one VM or of all. */
  dropIdle(vm?: string): void {
    const all = [...this.#idle.values()].flat();
    for (const connection of all) {
      if (vm === undefined || connection.vm === vm) this.#end(connection);
    }
  }
}
