/** One network of the configuration: text in, numbers out, everything checked that needs no other network. */

import { formatIpv4, parseCidr4 } from '../wire/ipv4.ts';
import { hostAddress } from './address.ts';
import { type DnsConfig, resolveDns } from './dns.ts';
import { type EgressRule, resolveEgress } from './egress.ts';
import { configError, failAt, type Locate, nowhere, type Path, quote } from './fault.ts';
import { VM_BUFFER_BYTES, VM_FLOWS, VM_HALF_OPEN_FLOWS, VM_UDP_FLOWS } from './limits.ts';
import {
  ID_RULE,
  INTERFACE_NAME_RULE,
  isId,
  isInterfaceName,
  isNamespacePath,
  NAMESPACE_PATH_RULE,
} from './names.ts';
import { type Ipv6Config, resolveIpv6 } from './network6.ts';
import {
  ALLOWED_PORT_RULE,
  type AllowedPort,
  type HostService,
  parseAllowedPort,
  resolveHostService,
} from './ports.ts';
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

/** What the connections of a VM may take. */
export interface FlowLimits {
  /** TCP flows, those at rest in TIME-WAIT not counted */
  readonly tcpFlows: number;
  /** TCP flows that are not open yet */
  readonly halfOpenFlows: number;
  readonly udpFlows: number;
  /** Bytes of buffers of its TCP flows */
  readonly bufferBytes: number;
}

export const USUAL_LIMITS: FlowLimits = {
  tcpFlows: VM_FLOWS,
  halfOpenFlows: VM_HALF_OPEN_FLOWS,
  udpFlows: VM_UDP_FLOWS,
  bufferBytes: VM_BUFFER_BYTES,
};

export interface NetworkConfig {
  name: string;
  subnet: Subnet;
  /** IPv4 as uint32, inside `subnet` */
  gateway: number;
  /** No IPv6 where absent */
  ipv6?: Ipv6Config;
  /** MTU the guests are told, bytes */
  mtu: number;
  mode: 'isolated' | 'shared';
  /** Whether its VMs may have the same addresses; then it is isolated and has no host port */
  clones: boolean;
  hostPort?: HostPortConfig;
  hostServices: HostService[];
  dns: DnsConfig;
  /** Outbound rules of all its VMs, after each VM's own */
  egress: EgressRule[];
  /** What the connections of each VM may take */
  limits: FlowLimits;
}

const SHORTEST_PREFIX = 8;
const LONGEST_PREFIX = 30; // leaves the gateway and one VM
const DEFAULT_MTU = 1500;

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
  networkMtu: number,
  locate: Locate,
  base: Path,
): HostPortConfig {
  const fail = (key: string | number, message: string, nextStep: string, path = base) =>
    configError('CONFIG_INVALID', locate, [...path, key], message, nextStep);
  const { name = 'tapsw0', mtu = networkMtu, netns, allowFromGuests = [] } = input;
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

function resolveHostServices(texts: readonly string[], locate: Locate, base: Path): HostService[] {
  const services: HostService[] = [];
  for (const [index, text] of texts.entries()) {
    const fail = failAt(locate, [...base, index]);
    const service = resolveHostService(text, fail);
    const { protocol, gatewayPort } = service;
    if (services.some((other) => other.protocol === protocol && other.gatewayPort === gatewayPort)) {
      const message = `port ${gatewayPort}/${protocol} of the gateway is given twice`;
      throw fail(message, 'Give each service a port of its own.');
    }
    services.push(service);
  }
  return services;
}

/** Throws where a network of clones has what tells VMs apart by their addresses. */
function checkClones(input: NetworkInput, locate: Locate, base: Path): void {
  const { clones = false, mode = 'isolated', hostPort } = input;
  if (!clones) return;
  const fail = failAt(locate, [...base, 'clones']);
  if (mode !== 'isolated') {
    throw fail(
      'VMs with the same addresses cannot share a network',
      'Use mode: isolated, or leave clones out.',
    );
  }
  if (hostPort !== undefined) {
    const message = 'a host port cannot tell VMs with the same address apart';
    throw fail(message, 'Leave out hostPort and reach the VMs by forwards, or leave out clones.');
  }
}

/** The same as `resolveNetwork` for input whose shape is already checked. */
export function networkFrom(name: string, input: NetworkInput, locate: Locate): NetworkConfig {
  const base = ['networks', name];
  if (!isId(name)) {
    throw configError('CONFIG_INVALID', locate, base, `${quote(name)} is not a valid name`, ID_RULE);
  }
  const subnet = resolveSubnet(input.subnet, locate, [...base, 'subnet']);
  const gateway = hostAddress(input.gateway, subnet, locate, [...base, 'gateway']);
  const ipv6 = resolveIpv6(name, input, locate, base);
  checkClones(input, locate, base);
  const { mtu = DEFAULT_MTU, mode = 'isolated', clones = false, hostPort } = input;
  return {
    name,
    subnet,
    gateway,
    ...(ipv6 !== undefined && { ipv6 }),
    mtu,
    mode,
    clones,
    ...(hostPort !== undefined && {
      hostPort: resolveHostPort(hostPort, subnet, gateway, mtu, locate, [...base, 'hostPort']),
    }),
    hostServices: resolveHostServices(input.hostServices ?? [], locate, [...base, 'hostServices']),
    dns: resolveDns(input.dns ?? {}, locate, [...base, 'dns']),
    egress: resolveEgress(input.egress ?? [], locate, [...base, 'egress']),
    limits: { ...USUAL_LIMITS, ...input.limits },
  };
}

/**
 * Checks one network and turns its text into numbers.
 * @throws TapswitchError CONFIG_INVALID, ADDRESS_OUTSIDE_SUBNET or ADDRESS_IN_USE
 */
export function resolveNetwork(name: string, input: NetworkInput): NetworkConfig {
  checkShape(NetworkSchema, input, nowhere, ['networks', name]);
  return networkFrom(name, input, nowhere);
}
