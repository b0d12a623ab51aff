/**
 * The virtual router at the guests' gateway address. To the switch it is one more port: what is for it is handed
 * here, and what comes back is a verdict like any other. Small questions (ARP, neighbour discovery, DHCP, echo) are
 * answered in place, in the batch; TCP and UDP have flows of their own, and send through the outbox. What it does not
 * do it refuses at once, so that nobody waits.
 */
import type { FrameBatch } from '../port/batch.ts';
import { boundMss } from '../sys/tcp-state.ts';
import type { GatewayContext } from './context.ts';
import { Datagrams } from './datagrams.ts';
import { Dhcp } from './dhcp.ts';
import { Dispatch, type PacketService } from './dispatch.ts';
import { DnsDatagrams } from './dns/datagrams.ts';
import { type FlowRecord, MOST_LISTED, tcpRecords } from './flow-list.ts';
import type { DialBinding, ForwardBinding } from './forward-binding.ts';
import { GatewayIcmp } from './icmp.ts';
import { GatewayIcmpv6 } from './icmpv6.ts';
import { NeighbourDiscovery } from './ndp.ts';
import { Neighbours } from './neighbour.ts';
import { SYN_SENT } from './tcp/flow.ts';
import { TcpForwards } from './tcp/forwards.ts';
import type { Handover } from './tcp/handover.ts';
import { largestSegment } from './tcp/offload-fit.ts';
import { TcpGateway } from './tcp/tcp.ts';

export class Gateway {
  readonly neighbours: Neighbours;
  readonly ndp: NeighbourDiscovery;
  readonly icmpv6: GatewayIcmpv6;
  readonly dhcp: Dhcp;
  readonly tcp: TcpGateway;
  readonly #context: GatewayContext;
  readonly #forwards: TcpForwards;
  readonly #dispatch: Dispatch;
  readonly #datagrams: Datagrams;

  /** @param handover to other workers, of connections that forwards have accepted */
  constructor(context: GatewayContext, handover: Pick<Handover, 'pass'>) {
    const { tables, clock, forwarder, dropped } = context;
    this.#context = context;
    this.neighbours = new Neighbours(tables, clock, forwarder);
    this.ndp = new NeighbourDiscovery(tables, forwarder);
    const icmp = new GatewayIcmp(tables, clock, dropped);
    this.icmpv6 = new GatewayIcmpv6(tables, clock, dropped, this.ndp);
    this.dhcp = new Dhcp(tables, clock);
    this.tcp = new TcpGateway(context);
    this.#datagrams = new Datagrams(context, icmp, this.icmpv6);
    const { neighbours, dhcp, icmpv6, tcp } = this;
    const { udp, echo } = this.#datagrams;
    const questions = new DnsDatagrams(context, context.dns);
    const errors: PacketService = {
      handle: (batch, _slot, ingress, packet) => tcp.handleError(batch, ingress, packet),
    };
    const services = { neighbours, dhcp, icmp, icmpv6, tcp, udp, echo, errors, questions };
    this.#dispatch = new Dispatch(context, services);
    this.#forwards = new TcpForwards(context, (forward, fd) => {
      if (!handover.pass(forward, fd)) this.tcp.accept(forward, fd);
    });
  }

  // --- what the control thread says -----------------------------------------------------------------------
  /** Takes note of a VM: its name, and where it may go (the words of an EgressPolicy). */
  setVm(port: number, name: string, policy: Int32Array): void {
    this.dhcp.setHostname(port, name);
    this.#context.policies.set(port, policy);
    this.#context.dns.addVm(port, this.#context.tables.network(port), name);
  }

  /** Ends the flows of a VM without carrier on both sides; what is held for it waits on, for it may be starting. How many. */
  reset(port: number): number {
    this.tcp.forgetReached(port);
    return this.tcp.endPort(port, (flow) => flow.state !== SYN_SENT) + this.#datagrams.endPort(port);
  }

  /** The flows of a VM, {@link MOST_LISTED} at most. */
  flowsOf(port: number): FlowRecord[] {
    return [...tcpRecords(this.tcp.flows.firstOf(port)), ...this.#datagrams.list(port)].slice(0, MOST_LISTED);
  }

  /** Makes a connection of the control thread's to a VM. */
  dial(dial: DialBinding): void {
    this.tcp.accept(dial, dial.fd);
  }

  /** Forgets a VM that is gone. */
  forget(port: number): void {
    this.tcp.forgetReached(port);
    this.tcp.endPort(port);
    this.#datagrams.endPort(port);
    this.#context.policies.delete(port);
    this.#context.dns.removeVm(port);
  }

  addForward(forward: ForwardBinding): void {
    const { protocol, number, fd, port, guestPort } = forward;
    if (protocol === 'tcp') {
      const { offloads, tables } = this.#context;
      if (offloads !== undefined) boundMss(fd, largestSegment(tables, port));
      this.#forwards.add(forward);
    } else this.#datagrams.forwards.open(number, fd, port, guestPort);
  }

  /** Stops listening; with `reset` ends the forward's connections, too. Those of UDP end in any case. */
  removeForward(number: number, port: number, reset: boolean): void {
    this.#forwards.remove(number);
    this.#datagrams.forwards.close(number);
    if (reset) this.tcp.endPort(port, (flow) => flow.forward === number);
  }

  /** Writes into `slot` the gateway's advertisement as a router of `network`; false where it has no IPv6. */
  announceRouter(batch: FrameBatch, slot: number, network: number): boolean {
    return this.ndp.announceRouter(batch, slot, network);
  }

  /** Ends what was begun with the frames of a batch, before its slots are used again. */
  endBatch(): void {
    this.#datagrams.endBatch();
  }

  // --- the datapath's round -------------------------------------------------------------------------------
  /** True while there is something to do that no descriptor and no timer tells of. */
  get busy(): boolean {
    return this.tcp.busy || this.#datagrams.busy;
  }

  /** Does what is due, and sends what there is to send. */
  run(): void {
    const { clock, timers, outbox, sockets } = this.#context;
    timers.advance(clock.ms);
    this.tcp.run();
    this.#datagrams.run();
    outbox.flush();
    sockets.settle();
  }

  /** Ends everything, as the thread does. */
  close(): void {
    this.#context.sockets.closeAll();
    this.#datagrams.release();
  }

  /**
   * Handles the frame in `slot`, which the switch gave the gateway. The answer, if any, is in the same slot, and the
   * verdict says where it goes.
   */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    return this.#dispatch.handle(batch, slot, ingress);
  }
}
