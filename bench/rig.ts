import type { Guest } from '../src/lab/guest.ts';
import type { Crowd } from './crowd.ts';
import type { GcLog } from './gc-log.ts';
import type { Pace } from './pace.ts';

/**
 * What is measured: two ends of a load and what joins them, two guests, the host and a guest, or a guest and somebody
 * outside. Each way of joining has a rig of its own (a namespace that
 * plays the host, two guest namespaces, links of its own), all alike and all set up before the first sample, so
 * that changing from one to the next costs nothing and leaves nothing behind: an idle rig takes no processor time.
 */
export interface Rig {
  readonly name: RigName;
  /** Namespaces of the two ends */
  readonly client: string;
  readonly server: string;
  /** Where the client finds the server; ports are the server's own everywhere */
  readonly address: string;
  /** Process that moves the frames; none where the kernel does */
  readonly pid: number | undefined;
  /** Starts that process, after ending the one before; for rigs whose load wants one that has done nothing yet */
  readonly startAfresh?: () => Promise<number>;
  /** Where several guests have a load of their own: their namespaces, `client` the first of them */
  readonly clients?: readonly string[];
  /** Where a neighbour of the client's misbehaves: lets it begin */
  readonly misbehave?: () => Promise<EndMisbehaviour>;
  /** Where a capture runs: frames it has written and lost so far */
  readonly captured?: () => Promise<CaptureCounts>;
  /**
   * Makes what moves the frames die in the midst of it; resolves once whoever starts it again has done so, or at once
   * where it does that itself
   */
  readonly crash?: () => Promise<void>;
  /** Where the client finds a server outside, for rigs that have one beside the guest */
  readonly outside?: { readonly server: string; readonly address: string };
  /** What that process allocates, for rigs where it says so, and the interface by which frames leave it */
  readonly allocation?: { readonly log: GcLog; readonly host: string; readonly interfaceName: string };
  /** The serving end where that is no namespace of ours: `server` is the host then */
  readonly machine?: Guest;
  /** Ports beside the two ends, for rigs that have many */
  readonly crowd?: Crowd;
}

/** Ends it, and gives what was seen of it, figures by name. */
export type EndMisbehaviour = () => Promise<Readonly<Record<string, number>>>;

export interface CaptureCounts {
  readonly written: number;
  readonly lost: number;
}

/** Ports on which loads are served: a rig that forwards ports forwards these. */
export const PORTS = { iperf3: 5201, connections: 7778 } as const;

/**
 * The `-tap` rigs join guests on TAPs that a stand-in for a VMM holds; vde_switch has TAPs of its own; the others
 * veths. `datapath` is tapswitch without its fast path: every frame passes through TypeScript.
 */
export type RigName =
  | L2RigName
  | CaptureRigName
  | ForwardRigName
  | NatRigName
  | ManyRigName
  | IsolationRigName
  | ControlRigName
  | KernelRigName
  | ScaleRigName
  | RecoveryRigName
  | AllocationRigName
  | QemuRigName;

/** Between two guests; `-mtu` with one of 65,520 bytes, `-plain` without their offloads */
export type L2RigName =
  | 'bridge'
  | 'tapswitch'
  | 'datapath'
  | 'vde_switch'
  | 'bridge-tap'
  | 'tapswitch-tap'
  | 'datapath-tap'
  | 'bridge-mtu'
  | 'tapswitch-mtu'
  | 'datapath-mtu'
  | 'bridge-plain'
  | 'tapswitch-plain'
  | 'datapath-plain';

/** `tapswitch` and `datapath` with a capture running */
export type CaptureRigName = 'captured' | 'captured-datapath';

/**
 * From the host to a guest: `direct` to its address over a bridge, the others to a forwarded port of the loopback.
 * `pasta-tap`: from outside to a forwarded port of the host; `loopback`: from the host to itself
 */
export type ForwardRigName =
  | 'direct'
  | 'direct-tap'
  | 'forward'
  | 'forward-datapath'
  | 'forward-tap'
  | 'forward-memory'
  | 'socat'
  | 'pasta'
  | 'pasta-tap'
  | 'loopback'
  | 'slirp4netns';

/** From a guest to a server outside; `pasta-out` to the host's loopback, which is what it splices */
export type NatRigName = 'masquerade' | 'nat' | 'nat-datapath' | 'pasta-out' | 'slirp4netns-out';

/** From many guests to a server outside */
export type ManyRigName = 'nat-many' | 'masquerade-many';

/** From a guest to a server outside, by what a second VM of the switch does meanwhile */
export type IsolationRigName =
  | 'beside-idle'
  | 'beside-busy'
  | 'beside-flood'
  | 'beside-stall'
  | 'beside-spoof';

/**
 * The kernel as users have it: a bridge with br_netfilter and rules as Docker makes them, a port of the loopback by DNAT
 */
export type KernelRigName = 'bridge-docker' | 'dnat';

/** How many ports there are beside the two that carry the load */
export type Ports = 1 | 10 | 100 | 1000;

/** Between two guests, as in the l2 set, with idle TAPs beside them */
export type ScaleRigName = `${'tapswitch' | 'bridge'}-${Ports}`;

/** Between two guests: a switch with one worker, and a daemon that is started again */
export type RecoveryRigName = 'tapswitch-worker' | 'datapath-worker' | 'daemon-restarted';

/** Between two guests: `datapath` with its collections of garbage told */
export type AllocationRigName = 'datapath-gc';

/** Between a guest in a namespace and a virtual machine on a TAP */
export type QemuRigName = 'tapswitch-qemu' | 'bridge-qemu';

/** A daemon with many VMs */
export type ControlRigName = 'daemon';

/** What must be undone at the end, in reverse order. */
export class Undo {
  readonly #steps: (() => void | Promise<void>)[] = [];

  push(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Does every step, whatever becomes of the others; then throws what went wrong. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `clean-up failed: ${failures.join('; ')}`);
  }
}

/** Builds a rig around the empty namespace `host`, as large as the pace allows. */
export type Build = (host: string, undo: Undo, pace: Pace) => Promise<Rig>;
