/**
 * DNS at the gateway's address: the parts put together, as a datapath thread has them.
 *
 *     datagram or stream -> service -> names, or forwarder -> lookup -> transport -> upstream servers
 */
import type { DnsUpstream } from '../../config/dns.ts';
import type { Clock } from '../../sys/clock.ts';
import type { CounterBlock } from '../../telemetry/counters.ts';
import { DROP } from '../../telemetry/drops.ts';
import type { Sockets } from '../sockets.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import { noCounts } from './counts.ts';
import { DnsForwarder } from './forwarder.ts';
import { type AddressBook, NameTable, type NetworkNames } from './names.ts';
import type { DnsClient } from './query.ts';
import { RandomPool } from './random.ts';
import { Replies } from './replies.ts';
import { DnsService } from './service.ts';
import { DnsTcpServer } from './tcp-server.ts';
import { SocketStream, SocketTransport } from './transport.ts';
import { Upstreams } from './upstreams.ts';

export class GatewayDns {
  readonly counts = noCounts();
  readonly #sockets: Sockets;
  readonly #names: NameTable;
  readonly #upstreams: Upstreams;
  readonly #forwarder: DnsForwarder;
  readonly #service: DnsService;
  readonly #server: DnsTcpServer;

  constructor(sockets: Sockets, clock: Clock, wheel: TimerWheel, book: AddressBook, counters: CounterBlock) {
    const { counts } = this;
    const random = new RandomPool();
    const replies = new Replies();
    const transport = new SocketTransport(sockets);
    this.#sockets = sockets;
    this.#names = new NameTable(book);
    this.#upstreams = new Upstreams(clock);
    const lookups = { transport, upstreams: this.#upstreams, replies, clock, wheel, counts };
    const unanswered = (port: number) => counters.dropped(port, DROP['dns-unanswered'], 1);
    this.#forwarder = new DnsForwarder({ ...lookups, unanswered, random16: () => random.next() });
    this.#service = new DnsService(this.#names, this.#forwarder, replies, counts);
    const handle = this.#service.handle.bind(this.#service);
    const cancel = this.#forwarder.cancel.bind(this.#forwarder);
    this.#server = new DnsTcpServer({ clock, wheel, handle, cancel }, counts);
  }

  /** Makes a network's names known, or changes them. Before its VMs are added. */
  setNetwork(network: number, names: NetworkNames): void {
    this.#names.setNetwork(network, names);
  }

  /** The servers that a network's questions go to from now on, in the order they are asked. */
  setUpstreams(network: number, upstreams: readonly DnsUpstream[]): void {
    this.#upstreams.set(network, upstreams);
  }

  addVm(port: number, network: number, id: string): void {
    this.#names.addVm(port, network, id);
  }

  /** Forgets a VM, its questions and its connections. */
  removeVm(port: number): void {
    this.#names.removeVm(port);
    this.#server.forgetPort(port);
    this.#forwarder.forgetPort(port);
  }

  /** Handles a datagram to the gateway's port 53, see {@link DnsService.handle}. */
  datagram(client: DnsClient, view: DataView, off: number, length: number): boolean {
    return this.#service.handle(client, view, off, length);
  }

  /**
   * Serves a VM's connection to the gateway's port 53.
   *
   * @param fd non-blocking stream socket, closed by us
   * @returns false when it was refused, and closed
   */
  stream(network: number, port: number, fd: number): boolean {
    const stream = new SocketStream(this.#sockets, fd);
    const connection = this.#server.open(network, port, stream);
    if (connection === undefined) return false;
    if (stream.watch(connection)) return true;
    connection.close();
    return false;
  }
}
