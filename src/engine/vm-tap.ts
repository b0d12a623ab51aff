/**
 * A VM's TAP made ready for the switch: found, shielded, set up, and opened on its interface end.
 *
 * The order matters. The guard comes before anything the host's stack could react to, and before the TAP is released
 * from a bridge; the socket comes last, so that a failure leaves the bridge's work undone only when asked to.
 */

import type { VmConfig } from '../config/resolve.ts';
import { TapswitchError } from '../errors.ts';
import { applyGuard, type GuardKind } from '../port/guard.ts';
import { isEthernet } from '../sys/link.ts';
import { LinkStatistics } from '../sys/link-statistics.ts';
import { openPacketSockets } from '../sys/packet-socket.ts';
import type { Link, RouteSocket } from '../sys/rtnetlink.ts';
import { withLinks } from './namespace.ts';
import { explaining } from './system-errors.ts';

/** The driver's name */
const KIND_TAP = 'tun';
/** Frames the kernel queues for a slow VMM, where the TAP has less */
const QUEUE_FRAMES = 1000;
/** Bound of what the kernel queues for the switch per VM, `bytes` of its own accounting */
const SOCKET_BUFFER_BYTES = 16 * 1024 * 1024;

export interface OpenTap {
  /** One for each worker, or one for all */
  readonly fds: readonly number[];
  readonly index: number;
  readonly carrier: boolean;
  /** Reads what it counts, where it is a TAP: what other devices count as dropped says something else */
  readonly statistics: LinkStatistics | undefined;
}

/** Whether frames can pass: the interface is up, and something is at its other end. */
export function hasCarrier(link: Link | undefined): boolean {
  return link?.up === true && link.carrier;
}

function find(links: RouteSocket, vm: VmConfig): Link {
  const link = links.linkByName(vm.tap);
  if (link === undefined) {
    throw new TapswitchError(
      'TAP_MISSING',
      `VM ${vm.id}: there is no interface ${vm.tap}${vm.netns ? ` in ${vm.netns}` : ''}`,
      `Create it first: ip tuntap add ${vm.tap} mode tap.`,
    );
  }
  if (link.name !== vm.tap) {
    // Found by another name of it: guard and news of it go by its name.
    throw new TapswitchError(
      'TAP_MISSING',
      `VM ${vm.id}: ${vm.tap} is another name of ${link.name}`,
      `Give the interface's own name, ${link.name}.`,
    );
  }
  if (!isEthernet(link) || link.kind === 'bridge') {
    throw new TapswitchError(
      'TAP_NOT_ETHERNET',
      `VM ${vm.id}: ${vm.tap} is ${link.kind === 'bridge' ? 'a bridge' : 'not an Ethernet interface'}`,
      'Name the TAP (or veth end) that belongs to the VM.',
    );
  }
  return link;
}

function checkFree(links: RouteSocket, link: Link, vm: VmConfig): void {
  if (link.master === 0 || vm.takeover) return;
  const master = links.linkByIndex(link.master)?.name ?? `interface ${link.master}`;
  throw new TapswitchError(
    'TAP_ENSLAVED',
    `VM ${vm.id}: ${vm.tap} belongs to ${master}`,
    `Release it (ip link set ${vm.tap} nomaster), or set takeover: true.`,
  );
}

/**
 * Makes a VM's TAP ready and opens it.
 * @param sockets among how many its frames are dealt out, and which of them gets all but TCP
 * @throws TapswitchError TAP_MISSING, TAP_NOT_ETHERNET, TAP_ENSLAVED, CAPABILITY_MISSING
 */
export function openVmTap(
  vm: VmConfig,
  guard: GuardKind | undefined,
  sockets: { readonly count: number; readonly home: number },
): OpenTap {
  return withLinks(vm.netns, (links) => {
    const link = find(links, vm);
    checkFree(links, link, vm);
    if (guard !== undefined) {
      const target = { interfaceName: vm.tap, index: link.index };
      explaining('CAP_NET_ADMIN', () => applyGuard(guard, [target]));
    }
    const txQueueLength = Math.max(link.txQueueLength, QUEUE_FRAMES);
    links.changeLink(link.index, { addrGenMode: 'none', arp: false, txQueueLength });
    if (link.master !== 0) links.changeLink(link.index, { master: 0 });
    if (!link.up) links.changeLink(link.index, { up: true });
    const { count, home } = sockets;
    const fds = explaining('CAP_NET_RAW', () =>
      openPacketSockets(link.index, SOCKET_BUFFER_BYTES, count, home),
    );
    const carrier = hasCarrier(links.linkByIndex(link.index));
    const statistics = link.kind === KIND_TAP ? new LinkStatistics() : undefined;
    return { fds, index: link.index, carrier, statistics };
  });
}
