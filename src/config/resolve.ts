/** A whole configuration: shape, then networks, then VMs, then what networks must not share. */
import { availableParallelism } from 'node:os';
import { type CaptureConfig, captureFrom } from './capture.ts';
import { configError, type Locate, nowhere } from './fault.ts';
import { Listeners } from './forwards.ts';
import { MAX_NETWORKS } from './limits.ts';
import { type NetworkConfig, networkFrom } from './network.ts';
import { type Profiles, resolveProfiles } from './profiles.ts';
import { type ConfigInput, ConfigSchema } from './schema.ts';
import { checkShape } from './shape.ts';
import { formatSubnet, overlap } from './subnet.ts';
import { type VmConfig, vmFrom } from './vm.ts';
import { VmIndex } from './vm-index.ts';

export { type HostPortConfig, type NetworkConfig, resolveNetwork } from './network.ts';
export { resolveVm, type VmConfig } from './vm.ts';

export interface SwitchConfig {
  networks: Map<string, NetworkConfig>;
  vms: Map<string, VmConfig>;
  /** Profiles by name, those shipped included */
  profiles: Profiles;
  /** What captures may take */
  capture: CaptureConfig;
  /** Whether the switch refuses to start when VM TAPs cannot be shielded from the host's stack */
  guard: 'required' | 'off';
  /** Whether known unicast between VMs of a shared network may be left to the kernel, where it can be */
  fastPath: 'auto' | 'off';
  /** Datapath threads */
  workers: number;
}

/** Throws for whatever the host ports of two networks must not share: an interface, or a route of the host. */
function checkHostPorts(networks: ReadonlyMap<string, NetworkConfig>, locate: Locate): void {
  const seen: NetworkConfig[] = [];
  for (const network of networks.values()) {
    const { name, subnet, hostPort } = network;
    if (hostPort === undefined) continue;
    for (const other of seen) {
      if (hostPort.netns !== other.hostPort?.netns) continue;
      if (hostPort.name === other.hostPort?.name) {
        const message = `${hostPort.name} is already the host port of network ${other.name}`;
        const nextStep = 'Give each host port a name of its own.';
        throw configError('TAP_IN_USE', locate, ['networks', name, 'hostPort'], message, nextStep);
      }
      if (overlap(subnet, other.subnet)) {
        const message = `${formatSubnet(subnet)} overlaps ${formatSubnet(other.subnet)} of network ${other.name}`;
        const nextStep = 'Two networks with a host port need subnets apart from each other.';
        throw configError('CONFIG_INVALID', locate, ['networks', name, 'subnet'], message, nextStep);
      }
    }
    seen.push(network);
  }
}

/** Threads where nobody says how many: one VM's connections gain by a second, and what is idle costs nothing. */
const DEFAULT_WORKERS = 2;

/** As many as there are processors for, at most {@link DEFAULT_WORKERS}. */
export function defaultWorkers(): number {
  return Math.min(DEFAULT_WORKERS, availableParallelism());
}

/** The same as `resolveConfig`, with errors that name the place in a file. */
export function resolveLocated(input: unknown, locate: Locate): SwitchConfig {
  checkShape(ConfigSchema, input, locate, []);
  const {
    networks: networkInputs,
    vms: vmInputs = {},
    profiles: profileInputs = {},
    capture = {},
    guard = 'required',
    fastPath = 'auto',
    workers = defaultWorkers(),
  } = input as ConfigInput;
  if (Object.keys(networkInputs).length > MAX_NETWORKS) {
    const message = `there are more than ${MAX_NETWORKS} networks`;
    throw configError('CONFIG_INVALID', locate, ['networks'], message, 'Run a second switch for the rest.');
  }
  const networks = new Map<string, NetworkConfig>();
  for (const [name, network] of Object.entries(networkInputs)) {
    networks.set(name, networkFrom(name, network, locate));
  }
  checkHostPorts(networks, locate);
  const profiles = resolveProfiles(profileInputs, locate);
  const vms = new Map<string, VmConfig>();
  const index = new VmIndex(networks);
  const listeners = new Listeners();
  for (const [id, vm] of Object.entries(vmInputs)) {
    const resolved = vmFrom(id, vm, networks, index, listeners, locate, profiles);
    index.add(resolved);
    vms.set(id, resolved);
  }
  return { networks, vms, profiles, capture: captureFrom(capture, locate), guard, fastPath, workers };
}

/**
 * Checks a whole configuration (the value a configuration file holds, see `ConfigInput`) and turns its text into
 * numbers.
 * @throws TapswitchError CONFIG_INVALID, NETWORK_UNKNOWN, PROFILE_UNKNOWN, ADDRESS_OUTSIDE_SUBNET, TAP_IN_USE,
 * FORWARD_IN_USE, ADDRESS_IN_USE or MAC_IN_USE
 */
export function resolveConfig(input: unknown): SwitchConfig {
  return resolveLocated(input, nowhere);
}
