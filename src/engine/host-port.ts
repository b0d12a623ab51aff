/**
 * The host port: a TAP the switch holds itself, through which the host is on the guests' network.
 *
 * It is persistent and its MAC follows from its name, so that a restart of the switch changes nothing for the host
 * or the guests: interface, address, route and ARP entries stay.
 */

import type { HostPortConfig, NetworkConfig } from '../config/resolve.ts';
import { TapswitchError } from '../errors.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { openPersistentTap } from '../sys/tun.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac } from '../wire/mac.ts';
import { findTapHolder } from './holder.ts';
import { withLinks } from './namespace.ts';

/** Frames the kernel queues towards the switch: as many as an ordinary interface has. */
const QUEUE_FRAMES = 1000;
// Locally administered; the lower four bytes come from the name.
const MAC_PREFIX = 0x0270_0000_0000;

/** MAC of the host port called `name`, 48 bits: always the same for one name (FNV-1a). */
export function hostPortMac(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return MAC_PREFIX + (hash >>> 0);
}

function held(name: string, error: SysError): TapswitchError {
  const holder = findTapHolder(name);
  const who = holder ? `process ${holder.pid} (${holder.command})` : 'another process';
  return new TapswitchError(
    'TAP_HELD',
    `${name} is held by ${who}`,
    'End that process (another tapswitch?), or give the host port another name.',
    error,
  );
}

/** Opens and sets up the host port of a network. Returns its descriptor. */
export function openHostPort(network: NetworkConfig, hostPort: HostPortConfig): number {
  return withLinks(hostPort.netns, (links) => {
    let fd: number;
    try {
      fd = openPersistentTap(hostPort.name);
    } catch (error) {
      if (error instanceof SysError && error.code === 'EBUSY') throw held(hostPort.name, error);
      throw error;
    }
    try {
      const link = links.linkByName(hostPort.name);
      if (link === undefined) throw new Error(`${hostPort.name} vanished while it was opened`);
      const mac = formatMac(hostPortMac(hostPort.name));
      const changes = { mtu: hostPort.mtu, txQueueLength: QUEUE_FRAMES, addrGenMode: 'none' } as const;
      links.changeLink(link.index, link.mac === mac ? changes : { ...changes, mac });
      links.changeLink(link.index, { up: true });
      links.addAddress(link.index, `${formatIpv4(hostPort.address)}/${network.subnet.prefix}`);
      return fd;
    } catch (error) {
      close(fd);
      throw error;
    }
  });
}
