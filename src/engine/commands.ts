/** What the control thread and a datapath worker say to each other. */
import type { CaptureBinding } from '../capture/tap.ts';
import type { DnsUpstream } from '../config/dns.ts';
import type { OffloadGrant } from '../fastpath/flow-entry.ts';
import type { NetworkNames } from '../gateway/dns/names.ts';
import type { FlowRecord } from '../gateway/flow-list.ts';
import type { DialBinding, DialNews, ForwardBinding, GivenUp } from '../gateway/forward-binding.ts';
import type { HostServiceRecord } from '../gateway/host-services.ts';
import type { FaultPlan } from '../port/faulty-port.ts';
import type { TableMemory } from '../switch/tables.ts';

/** A port as every worker must know it: any worker may send to any port, one receives from it. */
export interface PortBinding {
  readonly port: number;
  readonly network: number;
  readonly kind: 'packet' | 'tap';
  /** One for each worker, which receives from it what the kernel gives it; or one for all, which `worker` receives from */
  readonly fds: readonly number[];
  /** Number of the port's home worker */
  readonly worker: number;
  readonly faults?: FaultPlan | undefined;
}

export type Command =
  | { readonly op: 'attach'; readonly binding: PortBinding }
  | { readonly op: 'detach'; readonly port: number }
  /** Tell the guest on `port` the gateway's MAC */
  | { readonly op: 'announce'; readonly port: number }
  /**
   * What the gateway has to know of the VM on `port`: its name, and where it may go (an EgressPolicy's words). Told
   * before the port is attached, and again when it changes; `detach` ends it.
   */
  | { readonly op: 'vm'; readonly port: number; readonly name: string; readonly policy: Int32Array }
  /** End the flows of the VM on `port` on both sides; answered with how many there were */
  | { readonly op: 'reset'; readonly port: number }
  /** Answered with the flows of the VM on `port` */
  | { readonly op: 'flows'; readonly port: number }
  | { readonly op: 'dial'; readonly dial: DialBinding }
  /** The answer to the worker's question of that number; undefined for no */
  | { readonly op: 'offload'; readonly question: number; readonly grant: OffloadGrant | undefined }
  | { readonly op: 'services'; readonly network: number; readonly services: readonly HostServiceRecord[] }
  /** What the gateway's name server answers itself in a network */
  | { readonly op: 'names'; readonly network: number; readonly names: NetworkNames }
  /** Whom it asks for the rest */
  | { readonly op: 'upstreams'; readonly network: number; readonly upstreams: readonly DnsUpstream[] }
  | { readonly op: 'forward'; readonly forward: ForwardBinding }
  /** Stop listening for the VM on `port`; with `reset` end the forward's flows, too */
  | { readonly op: 'unforward'; readonly number: number; readonly port: number; readonly reset: boolean }
  /** Begin a capture, or go on with it as it is now */
  | { readonly op: 'capture'; readonly capture: CaptureBinding }
  | { readonly op: 'uncapture'; readonly number: number }
  /** Report each time `fd` becomes readable, as `watched` with this token */
  | { readonly op: 'watch'; readonly fd: number; readonly token: number }
  | { readonly op: 'unwatch'; readonly fd: number; readonly token: number }
  | { readonly op: 'stop' }
  /** Throw: how tests see a worker die */
  | { readonly op: 'crash' };

/** What a command is answered with, where it is a question. */
export type Answer = number | readonly FlowRecord[] | undefined;

export type CommandMessage = Command & { readonly sequence: number };

export type WorkerMessage =
  | { readonly type: 'running' }
  | { readonly type: 'done'; readonly sequence: number; readonly answer: Answer }
  | { readonly type: 'watched'; readonly token: number }
  | { readonly type: 'gave-up'; readonly what: GivenUp }
  | { readonly type: 'dialed'; readonly number: number; readonly news: DialNews }
  | { readonly type: 'reached'; readonly port: number; readonly guestPort: number }
  | ({ readonly type: 'offload' } & OffloadQuestion);

/** Whether a connection of the VM on `port` may be offloaded; the addresses are those of its host's side, int32. */
export interface OffloadQuestion {
  readonly question: number;
  readonly port: number;
  readonly local: number;
  readonly remote: number;
}

/** What a datapath worker's thread is called, in Node.js and in the kernel. */
export const datapathThreadName = (worker: number): string => `tapswitch-${worker}`;

/** What a worker is started with. */
export interface WorkerSetup {
  readonly worker: number;
  readonly tables: TableMemory;
  readonly counters: SharedArrayBuffer;
  /** One int32 a worker, which advances while it lives */
  readonly heartbeats: SharedArrayBuffer;
  readonly epollFd: number;
  /** An eventfd for each worker: its own, and those it wakes others by */
  readonly wakeFds: readonly number[];
  /** Map of offloaded connections, the control thread's; undefined where none are to be */
  readonly flowsFd: number | undefined;
  /** A VmUse */
  readonly use: SharedArrayBuffer;
  /** A Handover */
  readonly handover: SharedArrayBuffer;
  /** A DescriptorSet: what the worker opens itself, for whoever closes it when the worker died */
  readonly descriptors: SharedArrayBuffer;
  /** When the switch started, `s` of the machine's clock, see HostPolicy */
  readonly startedSeconds: number;
}
