/** The Linux bridge that the switch replaces: what the lab compares with, and what it breaks on purpose. */
import type { BridgeOptions } from '../sys/rtnetlink.ts';
import { indexOf, withRoutes } from './netns-guest.ts';

/**
 * Makes a bridge in the namespace at `hostNamespace`, ours when undefined, and enslaves `memberNames` to it.
 *
 * @param address the host's own `address/prefix` on the bridge, none when not given
 */
export function createLabBridge(
  hostNamespace: string | undefined,
  name: string,
  memberNames: readonly string[],
  address?: string,
  options?: BridgeOptions,
): void {
  withRoutes(hostNamespace, (routes) => {
    routes.createBridge(name, options);
    const bridge = indexOf(routes, name);
    routes.changeLink(bridge, { up: true });
    for (const member of memberNames)
      routes.changeLink(indexOf(routes, member), { master: bridge, up: true });
    if (address !== undefined) routes.addAddress(bridge, address);
  });
}
