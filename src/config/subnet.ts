/** Arithmetic on IPv4 subnets; addresses are uint32 in host order. */
import { formatIpv4, maskOf } from '../wire/ipv4.ts';

export interface Subnet {
  /** The network address, its host bits zero */
  address: number;
  /** Length of the prefix, bits */
  prefix: number;
}

/** The first address of the subnet that `address` belongs to. */
export function networkAddress({ address, prefix }: Subnet): number {
  return (address & maskOf(prefix)) >>> 0;
}

/** The last address of the subnet: its directed broadcast. */
export function broadcastAddress({ address, prefix }: Subnet): number {
  return (address | ~maskOf(prefix)) >>> 0;
}

export function contains(subnet: Subnet, address: number): boolean {
  return (address & maskOf(subnet.prefix)) >>> 0 === subnet.address;
}

export function overlap(a: Subnet, b: Subnet): boolean {
  return a.prefix <= b.prefix ? contains(a, b.address) : contains(b, a.address);
}

export function formatSubnet({ address, prefix }: Subnet): string {
  return `${formatIpv4(address)}/${prefix}`;
}
