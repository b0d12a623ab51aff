/** Frames sent and heard as they are, on an interface of a namespace. */

import { indexOf, withRoutes } from '../../src/lab/netns-guest.ts';
import { check, close, recv, send } from '../../src/sys/libc.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { openPacketSocket } from '../../src/sys/packet-socket.ts';
import { ARP, IPV4, VNET_BYTES } from './frames.ts';
import type { Cleanup } from './net-cleanup.ts';

const BUFFER_BYTES = 32 * 1024 * 1024;
const MSG_DONTWAIT = 0x40;
const LONGEST_BYTES = 65_600;
const SOURCE = VNET_BYTES + 6;
const TYPE = VNET_BYTES + 12;

function openRaw(namespace: string, interfaceName: string): number {
  const index = withRoutes(namespace, (routes) => indexOf(routes, interfaceName));
  return inNamespace(namespace, () => openPacketSocket(index, BUFFER_BYTES));
}

/** Sends frames, each behind its virtio-net header. */
export function sendFrames(namespace: string, interfaceName: string, frames: readonly Uint8Array[]): void {
  const fd = openRaw(namespace, interfaceName);
  try {
    for (const frame of frames) check('send a frame', send(fd, frame, frame.length, 0));
  } finally {
    close(fd);
  }
}

export interface Listener {
  /** ARP and IPv4 frames heard so far whose source is `mac`: a guest's kernel sends IPv6 unasked */
  received(mac: string): number;
}

/** Hears what enters an interface from outside, from now on. */
export function listen(cleanup: Cleanup, namespace: string, interfaceName: string): Listener {
  const fd = openRaw(namespace, interfaceName);
  cleanup.add(() => close(fd));
  const frame = Buffer.alloc(LONGEST_BYTES);
  const heard = new Map<string, number>();
  const take = () => {
    while (recv(fd, frame, frame.length, MSG_DONTWAIT) > 0) {
      if (![ARP, IPV4].includes(frame.readUInt16BE(TYPE))) continue;
      const mac = frame.toString('hex', SOURCE, SOURCE + 6);
      heard.set(mac, (heard.get(mac) ?? 0) + 1);
    }
  };
  return {
    received: (mac) => {
      take();
      return heard.get(mac.replaceAll(':', '')) ?? 0;
    },
  };
}
