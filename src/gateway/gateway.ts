/**
 * The virtual router at the guests' gateway address. To the switch it is one more port: what is for it is handed
 * here, and what comes back is a verdict like any other. It works on the frame where it lies, in the batch.
 *
 * For now it offers ARP and echo, and refuses the rest at once with an ICMP error, so that nobody waits.
 */
import type { FrameBatch } from '../port/batch.ts';
import type { Forwarder } from '../switch/forwarder.ts';
import { NONE } from '../switch/shared-map.ts';
import { ADDRESS_UNKNOWN, KIND_HOST, type Tables } from '../switch/tables.ts';
import { drop } from '../switch/verdict.ts';
import type { Clock } from '../sys/clock.ts';
import type { CounterBlock } from '../telemetry/counters.ts';
import { DROP } from '../telemetry/drops.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as vnet from '../wire/vnet.ts';
import { GatewayIcmp } from './icmp.ts';
import { Neighbours } from './neighbour.ts';

export class Gateway {
  readonly neighbours: Neighbours;
  readonly #icmp: GatewayIcmp;
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #forwarder: Forwarder;
  readonly #counters: CounterBlock;

  constructor(tables: Tables, clock: Clock, forwarder: Forwarder, counters: CounterBlock) {
    this.neighbours = new Neighbours(tables, clock, forwarder);
    this.#icmp = new GatewayIcmp(tables, clock, counters);
    this.#tables = tables;
    this.#clock = clock;
    this.#forwarder = forwarder;
    this.#counters = counters;
  }

  /**
   * Handles the frame in `slot`, which the switch gave the gateway. The answer, if any, is in the same slot, and the
   * verdict says where it goes.
   */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    switch (ethernet.etherType(view, frame)) {
      case ethernet.ETHERTYPE_ARP:
        return this.neighbours.handle(batch, slot, ingress);
      case ethernet.ETHERTYPE_IPV4:
        return this.#handleIpv4(batch, slot, ingress, frame + ethernet.ETHERNET_HEADER_BYTES);
      default:
        return drop(DROP['no-service']);
    }
  }

  #handleIpv4(batch: FrameBatch, slot: number, ingress: number, packet: number): number {
    const view = batch.view;
    const tables = this.#tables;
    const destination = ipv4.destination(view, packet);
    const network = tables.network(ingress);
    if (destination === tables.gatewayAddress(network)) {
      if (this.#isEcho(view, packet)) {
        this.#icmp.answerEcho(batch, slot, packet);
        return ingress;
      }
      const code = icmp.PORT_UNREACHABLE;
      return this.#icmp.refuse(batch, slot, packet, ingress, code, DROP['no-service']);
    }
    if (tables.kind(ingress) === KIND_HOST) return this.#fromHost(batch, slot, ingress, packet, destination);
    return this.#icmp.refuse(batch, slot, packet, ingress, icmp.ADMIN_PROHIBITED, DROP.prohibited);
  }

  /** The host's packet for a VM that was without carrier, or still is. */
  #fromHost(batch: FrameBatch, slot: number, ingress: number, packet: number, destination: number): number {
    const tables = this.#tables;
    const neighbour = tables.neighbours.find(destination, 0, tables.network(ingress), this.#clock.seconds);
    if (neighbour === NONE) return drop(DROP['unknown-unicast']);
    const port = tables.neighbours.value(neighbour);
    if (!tables.carrier(port)) {
      return this.#icmp.refuse(batch, slot, packet, ingress, icmp.HOST_UNREACHABLE, DROP['port-down']);
    }
    if (tables.macState(port) === ADDRESS_UNKNOWN) {
      // The host may not ask for half a minute, having a MAC that was forgotten here: the VM is asked in its place.
      this.#counters.dropped(ingress, DROP['unknown-unicast'], 1);
      this.neighbours.askForHost(batch, slot, ingress, destination);
      return port;
    }
    const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
    ethernet.writeDestination(batch.view, frame, tables.macHigh(port), tables.macLow(port));
    return this.#forwarder.hostToGuest(batch.view, packet, port);
  }

  #isEcho(view: DataView, packet: number): boolean {
    if (ipv4.protocol(view, packet) !== ipv4.PROTOCOL_ICMP || ipv4.isFragment(view, packet)) return false;
    const message = packet + ipv4.headerLength(view, packet);
    const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
    return icmp.check(view, message, bytes) && icmp.type(view, message) === icmp.ECHO_REQUEST;
  }
}
