/** One network of the configuration: text in, numbers out, everything checked that needs no other network. */
import { formatIpv4, parseCidr4 } from '../wire/ipv4.ts';
import { hostAddress } from './address.ts';
import { configError, type Locate, nowhere, type Path, quote } from './fault.ts';
import {
  ID_RULE,
  INTERFACE_NAME_RULE,
  isId,
  isInterfaceName,
  isNamespacePath,
  NAMESPACE_PATH_RULE,
} from './names.ts';
import { ALLOWED_PORT_RULE, type AllowedPort, parseAllowedPort } from './ports.ts';
import { type HostPortInput, type NetworkInput, NetworkSchema } from './schema.ts';
import { checkShape } from './shape.ts';
import { formatSubnet, networkAddress, type Subnet } from './subnet.ts';

/** The TAP through which the host itself is on a network. */
export interface HostPortConfig {
  name: string;
  /** IPv4 as uint32, inside the network's subnet */
  address: number;
  /** Bytes */
  mtu: number;
  /** Path of the network namespace the port is made in; our own where absent */
  netns?: string;
  /** Ports of `address` that guests may open */
  allowFromGuests: AllowedPort[];
}

export interface NetworkConfig {
  name: string;
  subnet: Subnet;
  /** IPv4 as uint32, inside `subnet` */
  gateway: number;
  mode: 'isolated' | 'shared';
  hostPort?: HostPortConfig;
}

const SHORTEST_PREFIX = 8;
const LONGEST_PREFIX = 30; // leaves the gateway and one VM

function resolveSubnet(text: string, locate: Locate, path: Path): Subnet {
  const fail = (message: string, nextStep: string) =>
    configError('CONFIG_INVALID', locate, path, message, nextStep);
  const subnet = parseCidr4(text);
  if (subnet === undefined) {
    throw fail(`${quote(text)} is not an IPv4 subnet`, 'Write ADDRESS/PREFIX, for instance 192.168.0.0/16.');
  }
  if (subnet.prefix < SHORTEST_PREFIX || subnet.prefix > LONGEST_PREFIX) {
    throw fail(
      `prefix /${subnet.prefix} is not supported`,
      `Use a prefix from /${SHORTEST_PREFIX} to /${LONGEST_PREFIX}.`,
    );
  }
  const address = networkAddress(subnet);
  if (address !== subnet.address) {
    const correct = formatSubnet({ address, prefix: subnet.prefix });
    throw fail(`${text} is an address inside the subnet ${correct}`, `Write ${correct}.`);
  }
  const first = address >>> 24;
  if (first === 0 || first === 127 || first >= 224) {
    throw fail(`${text} cannot be used by hosts`, 'Use a unicast subnet, for instance 192.168.0.0/16.');
  }
  return subnet;
}

function resolveHostPort(
  input: HostPortInput,
  subnet: Subnet,
  gateway: number,
  locate: Locate,
  base: Path,
): HostPortConfig {
  const fail = (key: string | number, message: string, nextStep: string, path = base) =>
    configError('CONFIG_INVALID', locate, [...path, key], message, nextStep);
  const { name = 'tapsw0', mtu = 1500, netns, allowFromGuests = [] } = input;
  if (!isInterfaceName(name)) {
    throw fail('name', `${quote(name)} is not a valid interface name`, INTERFACE_NAME_RULE);
  }
  const address = hostAddress(input.address, subnet, locate, [...base, 'address']);
  if (address === gateway) {
    const message = `${formatIpv4(address)} is already the gateway's address`;
    const nextStep = 'Give the host port an address of its own.';
    throw configError('ADDRESS_IN_USE', locate, [...base, 'address'], message, nextStep);
  }
  if (netns !== undefined && !isNamespacePath(netns)) {
    throw fail('netns', `${quote(netns)} is not the path of a network namespace`, NAMESPACE_PATH_RULE);
  }
  const allowed = allowFromGuests.map((text, index) => {
    const port = parseAllowedPort(text);
    if (port !== undefined) return port;
    throw fail(index, `${quote(text)} is not a port`, ALLOWED_PORT_RULE, [...base, 'allowFromGuests']);
  });
  return { name, address, mtu, ...(netns !== undefined && { netns }), allowFromGuests: allowed };
}

/** The same as `resolveNetwork` for input whose shape is already checked. */
export function networkFrom(name: string, input: NetworkInput, locate: Locate): NetworkConfig {
  const base = ['networks', name];
  if (!isId(name)) {
    throw configError('CONFIG_INVALID', locate, base, `${quote(name)} is not a valid name`, ID_RULE);
  }
  const subnet = resolveSubnet(input.subnet, locate, [...base, 'subnet']);
  const gateway = hostAddress(input.gateway, subnet, locate, [...base, 'gateway']);
  const network: NetworkConfig = { name, subnet, gateway, mode: input.mode ?? 'isolated' };
  if (input.hostPort !== undefined) {
    network.hostPort = resolveHostPort(input.hostPort, subnet, gateway, locate, [...base, 'hostPort']);
  }
  return network;
}

/**
 * Checks one network and turns its text into numbers.
 * @throws TapswitchError CONFIG_INVALID, ADDRESS_OUTSIDE_SUBNET or ADDRESS_IN_USE
 */
export function resolveNetwork(name: string, input: NetworkInput): NetworkConfig {
  checkShape(NetworkSchema, input, nowhere, ['networks', name]);
  return networkFrom(name, input, nowhere);
}
