/** What the namespace that plays the host needs where it takes part in the traffic itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { configureGuest, indexOf, startNetnsGuest, withRoutes } from '../src/lab/netns-guest.ts';
import { inNamespace } from '../src/sys/netns.ts';
import type { Undo } from './rig.ts';

const OUTSIDE_LINK = 'outside0';
const OUTSIDE_PREFIX = 24;

/** The host, the server that is no guest, and their network (TEST-NET-3, RFC 5737) */
export const OUTSIDE_HOST = '203.0.113.1';
export const OUTSIDE = '203.0.113.2';
export const OUTSIDE_SUBNET = `203.0.113.0/${OUTSIDE_PREFIX}`;

/** Sets `/proc/sys/net/NAME` of a namespace. */
export function setKernel(namespace: string, name: string, value: string): void {
  inNamespace(namespace, () => writeFileSync(`/proc/sys/net/${name}`, value));
}

/**
 * Room for many connections in a row: else the ports of closed ones (TIME-WAIT) run out within a few samples. They are
 * used again after a second; a rig's next turn is later.
 */
export function roomForConnections(namespace: string): void {
  setKernel(namespace, 'ipv4/ip_local_port_range', '10000 65535');
  setKernel(namespace, 'ipv4/tcp_tw_reuse', '1');
}

/** Frames that have come into an interface of the namespace from its other end. */
export function framesFrom(namespace: string, interfaceName: string): number {
  const table = inNamespace(namespace, () => readFileSync('/proc/thread-self/net/dev', 'utf8'));
  const line = table.split('\n').find((each) => each.trim().startsWith(`${interfaceName}:`));
  // Bytes, then packets, of what was received
  return Number(line!.split(':')[1]!.trim().split(/\s+/)[1]);
}

/** Makes the host's loopback usable. */
export function loopbackUp(host: string): void {
  withRoutes(host, (routes) => routes.changeLink(indexOf(routes, 'lo'), { up: true }));
}

/** A namespace beyond the host, on a veth that holds the host's default route; gives its path. */
export async function outside(host: string, undo: Undo): Promise<string> {
  const options = { name: 'outside', hostNamespace: host, interfaceName: OUTSIDE_LINK };
  const server = await startNetnsGuest({ ...options, ip: OUTSIDE, prefix: OUTSIDE_PREFIX });
  undo.push(() => server.stop());
  configureGuest(host, OUTSIDE_LINK, { ip: OUTSIDE_HOST, prefix: OUTSIDE_PREFIX, gateway: OUTSIDE });
  return server.namespace;
}
