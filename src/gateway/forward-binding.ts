import type { DropReason } from '../telemetry/drops.ts';

/** A forward's connection that was reset since the VM was not to be had. */
export interface GivenUp {
  /** The forward's number */
  readonly forward: number;
  readonly reason: DropReason;
  /** How long it was held, `ms` */
  readonly waitedMs: number;
}

/** A listening socket of the host that leads into a VM. */
export interface ForwardBinding {
  /** The forward's number, its name between the threads */
  readonly number: number;
  /** The control thread's */
  readonly fd: number;
  readonly protocol: 'tcp' | 'udp';
  /** The VM's */
  readonly port: number;
  readonly guestPort: number;
  /** How long a connection is held for a VM that does not answer yet, `ms` */
  readonly waitMs: number;
}
