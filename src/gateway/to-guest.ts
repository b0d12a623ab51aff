/** Headers of frames from the gateway to the guest of a flow, whatever they carry. */
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import type { Tables } from '../switch/tables.ts';
import { pseudoHeader4 } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as vnet from '../wire/vnet.ts';
import type { FlowKey } from './flow-key.ts';

/** What stands before the IP header in a slot of the outbox */
export const HEAD_BYTES = vnet.VNET_HEADER_BYTES + ethernet.ETHERNET_HEADER_BYTES;

/** Bytes of the IP header of a flow's packets. */
export function ipBytes(flow: FlowKey): number {
  return flow.isIpv4 ? ipv4.IPV4_HEADER_BYTES : ipv6.IPV6_HEADER_BYTES;
}

/** Writes a vnet header that leaves nothing to do and an Ethernet header at `start`; returns the packet's offset. */
export function writeHead(view: DataView, start: number, tables: Tables, flow: FlowKey): number {
  vnet.clear(view, start);
  return writeEthernet(view, start, tables, flow);
}

/** {@link writeHead} for who writes the vnet header himself. */
export function writeEthernet(view: DataView, start: number, tables: Tables, flow: FlowKey): number {
  const { port } = flow;
  const type = flow.isIpv4 ? ethernet.ETHERTYPE_IPV4 : ethernet.ETHERTYPE_IPV6;
  const frame = start + vnet.VNET_HEADER_BYTES;
  const high = tables.macHigh(port);
  ethernet.writeHeader(view, frame, high, tables.macLow(port), GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, type);
  return start + HEAD_BYTES;
}

/** Writes the IP header of a packet from the flow's remote end to its guest, with `bytes` bytes behind it. */
export function writeToGuest(
  view: DataView,
  packet: number,
  flow: FlowKey,
  protocol: number,
  bytes: number,
): void {
  const { remote0, remote1, remote2, remote3, guest0, guest1, guest2, guest3 } = flow;
  const ttl = ipv4.USUAL_TTL;
  if (flow.isIpv4) {
    ipv4.emitHeader(view, packet, ipv4.IPV4_HEADER_BYTES + bytes, ttl, protocol, remote3, guest3);
    return;
  }
  // biome-ignore format: two addresses
  ipv6.emitHeader(view, packet, bytes, protocol, ttl, remote0, remote1, remote2, remote3, guest0, guest1, guest2, guest3);
}

/** Partial sum of the pseudo-header of what {@link writeToGuest} has written a header for. */
export function pseudoHeader(
  view: DataView,
  packet: number,
  flow: FlowKey,
  protocol: number,
  bytes: number,
): number {
  if (flow.isIpv4) return pseudoHeader4(flow.remote3, flow.guest3, protocol, bytes);
  return ipv6.pseudoHeader(view, packet, protocol, bytes);
}

/** Writes the IP header of a packet from the guest to the remote end, with so many hops left. */
export function writeFromGuest(
  view: DataView,
  packet: number,
  flow: FlowKey,
  protocol: number,
  bytes: number,
  hops: number,
): void {
  const { remote0, remote1, remote2, remote3, guest0, guest1, guest2, guest3 } = flow;
  if (flow.isIpv4) {
    ipv4.emitHeader(view, packet, ipv4.IPV4_HEADER_BYTES + bytes, hops, protocol, guest3, remote3);
    return;
  }
  // biome-ignore format: two addresses
  ipv6.emitHeader(view, packet, bytes, protocol, hops, guest0, guest1, guest2, guest3, remote0, remote1, remote2, remote3);
}
