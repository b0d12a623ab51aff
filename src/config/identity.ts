/**
 * Addresses that follow from a VM's id, so that they are the same after a restart. The id's SHA-256 says where to
 * begin; an address that is somebody's already is passed over for the next.
 */
import { createHash } from 'node:crypto';
import type { NetworkConfig } from './network.ts';
import { broadcastAddress } from './subnet.ts';

const LOOPBACK_FIRST = 0x7f400000; // 127.64.0.0/10
const LOOPBACK_REST_BITS = 22;
const LOOPBACK_BLOCKS = 2 ** 14; // of 256 addresses
const HOSTS_IN_BLOCK = 254; // none ends in 0 or 255: some programs take those for a network's or a broadcast address

/** Whether an address (uint32) is somebody else's */
type Taken = Pick<ReadonlySet<number>, 'has'>;

/** A number from 0 to `bound` - 1 that follows from `id`. */
function startOf(id: string, bound: number): number {
  return createHash('sha256').update(id).digest().readUIntBE(0, 6) % bound;
}

/**
 * The IPv4 address (uint32) that a VM without a configured one is given: any of the subnet but its first and last,
 * the gateway's, the host port's and those that are `taken` (uint32); `kept` (uint32) if it is one of these. `undefined`
 * when none is left.
 */
export function leaseAddress(
  id: string,
  network: Pick<NetworkConfig, 'subnet' | 'gateway' | 'hostPort'>,
  taken: Taken,
  kept?: number,
): number | undefined {
  const { subnet, gateway, hostPort } = network;
  const hosts = broadcastAddress(subnet) - subnet.address - 1;
  const keptAt = (kept ?? 0) - subnet.address - 1;
  const start = keptAt >= 0 && keptAt < hosts ? keptAt : startOf(id, hosts);
  for (let i = 0; i < hosts; i++) {
    const address = subnet.address + 1 + ((start + i) % hosts);
    if (address !== gateway && address !== hostPort?.address && !taken.has(address)) return address;
  }
  return undefined;
}

/**
 * The loopback address (uint32, in 127.64.0.0/10) that is the VM's own on the host, none of those that are `taken`
 * (uint32), which are fewer than there are.
 */
export function loopbackIdentity(id: string, taken: Taken): number {
  const all = LOOPBACK_BLOCKS * HOSTS_IN_BLOCK;
  const start = startOf(id, all);
  for (let i = 0; ; i++) {
    const index = (start + i) % all;
    const address = LOOPBACK_FIRST + 256 * Math.floor(index / HOSTS_IN_BLOCK) + 1 + (index % HOSTS_IN_BLOCK);
    if (!taken.has(address)) return address;
  }
}

/** Whether an address (uint32) is in the block that loopback identities are taken from. */
export function isLoopbackIdentity(address: number): boolean {
  return address >>> LOOPBACK_REST_BITS === LOOPBACK_FIRST >>> LOOPBACK_REST_BITS;
}
