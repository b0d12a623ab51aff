/**
 * A frame in a few words, for a line of `tapswitch trace`.
 *
 * A capture may have cut it: what is missing reads as zeros, up to the length it had, so that lengths inside it can
 * still be checked against that.
 */
import * as arp from '../../wire/arp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import { formatIpv4 } from '../../wire/ipv4.ts';
import { formatMac, macOf } from '../../wire/mac.ts';
import { summarizeIpv4 } from './ipv4.ts';
import { summarizeIpv6 } from './ipv6.ts';

/** Bytes of a frame that a summary looks at: headers, and a DNS question or DHCP's options behind them */
export const SUMMARY_BYTES = 512;

const MAX_FRAME_BYTES = 65_549;
const TAG_BYTES = 4;
const VLAN_ID = 0x0fff;
/** Tags that are passed over; a third is nobody's */
const MAX_TAGS = 2;

export class FrameSummary {
  readonly #bytes = new Uint8Array(MAX_FRAME_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);

  /**
   * @param kept bytes of the frame from its Ethernet header on, as many as there are
   * @param length bytes it had
   */
  of(kept: Uint8Array, length: number): string {
    const bytes = Math.min(length, MAX_FRAME_BYTES);
    this.#bytes.set(kept.subarray(0, bytes));
    this.#bytes.fill(0, kept.length, bytes);
    if (!ethernet.check(this.#view, 0, bytes)) return `runt of ${bytes} bytes`;
    return this.#payload(0, bytes, MAX_TAGS);
  }

  /** @param shift bytes of the tags before the EtherType */
  #payload(shift: number, bytes: number, tags: number): string {
    const view = this.#view;
    const type = ethernet.etherType(view, shift);
    const at = shift + ethernet.ETHERNET_HEADER_BYTES;
    const length = bytes - at;
    switch (type) {
      case ethernet.ETHERTYPE_VLAN:
      case ethernet.ETHERTYPE_QINQ:
        if (tags === 0 || length < TAG_BYTES) return `VLAN, ${length} bytes`;
        return `VLAN ${view.getUint16(at) & VLAN_ID} ${this.#payload(shift + TAG_BYTES, bytes, tags - 1)}`;
      case ethernet.ETHERTYPE_ARP:
        return summarizeArp(view, at, length);
      case ethernet.ETHERTYPE_IPV4:
        return summarizeIpv4(view, at, length);
      case ethernet.ETHERTYPE_IPV6:
        return summarizeIpv6(view, at, length);
      default:
        return `${this.#macs()} EtherType 0x${type.toString(16).padStart(4, '0')}, ${length} bytes`;
    }
  }

  #macs(): string {
    const view = this.#view;
    const source = macOf(ethernet.sourceHigh(view, 0), ethernet.sourceLow(view, 0));
    const destination = macOf(ethernet.destinationHigh(view, 0), ethernet.destinationLow(view, 0));
    return `${formatMac(source)} > ${formatMac(destination)}`;
  }
}

function summarizeArp(view: DataView, at: number, length: number): string {
  if (!arp.check(view, at, length)) return `ARP malformed, ${length} bytes`;
  const sender = formatIpv4(arp.senderAddress(view, at));
  const mac = formatMac(macOf(arp.senderHigh(view, at), arp.senderLow(view, at)));
  const operation = arp.operation(view, at);
  if (operation === arp.ARP_REPLY) return `ARP ${sender} is-at ${mac}`;
  if (operation !== arp.ARP_REQUEST) return `ARP operation ${operation} from ${sender}`;
  return `ARP who-has ${formatIpv4(arp.targetAddress(view, at))} tell ${sender}`;
}
