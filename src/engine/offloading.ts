/** Whether a connection of a VM may be handed to the kernel, and what has to be in place for it. */
import type { OffloadGrant } from '../fastpath/flow-entry.ts';
import type { FlowOffload } from '../fastpath/flow-offload.ts';
import { SysError } from '../sys/errno.ts';
import { isEthernet } from '../sys/link.ts';
import { lookUpRoute } from '../sys/route-lookup.ts';
import type { Link } from '../sys/rtnetlink.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import { withLinks } from './namespace.ts';

const ARPHRD_LOOPBACK = 772; // linux/if_arp.h

/** Its frames begin with an Ethernet header. */
function hasEthernetHeader(link: Link): boolean {
  return isEthernet(link) || link.arpHardwareType === ARPHRD_LOOPBACK;
}

/**
 * Readies the interfaces of a connection between a VM's interface `tap` and `remote`, for which the host has the address
 * `local` (both int32).
 *
 * @returns undefined where it cannot be: no route, or an interface without Ethernet frames, as tunnels are
 */
export function prepareOffload(
  offload: FlowOffload,
  tap: number,
  local: number,
  remote: number,
): OffloadGrant | undefined {
  const route = lookUpRoute(formatIpv4(remote), formatIpv4(local));
  if (typeof route === 'string' || route.index === tap) return undefined;
  const [towards, own] = withLinks(undefined, (links) => [
    links.linkByIndex(route.index),
    links.linkByIndex(tap),
  ]);
  if (towards === undefined || own === undefined || !hasEthernetHeader(towards)) return undefined;
  try {
    offload.attach(tap);
    offload.attach(towards.index);
  } catch (error) {
    // One of them is on its way out.
    if (error instanceof SysError) return undefined;
    throw error;
  }
  return { tap, mtu: own.mtu, host: towards.index };
}
