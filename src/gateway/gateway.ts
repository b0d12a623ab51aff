/**
 * The virtual router at the guests' gateway address. To the switch it is one more port: what is for it is handed
 * here, and what comes back is a verdict like any other. Small questions (ARP, neighbour discovery, DHCP, echo) are
 * answered in place, in the batch; TCP and UDP have flows of their own, and send through the outbox. What it does not
 * do it refuses at once, so that nobody waits.
 */
import type { FrameBatch } from '../port/batch.ts';
import { NONE } from '../switch/shared-map.ts';
import { ADDRESS_UNKNOWN, KIND_HOST } from '../switch/tables.ts';
import { drop } from '../switch/verdict.ts';
import { DROP } from '../telemetry/drops.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as vnet from '../wire/vnet.ts';
import type { GatewayContext } from './context.ts';
import { Datagrams } from './datagrams.ts';
import { Dhcp } from './dhcp.ts';
import { DnsDatagrams } from './dns/datagrams.ts';
import { type FlowRecord, MOST_LISTED, tcpRecords } from './flow-list.ts';
import type { DialBinding, ForwardBinding } from './forward-binding.ts';
import { GatewayIcmp } from './icmp.ts';
import { GatewayIcmpv6 } from './icmpv6.ts';
import { NeighbourDiscovery } from './ndp.ts';
import { Neighbours } from './neighbour.ts';
import { isInOwnSubnet } from './own-addresses.ts';
import { SYN_SENT } from './tcp/flow.ts';
import { TcpForwards } from './tcp/forwards.ts';
import type { Handover } from './tcp/handover.ts';
import { TcpGateway } from './tcp/tcp.ts';

export class Gateway {
  readonly neighbours: Neighbours;
  readonly ndp: NeighbourDiscovery;
  readonly icmpv6: GatewayIcmpv6;
  readonly dhcp: Dhcp;
  readonly tcp: TcpGateway;
  readonly #context: GatewayContext;
  readonly #icmp: GatewayIcmp;
  readonly #forwards: TcpForwards;
  readonly #questions: DnsDatagrams;
  readonly #datagrams: Datagrams;

  /** @param handover to other workers, of connections that forwards have accepted */
  constructor(context: GatewayContext, handover: Pick<Handover, 'pass'>) {
    const { tables, clock, forwarder, counters } = context;
    this.#context = context;
    this.neighbours = new Neighbours(tables, clock, forwarder);
    this.ndp = new NeighbourDiscovery(tables, forwarder);
    this.#icmp = new GatewayIcmp(tables, clock, counters);
    this.icmpv6 = new GatewayIcmpv6(tables, clock, counters, this.ndp);
    this.dhcp = new Dhcp(tables, clock);
    this.tcp = new TcpGateway(context);
    this.#questions = new DnsDatagrams(context, context.dns);
    this.#datagrams = new Datagrams(context, this.#icmp, this.icmpv6);
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
    if (protocol === 'tcp') this.#forwards.add(forward);
    else this.#datagrams.forwards.open(number, fd, port, guestPort);
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

  // --- frames ---------------------------------------------------------------------------------------------
  /**
   * Handles the frame in `slot`, which the switch gave the gateway. The answer, if any, is in the same slot, and the
   * verdict says where it goes.
   */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    switch (ethernet.etherType(view, frame)) {
      case ethernet.ETHERTYPE_ARP:
        return this.neighbours.handle(batch, slot, ingress);
      case ethernet.ETHERTYPE_IPV4:
        return this.#handleIpv4(batch, slot, ingress, packet);
      case ethernet.ETHERTYPE_IPV6:
        return this.#handleIpv6(batch, slot, ingress, packet);
      default:
        return drop(DROP['no-service']);
    }
  }

  #handleIpv4(batch: FrameBatch, slot: number, ingress: number, packet: number): number {
    const view = batch.view;
    const { tables } = this.#context;
    if (this.dhcp.isForGateway(view, packet, ingress)) return this.dhcp.handle(batch, slot, ingress);
    const destination = ipv4.destination(view, packet);
    const isOwn = destination === tables.gatewayAddress(tables.network(ingress));
    const isHost = tables.kind(ingress) === KIND_HOST;
    if (isHost && !isOwn) return this.#fromHost(batch, slot, ingress, packet, destination);
    if (!isHost && !ipv4.isFragment(view, packet)) {
      const protocol = ipv4.protocol(view, packet);
      if (protocol === ipv4.PROTOCOL_TCP) return this.tcp.handle(batch, slot, ingress, packet, true);
      if (!isOwn && tables.inSubnet(tables.network(ingress), destination)) {
        return this.#icmp.refuse(batch, slot, packet, ingress, icmp.ADMIN_PROHIBITED, DROP.isolated);
      }
      if (protocol === ipv4.PROTOCOL_UDP) return this.#udp(batch, slot, ingress, packet, isOwn, true);
      if (protocol === ipv4.PROTOCOL_ICMP && !isOwn) {
        return this.#datagrams.echo.handle(batch, slot, ingress, packet, true);
      }
    }
    if (isOwn && this.#isEcho(view, packet)) {
      this.#icmp.answerEcho(batch, slot, packet);
      return ingress;
    }
    const code = isOwn ? icmp.PORT_UNREACHABLE : icmp.ADMIN_PROHIBITED;
    const reason = isOwn ? DROP['no-service'] : DROP.prohibited;
    return this.#icmp.refuse(batch, slot, packet, ingress, code, reason);
  }

  #udp(
    batch: FrameBatch,
    slot: number,
    ingress: number,
    packet: number,
    isOwn: boolean,
    isIpv4: boolean,
  ): number {
    const asks = isOwn && this.#questions.isQuestion(batch.view, packet, isIpv4);
    const service = asks ? this.#questions : this.#datagrams.udp;
    return service.handle(batch, slot, ingress, packet, isIpv4);
  }

  #handleIpv6(batch: FrameBatch, slot: number, ingress: number, packet: number): number {
    const view = batch.view;
    const { tables } = this.#context;
    const isHost = tables.kind(ingress) === KIND_HOST;
    const bytes = (batch.length[slot] as number) - (packet - (batch.start[slot] as number));
    if (isHost && !ipv6.check(view, packet, bytes)) return drop(DROP.malformed);
    if (ipv6.hasMappedEnd(view, packet)) {
      return this.icmpv6.refuse6(batch, slot, packet, ingress, icmpv6.ADMIN_PROHIBITED, DROP.prohibited);
    }
    const protocol = ipv6.transportProtocol(view, packet);
    const isOwn = this.icmpv6.isForGateway(view, packet, ingress);
    if (isOwn && protocol === ipv6.PROTOCOL_ICMPV6) return this.icmpv6.handle(batch, slot, ingress);
    if (!isHost) {
      if (protocol === ipv4.PROTOCOL_TCP) return this.tcp.handle(batch, slot, ingress, packet, false);
      if (!isOwn && this.#isNeighbour6(view, packet, ingress)) {
        return this.icmpv6.refuse6(batch, slot, packet, ingress, icmpv6.ADMIN_PROHIBITED, DROP.isolated);
      }
      if (protocol === ipv4.PROTOCOL_UDP) return this.#udp(batch, slot, ingress, packet, isOwn, false);
      if (protocol === ipv6.PROTOCOL_ICMPV6) {
        return this.#datagrams.echo.handle(batch, slot, ingress, packet, false);
      }
    }
    const code = isOwn ? icmpv6.PORT_UNREACHABLE : icmpv6.ADMIN_PROHIBITED;
    const reason = isOwn ? DROP['no-service'] : DROP.prohibited;
    return this.icmpv6.refuse6(batch, slot, packet, ingress, code, reason);
  }

  #isNeighbour6(view: DataView, packet: number, ingress: number): boolean {
    const { tables } = this.#context;
    const word0 = ipv6.destinationWord(view, packet, 0);
    const word1 = ipv6.destinationWord(view, packet, 1);
    const word2 = ipv6.destinationWord(view, packet, 2);
    const word3 = ipv6.destinationWord(view, packet, 3);
    return isInOwnSubnet(tables, tables.network(ingress), word0, word1, word2, word3);
  }

  /** The host's packet for a VM that was without carrier, or still is. */
  #fromHost(batch: FrameBatch, slot: number, ingress: number, packet: number, destination: number): number {
    const { tables, clock, counters, forwarder } = this.#context;
    const neighbour = tables.neighbours.find(destination, 0, tables.network(ingress), clock.seconds);
    if (neighbour === NONE) return drop(DROP['unknown-unicast']);
    const port = tables.neighbours.value(neighbour);
    if (!tables.carrier(port)) {
      return this.#icmp.refuse(batch, slot, packet, ingress, icmp.HOST_UNREACHABLE, DROP['port-down']);
    }
    if (tables.macState(port) === ADDRESS_UNKNOWN) {
      // The host may not ask for half a minute, having a MAC that was forgotten here: the VM is asked in its place.
      counters.dropped(ingress, DROP['unknown-unicast'], 1);
      this.neighbours.askForHost(batch, slot, ingress, destination);
      return port;
    }
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    ethernet.writeDestination(batch.view, frame, tables.macHigh(port), tables.macLow(port));
    return forwarder.hostToGuest(batch.view, packet, port);
  }

  #isEcho(view: DataView, packet: number): boolean {
    if (ipv4.protocol(view, packet) !== ipv4.PROTOCOL_ICMP || ipv4.isFragment(view, packet)) return false;
    const message = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    return icmp.check(view, message, bytes) && icmp.type(view, message) === icmp.ECHO_REQUEST;
  }
}
