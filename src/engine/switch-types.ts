/** What the switch is given, and what it shows of itself. */
import type { ConfigInput, VmInput } from '../config/schema.ts';
import type { ForwardState } from '../forward/vm-forwards.ts';
import type { FaultPlan } from '../port/faulty-port.ts';
import type { GuardKind } from '../port/guard.ts';
import type { PortStats } from '../telemetry/counters.ts';
import type { DropReason } from '../telemetry/drops.ts';
import type { Logger } from '../telemetry/logger.ts';

/** How a switch is made: the configuration file's content, and where to log. */
export interface SwitchOptions extends ConfigInput {
  /** A pino logger; nothing is logged where absent */
  readonly logger?: Logger;
}

/** A VM to attach, and what only a library user may ask for. */
export interface AttachOptions extends VmInput {
  /** Impairments of what the VM sends, for experiments */
  readonly faults?: FaultPlan;
  /** Forwards of its profile that it does not have, each in full: `127.0.0.1:0:8080/tcp`; others are ignored */
  readonly without?: readonly string[];
}

/** What happens to a switch, for whoever asks to be told. Each is called between two things the switch does. */
export interface SwitchEvents {
  /** A VM's TAP appeared or went, or a process took hold of it or let it go */
  port?(id: string, change: 'present' | 'absent' | 'up' | 'down'): void;
  /** A port of the guest took its first connection of the host's, since the VM's carrier came */
  reached?(id: string, guestPort: number): void;
  /** A datapath thread died and is being replaced */
  workerReplaced?(worker: number): void;
  /** An interface of our own namespace appeared, changed, or went */
  link?(name: string, present: boolean): void;
}

export interface RemoveOptions {
  /** End its connections, too */
  readonly reset?: boolean;
}

export interface DialOptions {
  /** How long a VM that does not answer yet is waited for, `ms` */
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface GuestAddress {
  readonly ip: string;
  readonly mac: string;
  /** It is the one that DHCP offers */
  readonly leased: boolean;
}

/** A VM's port as it is now, as far as it can be seen at a glance; what the kernel has lost comes later. */
export interface PortGlance {
  readonly carrier: boolean;
  readonly rxFrames: number;
  /** Frames dropped, by reason */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
  /** Its IPv4 address and MAC, once both are known */
  readonly address: () => GuestAddress | undefined;
}

/** TCP flows of a VM, and how many it may have. */
export interface FlowUse {
  readonly tcp: number;
  readonly halfOpen: number;
  readonly mostTcp: number;
  readonly mostHalfOpen: number;
}

/** One port as {@link Switch.stats} shows it. */
export interface PortState extends PortStats {
  readonly interface: string;
  readonly network: string;
  /** The interface exists and is plugged in */
  readonly plugged: boolean;
  /** Frames can pass: for a TAP, a VMM holds it */
  readonly carrier: boolean;
  /** Addresses configured or learned, absent while unknown */
  readonly mac?: string;
  readonly ip?: string;
  /** The address a VM without a configured one is offered by DHCP */
  readonly leased?: string;
  /** A VM's loopback identity: the host's address where its forwarded ports keep their own numbers */
  readonly loopback?: string;
  /** Datapath thread that a VM's port is at home at */
  readonly worker?: number;
  /** A VM's flows that end at the gateway */
  readonly flows?: FlowUse;
  /** A VM's forwards, those of its loopback identity among them */
  readonly forwards?: readonly ForwardState[];
}

export interface SwitchStats {
  /** Kind in use, undefined while no VM is attached */
  readonly guard: GuardKind | 'off' | undefined;
  /** By VM id */
  readonly vms: Readonly<Record<string, PortState>>;
  /** By network name */
  readonly hostPorts: Readonly<Record<string, PortState>>;
  /** One per datapath thread; `heartbeat` advances at least once a second */
  readonly workers: readonly { readonly heartbeat: number; readonly replaced: number }[];
}
