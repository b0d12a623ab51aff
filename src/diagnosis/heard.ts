/** What a guest said while it was listened to, as far as it bears on the questions put to it. */
import type { IpWords } from '../config/ip.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { formatMac, macOf } from '../wire/mac.ts';
import * as ndp from '../wire/ndp.ts';
import { VNET_HEADER_BYTES } from '../wire/vnet.ts';
import { ECHO_ID, PAYLOAD } from './questions.ts';

export interface Claim {
  /** int32 */
  readonly ip: number;
  readonly mac: string;
}

/** What the sender of an ARP frame claims, in an answer, a question or an announcement; undefined for other frames. */
export function claimOf(view: DataView): Claim | undefined {
  if (view.byteLength < PAYLOAD || ethernet.etherType(view, VNET_HEADER_BYTES) !== ethernet.ETHERTYPE_ARP)
    return undefined;
  if (!arp.check(view, PAYLOAD, view.byteLength - PAYLOAD)) return undefined;
  const mac = formatMac(macOf(arp.senderHigh(view, PAYLOAD), arp.senderLow(view, PAYLOAD)));
  return { ip: arp.senderAddress(view, PAYLOAD), mac };
}

export class Heard {
  /** MACs that claimed the address, in an answer or an announcement */
  readonly macs: Set<string> = new Set();
  /** Addresses that the guest asked for by ARP, int32 */
  readonly asksFor: Set<number> = new Set();
  /** Sequence numbers of the echo requests that it answered */
  readonly echoes: Set<number> = new Set();
  /** It advertised its IPv6 address */
  advertised = false;
  readonly #ip: number;
  readonly #ip6: IpWords | undefined;

  /** @param ip of the guest, uint32 or int32 */
  constructor(ip: number, ip6: IpWords | undefined) {
    this.#ip = ip | 0;
    this.#ip6 = ip6;
  }

  /** Takes note of a frame behind its virtio-net header. */
  note(view: DataView): void {
    if (view.byteLength < PAYLOAD) return;
    switch (ethernet.etherType(view, VNET_HEADER_BYTES)) {
      case ethernet.ETHERTYPE_ARP:
        this.#arp(view);
        break;
      case ethernet.ETHERTYPE_IPV4:
        this.#echo(view);
        break;
      case ethernet.ETHERTYPE_IPV6:
        this.#advertisement(view);
    }
  }

  #arp(view: DataView): void {
    const claim = claimOf(view);
    if (claim?.ip !== this.#ip) return;
    this.macs.add(claim.mac);
    if (arp.operation(view, PAYLOAD) === arp.ARP_REQUEST) this.asksFor.add(arp.targetAddress(view, PAYLOAD));
  }

  #echo(view: DataView): void {
    if (!ipv4.check(view, PAYLOAD, view.byteLength - PAYLOAD)) return;
    if (ipv4.protocol(view, PAYLOAD) !== ipv4.PROTOCOL_ICMP || ipv4.source(view, PAYLOAD) !== this.#ip)
      return;
    // A guest may answer in fragments: the way to it is as wide as its question all the same.
    if (ipv4.isLaterFragment(view, PAYLOAD)) return;
    const message = PAYLOAD + ipv4.headerLength(view, PAYLOAD);
    if (!icmp.check(view, message, view.byteLength - message)) return;
    if (icmp.type(view, message) !== icmp.ECHO_REPLY || icmp.identifier(view, message) !== ECHO_ID) return;
    this.echoes.add(icmp.sequence(view, message));
  }

  #advertisement(view: DataView): void {
    if (this.#ip6 === undefined || !ipv6.check(view, PAYLOAD, view.byteLength - PAYLOAD)) return;
    if (ipv6.nextHeader(view, PAYLOAD) !== ipv6.PROTOCOL_ICMPV6) return;
    const message = PAYLOAD + ipv6.IPV6_HEADER_BYTES;
    if (!ndp.check(view, message, ipv6.payloadLength(view, PAYLOAD))) return;
    if (icmpv6.type(view, message) !== ndp.NEIGHBOUR_ADVERTISEMENT) return;
    if (this.#ip6.every((word, i) => ndp.targetWord(view, message, i) === word)) this.advertised = true;
  }
}
