/**
 * ARP, answered by the switch so that nobody waits for learning (RFC 826).
 *
 * Asked for the gateway: its MAC. Asked by a guest for the host port: that MAC. Asked by the host, or by a guest of
 * a shared network, for a VM whose IP and MAC are known: that VM's MAC. A VM with carrier whose MAC is not known yet
 * is asked itself; the VM's own answer then passes like any frame. Nobody is told of VMs on an isolated network but
 * the host.
 */
import type { FrameBatch } from '../port/batch.ts';
import type { Forwarder } from '../switch/forwarder.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import { NONE } from '../switch/shared-map.ts';
import { ADDRESS_UNKNOWN, KIND_HOST, type Tables } from '../switch/tables.ts';
import { drop, FLOOD } from '../switch/verdict.ts';
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as vnet from '../wire/vnet.ts';

const ARP_FRAME_BYTES = ethernet.ETHERNET_HEADER_BYTES + arp.ARP_BYTES;

export class Neighbours {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #forwarder: Forwarder;

  constructor(tables: Tables, clock: Clock, forwarder: Forwarder) {
    this.#tables = tables;
    this.#clock = clock;
    this.#forwarder = forwarder;
  }

  /**
   * Handles the ARP frame in `slot` from port `ingress`: turns it into its answer in place, or says where it goes.
   * Returns a verdict.
   */
  handle(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const frame = (batch.start[slot] as number) + vnet.VNET_HEADER_BYTES;
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const bytes = (batch.length[slot] as number) - vnet.VNET_HEADER_BYTES - ethernet.ETHERNET_HEADER_BYTES;
    if (!arp.check(view, packet, bytes)) return drop(DROP.malformed);
    const tables = this.#tables;
    const network = tables.network(ingress);
    const target = arp.targetAddress(view, packet);
    // A reply, or an announcement of one's own address: for others to hear, where there are others.
    const tells =
      arp.operation(view, packet) !== arp.ARP_REQUEST || target === arp.senderAddress(view, packet);
    if (tells) return ethernet.isMulticast(view, frame) ? this.#passOn(ingress) : drop(DROP['no-service']);
    if (target === tables.gatewayAddress(network)) {
      return this.#answer(batch, slot, packet, ingress, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW);
    }
    const host = tables.hostPort(network);
    if (host !== 0 && host !== ingress && target === tables.hostAddress(network)) {
      return this.#answer(batch, slot, packet, ingress, tables.macHigh(host), tables.macLow(host));
    }
    return this.#askedForVm(batch, slot, packet, ingress, target);
  }

  #askedForVm(batch: FrameBatch, slot: number, packet: number, ingress: number, target: number): number {
    const tables = this.#tables;
    const network = tables.network(ingress);
    const fromHost = tables.kind(ingress) === KIND_HOST;
    if (!fromHost && tables.isolated(network)) return drop(DROP.isolated);
    const neighbour = tables.neighbours.find(target, 0, network, this.#clock.seconds);
    if (neighbour === NONE) return this.#passOn(ingress);
    const port = tables.neighbours.value(neighbour);
    if (port === ingress) return drop(DROP.hairpin);
    if (tables.macState(port) !== ADDRESS_UNKNOWN) {
      return this.#answer(batch, slot, packet, ingress, tables.macHigh(port), tables.macLow(port));
    }
    if (tables.carrier(port)) {
      const frame = packet - ethernet.ETHERNET_HEADER_BYTES;
      ethernet.writeDestination(batch.view, frame, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
      return port;
    }
    // Nobody is there to ask. The host shall learn so at once: what it then sends here is answered as unreachable.
    if (!fromHost) return drop(DROP['port-down']);
    return this.#answer(batch, slot, packet, ingress, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW);
  }

  #passOn(ingress: number): number {
    if (this.#tables.kind(ingress) === KIND_HOST) return FLOOD;
    const isolated = this.#tables.isolated(this.#tables.network(ingress));
    return isolated ? drop(DROP.isolated) : this.#forwarder.flood(ingress);
  }

  #answer(
    batch: FrameBatch,
    slot: number,
    packet: number,
    ingress: number,
    high: number,
    low: number,
  ): number {
    const view = batch.view;
    const askerHigh = arp.senderHigh(view, packet);
    const askerLow = arp.senderLow(view, packet);
    const asker = arp.senderAddress(view, packet);
    const target = arp.targetAddress(view, packet);
    this.#write(batch, slot, arp.ARP_REPLY, high, low, target, askerHigh, askerLow, asker);
    return ingress;
  }

  /** Writes into `slot` the question of the host port `host` for the MAC of `target`. */
  askForHost(batch: FrameBatch, slot: number, host: number, target: number): void {
    const tables = this.#tables;
    this.#write(
      batch,
      slot,
      arp.ARP_REQUEST,
      tables.macHigh(host),
      tables.macLow(host),
      tables.hostAddress(tables.network(host)),
      ethernet.BROADCAST_HIGH,
      ethernet.BROADCAST_LOW,
      target,
    );
  }

  /** Writes into `slot` the announcement of the gateway's address to the guests of a network (RFC 5227 section 3). */
  announceGateway(batch: FrameBatch, slot: number, network: number): void {
    const address = this.#tables.gatewayAddress(network);
    this.#announce(batch, slot, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, address);
  }

  /** The same of the host port's address. False where the network has none: nothing is written. */
  announceHost(batch: FrameBatch, slot: number, network: number): boolean {
    const tables = this.#tables;
    const host = tables.hostPort(network);
    if (host === 0) return false;
    this.#announce(batch, slot, tables.macHigh(host), tables.macLow(host), tables.hostAddress(network));
    return true;
  }

  #announce(batch: FrameBatch, slot: number, macHigh: number, macLow: number, address: number): void {
    const { BROADCAST_HIGH, BROADCAST_LOW } = ethernet;
    this.#write(
      batch,
      slot,
      arp.ARP_REQUEST,
      macHigh,
      macLow,
      address,
      BROADCAST_HIGH,
      BROADCAST_LOW,
      address,
    );
  }

  #write(
    batch: FrameBatch,
    slot: number,
    operation: number,
    fromHigh: number,
    fromLow: number,
    fromAddress: number,
    toHigh: number,
    toLow: number,
    toAddress: number,
  ): void {
    const view = batch.view;
    const start = batch.start[slot] as number;
    const frame = start + vnet.VNET_HEADER_BYTES;
    vnet.clear(view, start);
    ethernet.writeHeader(
      view,
      frame,
      toHigh,
      toLow,
      GATEWAY_MAC_HIGH,
      GATEWAY_MAC_LOW,
      ethernet.ETHERTYPE_ARP,
    );
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    arp.emit(view, packet, operation, fromHigh, fromLow, fromAddress, toHigh, toLow, toAddress);
    batch.length[slot] = vnet.VNET_HEADER_BYTES + ARP_FRAME_BYTES;
  }
}
