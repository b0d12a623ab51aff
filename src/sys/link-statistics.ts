/** What an interface has counted (`struct if_stats_msg`, `struct rtnl_link_stats64` of linux/if_link.h). */
import { ENODEV } from './errno.ts';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink.ts';
import { message, type NetlinkMessage, parseAttributes } from './netlink-message.ts';

const RTM_GETSTATS = 94;
const IF_STATS_MSG_BYTES = 12;
const INDEX_OFFSET = 4;
const FILTER_OFFSET = 8;
const IFLA_STATS_LINK_64 = 1;
// struct rtnl_link_stats64: rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped
const TX_DROPPED_OFFSET = 7 * 8;

/** Request for the 64-bit counters of one interface. */
function request(index: number): Uint8Array {
  const header = new Uint8Array(IF_STATS_MSG_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(INDEX_OFFSET, index, true);
  view.setUint32(FILTER_OFFSET, 1 << (IFLA_STATS_LINK_64 - 1), true);
  return message(RTM_GETSTATS, 0, header);
}

/** Frames dropped on their way out, of an RTM_NEWSTATS message; `undefined` where it is cut short. */
export function parseTransmitDropped({ payload }: Pick<NetlinkMessage, 'payload'>): number | undefined {
  const counters = parseAttributes(payload.subarray(IF_STATS_MSG_BYTES)).get(IFLA_STATS_LINK_64);
  if (counters === undefined || counters.length < TX_DROPPED_OFFSET + 8) return undefined;
  const view = new DataView(counters.buffer, counters.byteOffset, counters.length);
  return Number(view.getBigUint64(TX_DROPPED_OFFSET, true));
}

/** Reads counters of the interfaces of the network namespace that the thread was in when it was made. */
export class LinkStatistics {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  /** Frames an interface has dropped on their way out since it was made; `undefined` where there is none. */
  transmitDropped(index: number): number | undefined {
    const found = this.#socket.find(`read counters of link ${index}`, request(index), ENODEV);
    return found && parseTransmitDropped(found);
  }

  close(): void {
    this.#socket.close();
  }
}
