/** What the gateway's services work with, the same for all of them. */
import type { Forwarder } from '../switch/forwarder.ts';
import type { Tables } from '../switch/tables.ts';
import type { Clock } from '../sys/clock.ts';
import type { CounterBlock } from '../telemetry/counters.ts';
import type { GatewayDns } from './dns/dns.ts';
import type { EgressPolicies } from './egress-policies.ts';
import type { FlowShare } from './flow-share.ts';
import type { DialNews, GivenUp } from './forward-binding.ts';
import type { HostServices } from './host-services.ts';
import type { Outbox } from './outbox.ts';
import type { Sockets } from './sockets.ts';
import type { Offloads } from './tcp/offload.ts';
import type { TimerWheel } from './timer-wheel.ts';
import type { Settle } from './udp/departures.ts';
import type { VmUse } from './vm-use.ts';

/** Counts a frame of the batch at hand as dropped, which is overwritten then by what answers it. */
export type Dropped = (slot: number, ingress: number, reason: number) => void;

export interface GatewayContext {
  readonly tables: Tables;
  readonly clock: Clock;
  readonly counters: CounterBlock;
  readonly forwarder: Forwarder;
  /** Frames of the gateway's own making */
  readonly outbox: Outbox;
  readonly timers: TimerWheel;
  /** Descriptors of the host's side */
  readonly sockets: Sockets;
  /** Where the VM on a port may go */
  readonly policies: EgressPolicies;
  /** What of the host is reachable at the gateway's address */
  readonly services: HostServices;
  readonly dns: GatewayDns;
  /** Which flows are this worker's */
  readonly share: FlowShare;
  /** What the VMs take of what is bounded, over all workers */
  readonly use: VmUse;
  /** Tells whoever keeps the log; a few a second for each VM at most */
  readonly gaveUp: (what: GivenUp) => void;
  /** Tells what became of a connection of the control thread's; each of them */
  readonly dialed: (number: number, news: DialNews) => void;
  /** Tells of the first connection of the host's that a port of a guest took, since its flows were last ended */
  readonly reached: (port: number, guestPort: number) => void;
  /** How the kernel takes connections over; undefined where it is not to */
  readonly offloads?: Offloads | undefined;
  readonly dropped: Dropped;
  /** Carries out the verdict about a frame of the batch at hand that was kept at first */
  readonly settle: Settle;
}
