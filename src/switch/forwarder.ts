/**
 * The switch's decision: for each frame one verdict.
 *
 * Theory of operation. A frame is first checked for what makes it unreadable (cut, tagged, runt, lying offload
 * fields), then, from a VM, against the source policy. The destination decides the rest:
 *
 *     gateway's MAC, ARP to everyone     the gateway (port 0), which answers, or gives a verdict of its own
 *     DHCP to everyone; multicast        the same
 *       that looks for a neighbour or
 *       router, or is for routers
 *     host port's MAC                    the host port, if the host policy lets it pass
 *     01:80:c2:00:00:0x                  dropped, as every bridge does
 *     other multicast and broadcast      isolated: dropped. Shared: flooded to the other VMs, within a rate
 *     a known MAC                        isolated: dropped. Shared: that port
 *     an unknown MAC                     isolated: dropped. Shared: flooded, within the rate
 *
 * The host port's frames go to every guest in both modes, and are noted as flows; those for a VM without carrier go
 * to the gateway, which answers that the host is unreachable. Nothing but the host policy's answers, and nothing
 * flooded by a VM, ever reaches the host port.
 *
 * No frame makes this allocate or throw.
 */
import { type FrameBatch, RECEIVED_CUT, RECEIVED_TAGGED } from '../port/batch.ts';
import type { Clock } from '../sys/clock.ts';
import { DROP } from '../telemetry/drops.ts';
import * as arp from '../wire/arp.ts';
import * as dhcp from '../wire/dhcp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as ndp from '../wire/ndp.ts';
import * as udp from '../wire/udp.ts';
import * as vnet from '../wire/vnet.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from './gateway-mac.ts';
import { HOST_OK, HostPolicy } from './host-policy.ts';
import { RateLimit } from './rate-limit.ts';
import { NONE } from './shared-map.ts';
import { SOURCE_OK, SourcePolicy } from './source-policy.ts';
import { GATEWAY_PORT, KIND_HOST, KIND_VM, type Tables } from './tables.ts';
import { drop, FLOOD } from './verdict.ts';

// 01:80:c2:00:00:00 to :0f (IEEE 802.1D, table 7-10).
const RESERVED_HIGH = 0x0180;
const RESERVED_LOW = 0xc2000000 | 0;
const RESERVED_LOW_MASK = ~0x0f;
/** 255.255.255.255 */
const LIMITED_BROADCAST = -1;

/** Frames a VM may have flooded to its network per second, and at once. */
export const FLOODS_PER_SECOND = 1000;
export const FLOOD_BURST = 500;

export class Forwarder {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #sources: SourcePolicy;
  readonly #host: HostPolicy;
  readonly #floods: RateLimit;

  /** @param startedSeconds when the switch started, see HostPolicy */
  constructor(tables: Tables, clock: Clock, startedSeconds: number) {
    this.#tables = tables;
    this.#clock = clock;
    this.#sources = new SourcePolicy(tables, clock);
    this.#host = new HostPolicy(tables, clock, startedSeconds);
    this.#floods = new RateLimit(clock, FLOODS_PER_SECOND, FLOOD_BURST);
  }

  /** Decides about the frame in slot `slot` of the batch, which came in by port `ingress`. */
  decide(batch: FrameBatch, slot: number, ingress: number): number {
    const view = batch.view;
    const start = batch.start[slot] as number;
    const frame = start + vnet.VNET_HEADER_BYTES;
    const bytes = (batch.length[slot] as number) - vnet.VNET_HEADER_BYTES;
    const condition = batch.condition[slot] as number;
    if (condition === RECEIVED_CUT) return drop(DROP['too-long']);
    if (condition === RECEIVED_TAGGED) return drop(DROP.vlan);
    if (bytes < ethernet.ETHERNET_HEADER_BYTES) return drop(DROP.runt);
    if (!vnet.check(view, start, bytes)) return drop(DROP['bad-offload']);
    const type = ethernet.etherType(view, frame);
    if (type === ethernet.ETHERTYPE_VLAN || type === ethernet.ETHERTYPE_QINQ) return drop(DROP.vlan);
    switch (this.#tables.kind(ingress)) {
      case KIND_VM:
        return this.#fromVm(view, frame, bytes, type, ingress);
      case KIND_HOST:
        return this.#fromHost(view, frame, bytes, type, ingress);
      default:
        return drop(DROP['port-down']);
    }
  }

  /** Whether `ingress` may flood one more frame now: {@link FLOOD}, or a drop. */
  flood(ingress: number): number {
    return this.#floods.take(ingress) ? FLOOD : drop(DROP['flood-limit']);
  }

  #fromVm(view: DataView, frame: number, bytes: number, type: number, ingress: number): number {
    const tables = this.#tables;
    const source = this.#sources.check(ingress, view, frame, bytes);
    if (source !== SOURCE_OK) return drop(source);
    const high = ethernet.destinationHigh(view, frame);
    const low = ethernet.destinationLow(view, frame);
    if (low === GATEWAY_MAC_LOW && high === GATEWAY_MAC_HIGH) return GATEWAY_PORT;
    const network = tables.network(ingress);
    if (ethernet.isMulticast(view, frame)) {
      if (isReserved(high, low)) return drop(DROP['reserved-multicast']);
      if (this.#asksGateway(view, frame, type, network)) return GATEWAY_PORT;
      return tables.isolated(network) ? drop(DROP.isolated) : this.flood(ingress);
    }
    const host = tables.hostPort(network);
    if (host !== 0 && low === tables.macLow(host) && high === tables.macHigh(host)) {
      // A guest makes sure of an ARP entry by asking its holder alone: the gateway answers for the host port.
      const asks =
        type === ethernet.ETHERTYPE_ARP &&
        arp.operation(view, frame + ethernet.ETHERNET_HEADER_BYTES) === arp.ARP_REQUEST;
      if (asks) return GATEWAY_PORT;
      const verdict = this.#host.checkGuestToHost(ingress, view, frame);
      return verdict === HOST_OK ? host : drop(verdict);
    }
    const port = this.#portOf(high, low, network);
    if (port === NONE) return tables.isolated(network) ? drop(DROP['unknown-unicast']) : this.flood(ingress);
    if (port === ingress) return drop(DROP.hairpin);
    if (tables.isolated(network)) return drop(DROP.isolated);
    return tables.carrier(port) ? port : drop(DROP['port-down']);
  }

  /** Whether a VM's broadcast or multicast is a question that the gateway answers. */
  #asksGateway(view: DataView, frame: number, type: number, network: number): boolean {
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    switch (type) {
      case ethernet.ETHERTYPE_ARP:
        return true;
      case ethernet.ETHERTYPE_IPV4:
        return ethernet.isBroadcast(view, frame) && isDhcp(view, packet);
      case ethernet.ETHERTYPE_IPV6:
        return this.#tables.hasGateway6(network) && isForRouters(view, packet);
      default:
        return false;
    }
  }

  #fromHost(view: DataView, frame: number, bytes: number, type: number, ingress: number): number {
    const tables = this.#tables;
    const high = ethernet.destinationHigh(view, frame);
    const low = ethernet.destinationLow(view, frame);
    const packet = frame + ethernet.ETHERNET_HEADER_BYTES;
    const ip = type === ethernet.ETHERTYPE_IPV4;
    if (ip && !ipv4.check(view, packet, bytes - ethernet.ETHERNET_HEADER_BYTES)) return drop(DROP.malformed);
    if (low === GATEWAY_MAC_LOW && high === GATEWAY_MAC_HIGH) return GATEWAY_PORT;
    if (ethernet.isMulticast(view, frame)) {
      if (isReserved(high, low)) return drop(DROP['reserved-multicast']);
      return type === ethernet.ETHERTYPE_ARP ? GATEWAY_PORT : FLOOD;
    }
    const port = this.#portOf(high, low, tables.network(ingress));
    if (port === NONE) return ip ? GATEWAY_PORT : drop(DROP['unknown-unicast']);
    if (port === ingress) return drop(DROP.hairpin);
    if (!tables.carrier(port)) return ip ? GATEWAY_PORT : drop(DROP['port-down']);
    return ip ? this.hostToGuest(view, packet, port) : port;
  }

  /** Verdict for an IPv4 packet of the host's that goes to the guest on `port`: it may, and its answers may come back. */
  hostToGuest(view: DataView, packet: number, port: number): number {
    this.#host.noteHostToGuest(port, view, packet);
    return port;
  }

  /** Port that has the MAC in `network`, or NONE. */
  #portOf(high: number, low: number, network: number): number {
    const entry = this.#tables.fdb.find(low, high, network, this.#clock.seconds);
    return entry === NONE ? NONE : this.#tables.fdb.value(entry);
  }
}

function isReserved(high: number, low: number): boolean {
  return high === RESERVED_HIGH && (low & RESERVED_LOW_MASK) === RESERVED_LOW;
}

/** True for a DHCP client's broadcast (RFC 2131 section 4.1). The packet passed `ipv4.check`. */
function isDhcp(view: DataView, packet: number): boolean {
  if (ipv4.destination(view, packet) !== LIMITED_BROADCAST) return false;
  if (ipv4.protocol(view, packet) !== ipv4.PROTOCOL_UDP || ipv4.isFragment(view, packet)) return false;
  const datagram = packet + ipv4.headerLength(view, packet);
  const bytes = ipv4.totalLength(view, packet) - ipv4.headerLength(view, packet);
  return (
    udp.check(view, datagram, bytes) &&
    udp.destinationPort(view, datagram) === dhcp.SERVER_PORT &&
    udp.sourcePort(view, datagram) === dhcp.CLIENT_PORT
  );
}

/**
 * True for solicitations of a neighbour or router (RFC 4861) and for reports of the groups listened to (RFC 3810), which
 * are for routers alone. The packet passed `ipv6.check` and the source policy.
 */
function isForRouters(view: DataView, packet: number): boolean {
  if (ipv6.transportProtocol(view, packet) !== ipv6.PROTOCOL_ICMPV6) return false;
  const message = ipv6.transportOffset(view, packet);
  const type = icmpv6.type(view, message);
  const solicits = type === ndp.NEIGHBOUR_SOLICITATION || type === ndp.ROUTER_SOLICITATION;
  return solicits || icmpv6.isListenerReport(view, message);
}
