/** Addresses a configuration gives to someone: text in, a number usable on the network out, or an error. */
import { formatIpv4, parseIpv4 } from '../wire/ipv4.ts';
import { configError, type Locate, type Path, quote } from './fault.ts';
import { broadcastAddress, contains, formatSubnet, type Subnet } from './subnet.ts';

/** Reads a host address of `subnet`: IPv4, inside it, neither its network nor its broadcast address. */
export function hostAddress(text: string, subnet: Subnet, locate: Locate, path: Path): number {
  const address = parseIpv4(text);
  if (address === undefined) {
    throw configError(
      'CONFIG_INVALID',
      locate,
      path,
      `${quote(text)} is not an IPv4 address`,
      'Write four numbers from 0 to 255 with dots between them.',
    );
  }
  const inside = `Choose an address of ${formatSubnet(subnet)} other than its first and last.`;
  if (!contains(subnet, address)) {
    const message = `${formatIpv4(address)} is outside the subnet ${formatSubnet(subnet)}`;
    throw configError('ADDRESS_OUTSIDE_SUBNET', locate, path, message, inside);
  }
  if (address === subnet.address || address === broadcastAddress(subnet)) {
    const kind = address === subnet.address ? 'network' : 'broadcast';
    const message = `${formatIpv4(address)} is the ${kind} address of ${formatSubnet(subnet)}`;
    throw configError('CONFIG_INVALID', locate, path, message, inside);
  }
  return address;
}
