/** The questions put to a guest: frames from the gateway's addresses, behind an empty virtio-net header. */
import type { IpWords } from '../config/ip.ts';
import {
  GATEWAY_LINK_LOCAL0,
  GATEWAY_LINK_LOCAL1,
  GATEWAY_LINK_LOCAL2,
  GATEWAY_LINK_LOCAL3,
  GATEWAY_MAC_HIGH,
  GATEWAY_MAC_LOW,
} from '../switch/gateway-mac.ts';
import * as arp from '../wire/arp.ts';
import { checksum } from '../wire/checksum.ts';
import * as ethernet from '../wire/ethernet.ts';
import { BROADCAST_HIGH, BROADCAST_LOW, ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { macHigh, macLow, parseMac } from '../wire/mac.ts';
import * as ndp from '../wire/ndp.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';

/** Where a frame's packet begins */
export const PAYLOAD: number = VNET_HEADER_BYTES + ETHERNET_HEADER_BYTES;
/** Identifier of our echo requests: "td" */
export const ECHO_ID = 0x7464;
/** Shortest packet of an echo request, bytes */
export const SHORT_ECHO_BYTES: number = ipv4.IPV4_HEADER_BYTES + icmp.ICMP_HEADER_BYTES + 8;
const MULTICAST6_MAC_HIGH = 0x3333; // RFC 2464 section 7

function frame(bytes: number): { data: Buffer; view: DataView } {
  const data = Buffer.alloc(PAYLOAD + bytes);
  return { data, view: new DataView(data.buffer, data.byteOffset, data.length) };
}

/** Who has `ip`, tell `gateway` (RFC 826); told 0, nobody notes the sender (RFC 5227). Addresses are uint32 or int32. */
export function arpRequest(gateway: number, ip: number): Buffer {
  const { data, view } = frame(arp.ARP_BYTES);
  const [high, low] = [GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW];
  ethernet.writeHeader(
    view,
    VNET_HEADER_BYTES,
    BROADCAST_HIGH,
    BROADCAST_LOW,
    high,
    low,
    ethernet.ETHERTYPE_ARP,
  );
  arp.emit(view, PAYLOAD, arp.ARP_REQUEST, high, low, gateway | 0, 0, 0, ip | 0);
  return data;
}

/**
 * An echo request (RFC 792) that may not be fragmented.
 *
 * @param from address it comes from  @param bytes of the whole packet
 */
export function echoRequest(from: number, ip: number, mac: string, bytes: number, sequence: number): Buffer {
  const { data, view } = frame(bytes);
  const to = parseMac(mac) as number;
  const [high, low] = [GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW];
  ethernet.writeHeader(view, VNET_HEADER_BYTES, macHigh(to), macLow(to), high, low, ethernet.ETHERTYPE_IPV4);
  ipv4.emitHeader(view, PAYLOAD, bytes, ipv4.USUAL_TTL, ipv4.PROTOCOL_ICMP, from | 0, ip | 0);
  const message = PAYLOAD + ipv4.IPV4_HEADER_BYTES;
  icmp.emitHeader(view, message, icmp.ECHO_REQUEST, 0, (ECHO_ID << 16) | sequence);
  view.setUint16(message + icmp.CHECKSUM_OFFSET, 0);
  view.setUint16(message + icmp.CHECKSUM_OFFSET, checksum(view, message, bytes - ipv4.IPV4_HEADER_BYTES));
  return data;
}

/** A neighbour solicitation (RFC 4861 section 4.3) to the solicited-node address of `ip` (RFC 4291 section 2.7.1). */
export function neighbourSolicitation([word0, word1, word2, word3]: IpWords): Buffer {
  const bytes = ndp.SOLICITATION_BYTES;
  const { data, view } = frame(ipv6.IPV6_HEADER_BYTES + bytes);
  const group = 0xff000000 | (word3 & 0xffffff);
  const [high, low] = [GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW];
  const type = ethernet.ETHERTYPE_IPV6;
  ethernet.writeHeader(view, VNET_HEADER_BYTES, MULTICAST6_MAC_HIGH, group, high, low, type);
  ipv6.emitHeader(
    view,
    PAYLOAD,
    bytes,
    ipv6.PROTOCOL_ICMPV6,
    ndp.HOP_LIMIT,
    GATEWAY_LINK_LOCAL0,
    GATEWAY_LINK_LOCAL1,
    GATEWAY_LINK_LOCAL2,
    GATEWAY_LINK_LOCAL3,
    0xff020000 | 0,
    0,
    1,
    group,
  );
  const message = PAYLOAD + ipv6.IPV6_HEADER_BYTES;
  ndp.emitSolicitation(view, message, word0, word1, word2, word3, high, low);
  icmpv6.fillChecksum(view, message, bytes, PAYLOAD);
  return data;
}
