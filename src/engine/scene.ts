/** What an explanation looks at: the switch as it is at a moment, to be read and tried out without touching it. */
import type { EgressRule } from '../config/egress.ts';
import type { NetworkConfig } from '../config/resolve.ts';
import type { ForwardTable } from '../forward/forward-table.ts';
import type { ForwardState } from '../forward/vm-forwards.ts';
import { EgressPolicy } from '../gateway/egress-policy.ts';
import { HostServices } from '../gateway/host-services.ts';
import type { VmUse } from '../gateway/vm-use.ts';
import type { Tables } from '../switch/tables.ts';
import type { Clock } from '../sys/clock.ts';
import type { AttachedVms } from './attached-vms.ts';
import type { Engine } from './engine.ts';
import type { Networks } from './networks.ts';
import type { OutboundRules } from './outbound.ts';
import type { VmPort } from './vm-port.ts';

/** A VM that is attached. */
export interface SceneVm {
  readonly id: string;
  /** Of the switch */
  readonly port: number;
  /** Name of its network */
  readonly network: string;
  /** Its outbound rules, those of its profile behind its own */
  readonly egress: readonly EgressRule[];
  readonly forwards: readonly ForwardState[];
  /** Whether the kernel hands over its unicast IPv4 frames to others that are there, too, in this namespace; undefined where it does not */
  readonly fastPath: string | undefined;
  /** Where it may go: these rules, its network's, and the rest */
  policy(): EgressPolicy;
}

export interface SceneNetwork {
  readonly name: string;
  /** By which the tables know it */
  readonly number: number;
  readonly egress: NetworkConfig['egress'];
}

export interface Scene {
  /** A copy, see switch/table-copy */
  readonly tables: Tables;
  readonly clock: Clock;
  /** When the switch started, on the clock's scale */
  readonly startedSeconds: number;
  /** The workers' own, to be read only */
  readonly use: VmUse;
  readonly services: HostServices;
  readonly networks: Iterable<SceneNetwork>;
  vms(): Iterable<SceneVm>;
}

export interface SceneParts {
  readonly engine: Engine;
  readonly vms: AttachedVms;
  readonly networks: Networks;
  readonly outbound: OutboundRules;
  readonly forwards: ForwardTable;
}

function sceneVm({ vm, number, onFastPath }: VmPort, { outbound, forwards }: SceneParts): SceneVm {
  return {
    id: vm.id,
    port: number,
    network: vm.network,
    egress: vm.egress,
    get forwards() {
      return forwards.stateOf(vm.id).forwards ?? [];
    },
    fastPath: onFastPath ? (vm.netns ?? '') : undefined,
    policy: () => new EgressPolicy(outbound.wordsOf(vm)),
  };
}

/** A switch as it is now. */
export function sceneOf(parts: SceneParts): Scene {
  const { engine, vms, networks } = parts;
  const services = new HostServices();
  const known = [...networks.configs.values()].map(({ name, egress, hostServices }) => {
    const number = networks.numberOf(name);
    services.set(number, hostServices);
    return { name, number, egress };
  });
  const attached = [...vms].map((port) => sceneVm(port, parts));
  return { ...engine.still(), services, networks: known, vms: () => attached };
}
