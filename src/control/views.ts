/** The switch's state in the form the API shows it. */
import type { NetworkConfig } from '../config/resolve.ts';
import { formatSubnet } from '../config/subnet.ts';
import type { PortState } from '../index.ts';
import type { Counters, Drop, FdbEntry, Forward, Lease, Network, Vm } from '../resources/resources.ts';
import { firecrackerSnippet } from '../vm-config/snippet.ts';
import { formatIpv4 } from '../wire/ipv4.ts';

/** What the daemon knows of a VM beside its port. */
export interface VmFacts {
  readonly id: string;
  /** Name of its network */
  readonly network: string;
  readonly tap: string;
  readonly netns: string | undefined;
  readonly profile: string | undefined;
  readonly origin: Vm['origin'];
  readonly generation: number;
  /** As configured, for a VM whose TAP is not there */
  readonly mac: string | undefined;
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
  /** Name of the program that is to hold the TAP */
  readonly vmm: string | undefined;
}

const NOTHING: Counters = { rxFrames: 0, rxBytes: 0, txFrames: 0, txBytes: 0, drops: {} };

function countersOf({ rxFrames, rxBytes, txFrames, txBytes, drops }: PortState): Counters {
  return { rxFrames, rxBytes, txFrames, txBytes, drops };
}

function forwardsOf(port: PortState): Forward[] {
  return (port.forwards ?? []).map(({ identity = false, ...forward }) => ({ ...forward, identity }));
}

/**
 * @param network undefined where it is not in the configuration any more
 * @param port undefined while the VM waits for its TAP, or for its network
 */
export function vmView(facts: VmFacts, network: NetworkConfig | undefined, port: PortState | undefined): Vm {
  const { id, tap, netns, profile, origin, generation, ip6 } = facts;
  const mac = port?.mac ?? facts.mac;
  const ip = port?.ip ?? facts.ip;
  const placed = network && {
    prefix: network.subnet.prefix,
    gateway: formatIpv4(network.gateway),
    mtu: network.mtu,
  };
  // Where there is no network there is no address to set up either.
  const address = network && (ip ?? port?.leased);
  return {
    id,
    network: facts.network,
    tap,
    ...(netns !== undefined && { netns }),
    ...(profile !== undefined && { profile }),
    origin,
    state: port?.plugged !== true ? 'absent' : port.carrier ? 'up' : 'down',
    ...(mac !== undefined && { mac }),
    ...(ip !== undefined && { ip }),
    ...(ip6 !== undefined && { ip6 }),
    ...(port?.leased !== undefined && { leased: port.leased }),
    ...placed,
    loopback: port?.loopback ?? '',
    forwards: port === undefined ? [] : forwardsOf(port),
    generation,
    counters: port === undefined ? NOTHING : countersOf(port),
    firecracker: firecrackerSnippet({
      tap,
      prefix: placed?.prefix ?? 0,
      gateway: placed?.gateway ?? '',
      ...(mac !== undefined && { mac }),
      ...(address !== undefined && { ip: address }),
    }),
  };
}

export function networkView(network: NetworkConfig, hostPort: PortState | undefined, vms: number): Network {
  const { name, subnet, gateway, mode, clones, mtu } = network;
  return {
    name,
    subnet: formatSubnet(subnet),
    gateway: formatIpv4(gateway),
    mode,
    clones,
    mtu,
    ...(hostPort !== undefined && {
      hostPort: {
        name: hostPort.interface,
        address: hostPort.ip ?? '',
        plugged: hostPort.plugged,
        counters: countersOf(hostPort),
      },
    }),
    vms,
  };
}

/** @param name id of the VM, or name of the host port */
export function fdbEntry(name: string, port: PortState, state: FdbEntry['state']): FdbEntry[] {
  return port.mac === undefined ? [] : [{ network: port.network, mac: port.mac, port: name, state }];
}

export function dropsOf(name: string, port: PortState): Drop[] {
  return Object.entries(port.drops).map(([reason, frames]) => ({ port: name, reason, frames }));
}

/** @param configured whether the VM's address is said in what it was asked for by */
export function leaseOf(vm: string, port: PortState, configured: boolean): Lease[] {
  const ip = configured ? port.ip : (port.leased ?? port.ip);
  if (ip === undefined) return [];
  const kind = configured ? 'configured' : 'offered';
  return [{ vm, network: port.network, ip, ...(port.mac !== undefined && { mac: port.mac }), kind }];
}
