/** One VM of the configuration: text in, numbers out, checked against the networks and the other VMs. */
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac, parseMac } from '../wire/mac.ts';
import { hostAddress } from './address.ts';
import { type EgressRule, resolveEgress } from './egress.ts';
import { configError, failAt, type Locate, nowhere, type Path, quote } from './fault.ts';
import { Listeners, type PortForward, resolveForwards } from './forwards.ts';
import { formatIp, type IpWords, isSameIp } from './ip.ts';
import { MAX_EGRESS_RULES, MAX_FORWARD_PORTS } from './limits.ts';
import {
  DEFAULT_NETWORK,
  ID_RULE,
  INTERFACE_NAME_RULE,
  isId,
  isInterfaceName,
  isNamespacePath,
  NAMESPACE_PATH_RULE,
} from './names.ts';
import type { NetworkConfig } from './network.ts';
import { hostAddress6 } from './network6.ts';
import { findProfile, type ProfileConfig, type Profiles, shippedProfiles } from './profiles.ts';
import { type VmInput, VmSchema } from './schema.ts';
import { checkShape } from './shape.ts';
import { didYouMean } from './suggest.ts';
import { VmIndex } from './vm-index.ts';

export interface VmConfig {
  id: string;
  /** Name of its network */
  network: string;
  /** Name of its TAP or other Ethernet-like interface */
  tap: string;
  /** Path of the network namespace the TAP lives in; our own where absent */
  netns?: string;
  /** The only MAC the VM may use, as a 48-bit number; the first it uses where absent */
  mac?: number;
  /** The only IPv4 address the VM may use, as uint32; the first it uses where absent */
  ip?: number;
  /** An IPv6 address of the VM, inside the network's IPv6 subnet; only those it uses where absent */
  ip6?: IpWords;
  /** Name of the program that is to hold the TAP; any where absent */
  vmm?: string;
  /** Whether the TAP is released from a bridge that holds it */
  takeover: boolean;
  /** Name of its profile */
  profile?: string;
  /** Its own, then those of its profile; ranges are single forwards here */
  forwards: PortForward[];
  /** Outbound rules, its own, then those of its profile, before those of the network */
  egress: EgressRule[];
}

const GROUP_BIT = 2 ** 40; // the lowest bit of the first octet: IEEE 802, I/G

function resolveMac(text: string, locate: Locate, path: Path): number {
  const mac = parseMac(text);
  const fail = (message: string) =>
    configError(
      'CONFIG_INVALID',
      locate,
      path,
      message,
      'Write a unicast MAC, for instance 06:00:c0:a8:00:0e.',
    );
  if (mac === undefined) throw fail(`${quote(text)} is not a MAC address`);
  if (Math.floor(mac / GROUP_BIT) % 2 === 1) throw fail(`${formatMac(mac)} is a multicast address`);
  if (mac === 0) throw fail(`${formatMac(mac)} is no address`);
  return mac;
}

function resolveAddress(text: string, network: NetworkConfig, locate: Locate, path: Path): number {
  const address = hostAddress(text, network.subnet, locate, path);
  const owners = [
    { owner: 'gateway', taken: network.gateway },
    { owner: 'host port', taken: network.hostPort?.address },
  ];
  const other = owners.find(({ taken }) => taken === address);
  if (other === undefined) return address;
  const message = `${formatIpv4(address)} is already the address of the ${other.owner}`;
  throw configError('ADDRESS_IN_USE', locate, path, message, 'Give the VM an address of its own.');
}

function resolveAddress6(text: string, network: NetworkConfig, locate: Locate, path: Path): IpWords {
  if (network.ipv6 === undefined) {
    const message = `there is no IPv6 in network ${network.name}`;
    throw failAt(locate, path)(message, 'Leave ip6 out, or give the network a subnet6.');
  }
  const address = hostAddress6(text, network.ipv6.subnet, locate, path);
  if (!isSameIp(address, network.ipv6.gateway)) return address;
  const message = `${formatIp(address)} is already the address of the gateway`;
  throw configError('ADDRESS_IN_USE', locate, path, message, 'Give the VM an address of its own.');
}

/** Throws where the VM's TAP is the very interface that some network's host port is made as. */
function checkHostPorts(vm: VmConfig, networks: ReadonlyMap<string, NetworkConfig>, locate: Locate): void {
  for (const { name, hostPort } of networks.values()) {
    if (hostPort?.name !== vm.tap || hostPort.netns !== vm.netns) continue;
    const message = `${vm.tap} is already the host port of network ${name}`;
    throw configError('TAP_IN_USE', locate, ['vms', vm.id, 'tap'], message, 'Give the VM a TAP of its own.');
  }
}

/** Reads the VM's forwards, adds those of its profile, and claims where they listen. */
function claimForwards(
  id: string,
  input: VmInput,
  profile: ProfileConfig | undefined,
  listeners: Listeners,
  locate: Locate,
): PortForward[] {
  const base = ['vms', id];
  const own = resolveForwards(input.forwards ?? [], locate, [...base, 'forwards']);
  const added = (profile?.forwards ?? []).map((forward) => ({ forward, path: [...base, 'profile'] }));
  const all = [...own, ...added];
  if (all.length > MAX_FORWARD_PORTS) {
    const message = `there are ${all.length} ports with those of the profile, more than ${MAX_FORWARD_PORTS}`;
    throw failAt(locate, [...base, 'profile'])(message, 'Forward only the ports that are used.');
  }
  for (const { forward, path } of all) listeners.claim(forward, id, locate, path);
  return all.map(({ forward }) => forward);
}

/** Reads the VM's outbound rules and adds those of its profile. */
function egressOf(
  id: string,
  input: VmInput,
  profile: ProfileConfig | undefined,
  locate: Locate,
): EgressRule[] {
  const base = ['vms', id];
  const all = [...resolveEgress(input.egress ?? [], locate, [...base, 'egress']), ...(profile?.egress ?? [])];
  if (all.length <= MAX_EGRESS_RULES) return all;
  const message = `there are ${all.length} rules with those of the profile, more than ${MAX_EGRESS_RULES}`;
  throw failAt(locate, [...base, 'profile'])(message, 'Write fewer, wider rules.');
}

/**
 * The same as `resolveVm` for input whose shape is already checked.
 * @param listeners what forwards listen on; this VM's are added
 */
export function vmFrom(
  id: string,
  input: VmInput,
  networks: ReadonlyMap<string, NetworkConfig>,
  others: VmIndex,
  listeners: Listeners,
  locate: Locate,
  profiles: Profiles,
): VmConfig {
  const base = ['vms', id];
  const fail = (path: Path, message: string, nextStep: string) =>
    configError('CONFIG_INVALID', locate, [...base, ...path], message, nextStep);
  const {
    network: networkName = DEFAULT_NETWORK,
    tap,
    netns,
    mac,
    ip,
    ip6,
    takeover = false,
    profile: profileName,
    vmm,
  } = input;

  if (!isId(id)) throw fail([], `${quote(id)} is not a valid id`, ID_RULE);
  const network = networks.get(networkName);
  if (network === undefined) {
    const message = `there is no network ${quote(networkName)}${didYouMean(networkName, networks.keys())}`;
    const nextStep = `Known networks: ${[...networks.keys()].join(', ') || 'none'}.`;
    throw configError('NETWORK_UNKNOWN', locate, [...base, 'network'], message, nextStep);
  }
  if (!isInterfaceName(tap)) {
    throw fail(['tap'], `${quote(tap)} is not a valid interface name`, INTERFACE_NAME_RULE);
  }
  if (netns !== undefined && !isNamespacePath(netns)) {
    throw fail(['netns'], `${quote(netns)} is not the path of a network namespace`, NAMESPACE_PATH_RULE);
  }
  const profile =
    profileName === undefined ? undefined : findProfile(profileName, profiles, locate, [...base, 'profile']);
  const vm: VmConfig = {
    id,
    network: networkName,
    tap,
    ...(netns !== undefined && { netns }),
    ...(mac !== undefined && { mac: resolveMac(mac, locate, [...base, 'mac']) }),
    ...(ip !== undefined && { ip: resolveAddress(ip, network, locate, [...base, 'ip']) }),
    ...(ip6 !== undefined && { ip6: resolveAddress6(ip6, network, locate, [...base, 'ip6']) }),
    ...(vmm !== undefined && { vmm }),
    takeover,
    ...(profile !== undefined && { profile: profile.name }),
    forwards: [],
    egress: egressOf(id, input, profile, locate),
  };
  checkHostPorts(vm, networks, locate);
  others.check(vm, locate);
  vm.forwards = claimForwards(id, input, profile, listeners, locate);
  return vm;
}

/**
 * Checks one VM against the networks and the VMs that exist, and turns its text into numbers. Whether other VMs' forwards
 * are in the way of its own is seen when they are opened.
 * @throws TapswitchError CONFIG_INVALID, NETWORK_UNKNOWN, PROFILE_UNKNOWN, ADDRESS_OUTSIDE_SUBNET, VM_EXISTS,
 * TAP_IN_USE, FORWARD_IN_USE, ADDRESS_IN_USE or MAC_IN_USE
 */
export function resolveVm(
  id: string,
  input: VmInput,
  networks: ReadonlyMap<string, NetworkConfig>,
  others: VmIndex = new VmIndex(networks),
  profiles: Profiles = shippedProfiles(),
): VmConfig {
  checkShape(VmSchema, input, nowhere, ['vms', id]);
  return vmFrom(id, input, networks, others, new Listeners(), nowhere, profiles);
}
