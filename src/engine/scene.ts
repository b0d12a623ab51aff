/** What an explanation looks at: the switch as it is at a moment, to be read and tried out without touching it. */
import type { EgressRule } from '../config/egress.ts';
import type { NetworkConfig } from '../config/resolve.ts';
import type { ForwardState } from '../forward/vm-forwards.ts';
import type { EgressPolicy } from '../gateway/egress-policy.ts';
import type { HostServices } from '../gateway/host-services.ts';
import type { VmUse } from '../gateway/vm-use.ts';
import type { Tables } from '../switch/tables.ts';
import type { Clock } from '../sys/clock.ts';

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
