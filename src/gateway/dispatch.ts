/**
 * Which of the gateway's services a frame is for. They are handed in: the datapath's carry frames, those of an
 * explanation say what would be done.
 */
import type { FrameBatch } from '../port/batch.ts';
import type { Forwarder } from '../switch/forwarder.ts';
import { NONE } from '../switch/shared-map.ts';
import { ADDRESS_UNKNOWN, KIND_HOST, type Tables } from '../switch/tables.ts';
import { drop } from '../switch/verdict.ts';
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as vnet from '../wire/vnet.ts';
import type { Dropped } from './context.ts';
import type { Dhcp } from './dhcp.ts';
import { isQuestion } from './dns/datagrams.ts';
import type { GatewayIcmp } from './icmp.ts';
import type { GatewayIcmpv6 } from './icmpv6.ts';
import type { Neighbours } from './neighbour.ts';
import { isInOwnSubnet } from './own-addresses.ts';

/** Has flows: takes a guest's packet, whose IP header at `packet` was checked and which is no fragment. */
export interface PacketService {
  /** Returns a verdict; an answer is in the same slot, or leaves later. */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number;
}

export interface GatewayServices {
  readonly neighbours: Neighbours;
  readonly dhcp: Dhcp;
  readonly icmp: GatewayIcmp;
  readonly icmpv6: GatewayIcmpv6;
  readonly tcp: PacketService;
  readonly udp: PacketService;
  readonly echo: PacketService;
  /** IPv4 errors about what the gateway itself has sent */
  readonly errors: PacketService;
  /** Names that are asked for over UDP */
  readonly questions: PacketService;
}

/** What it works with; part of a GatewayContext. */
export interface DispatchContext {
  readonly tables: Tables;
  readonly clock: Clock;
  readonly dropped: Dropped;
  readonly forwarder: Forwarder;
}

export class Dispatch {
  readonly #context: DispatchContext;
  readonly #services: GatewayServices;

  constructor(context: DispatchContext, services: GatewayServices) {
    this.#context = context;
    this.#services = services;
  }

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
        return this.#services.neighbours.handle(batch, slot, ingress);
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
    if (this.#services.dhcp.isForGateway(view, packet, ingress))
      return this.#services.dhcp.handle(batch, slot, ingress);
    const destination = ipv4.destination(view, packet);
    const isOwn = destination === tables.gatewayAddress(tables.network(ingress));
    const isHost = tables.kind(ingress) === KIND_HOST;
    if (isHost && !isOwn) return this.#fromHost(batch, slot, ingress, packet, destination);
    if (!isHost && !ipv4.isFragment(view, packet)) {
      const protocol = ipv4.protocol(view, packet);
      if (protocol === ipv4.PROTOCOL_TCP)
        return this.#services.tcp.handle(batch, slot, ingress, packet, true);
      if (!isOwn && tables.inSubnet(tables.network(ingress), destination)) {
        return this.#services.icmp.refuse(batch, slot, packet, ingress, icmp.ADMIN_PROHIBITED, DROP.isolated);
      }
      if (protocol === ipv4.PROTOCOL_UDP) return this.#udp(batch, slot, ingress, packet, isOwn, true);
      if (protocol === ipv4.PROTOCOL_ICMP && !isOwn) {
        return this.#services.echo.handle(batch, slot, ingress, packet, true);
      }
      if (this.#isIcmp(view, packet, icmp.UNREACHABLE)) {
        return this.#services.errors.handle(batch, slot, ingress, packet, true);
      }
    }
    if (isOwn && this.#isIcmp(view, packet, icmp.ECHO_REQUEST)) {
      this.#services.icmp.answerEcho(batch, slot, packet);
      return ingress;
    }
    const code = isOwn ? icmp.PORT_UNREACHABLE : icmp.ADMIN_PROHIBITED;
    const reason = isOwn ? DROP['no-service'] : DROP.prohibited;
    return this.#services.icmp.refuse(batch, slot, packet, ingress, code, reason);
  }

  #udp(
    batch: FrameBatch,
    slot: number,
    ingress: number,
    packet: number,
    isOwn: boolean,
    isIpv4: boolean,
  ): number {
    const { questions, udp } = this.#services;
    const service = isOwn && isQuestion(batch.view, packet, isIpv4) ? questions : udp;
    return service.handle(batch, slot, ingress, packet, isIpv4);
  }

  #handleIpv6(batch: FrameBatch, slot: number, ingress: number, packet: number): number {
    const view = batch.view;
    const { tables } = this.#context;
    const isHost = tables.kind(ingress) === KIND_HOST;
    const bytes = (batch.length[slot] as number) - (packet - (batch.start[slot] as number));
    if (isHost && !ipv6.check(view, packet, bytes)) return drop(DROP.malformed);
    if (ipv6.hasMappedEnd(view, packet)) {
      return this.#services.icmpv6.refuse6(
        batch,
        slot,
        packet,
        ingress,
        icmpv6.ADMIN_PROHIBITED,
        DROP.prohibited,
      );
    }
    const protocol = ipv6.transportProtocol(view, packet);
    const isOwn = this.#services.icmpv6.isForGateway(view, packet, ingress);
    if (isOwn && protocol === ipv6.PROTOCOL_ICMPV6) return this.#services.icmpv6.handle(batch, slot, ingress);
    if (!isHost) {
      if (protocol === ipv4.PROTOCOL_TCP)
        return this.#services.tcp.handle(batch, slot, ingress, packet, false);
      if (!isOwn && this.#isNeighbour6(view, packet, ingress)) {
        return this.#services.icmpv6.refuse6(
          batch,
          slot,
          packet,
          ingress,
          icmpv6.ADMIN_PROHIBITED,
          DROP.isolated,
        );
      }
      if (protocol === ipv4.PROTOCOL_UDP) return this.#udp(batch, slot, ingress, packet, isOwn, false);
      if (protocol === ipv6.PROTOCOL_ICMPV6) {
        return this.#services.echo.handle(batch, slot, ingress, packet, false);
      }
    }
    const code = isOwn ? icmpv6.PORT_UNREACHABLE : icmpv6.ADMIN_PROHIBITED;
    const reason = isOwn ? DROP['no-service'] : DROP.prohibited;
    return this.#services.icmpv6.refuse6(batch, slot, packet, ingress, code, reason);
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
    const { tables, clock, dropped, forwarder } = this.#context;
    const neighbour = tables.neighbours.find(destination, 0, tables.network(ingress), clock.seconds);
    if (neighbour === NONE) return drop(DROP['unknown-unicast']);
    const port = tables.neighbours.value(neighbour);
    if (!tables.carrier(port)) {
      return this.#services.icmp.refuse(
        batch,
        slot,
        packet,
        ingress,
        icmp.HOST_UNREACHABLE,
        DROP['port-down'],
      );
    }
    if (tables.macState(port) === ADDRESS_UNKNOWN) {
      // The host may not ask for half a minute, having a MAC that was forgotten here: the VM is asked in its place.
      dropped(slot, ingress, DROP['unknown-unicast']);
      this.#services.neighbours.askForHost(batch, slot, ingress, destination);
      return port;
    }
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    ethernet.writeDestination(batch.view, frame, tables.macHigh(port), tables.macLow(port));
    return forwarder.hostToGuest(batch.view, packet, port);
  }

  #isIcmp(view: DataView, packet: number, type: number): boolean {
    if (ipv4.protocol(view, packet) !== ipv4.PROTOCOL_ICMP || ipv4.isFragment(view, packet)) return false;
    const message = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    return icmp.check(view, message, bytes) && icmp.type(view, message) === type;
  }
}
