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

/** Connections that the control thread makes have numbers from here downwards; -1 is a guest's own. */
export const FIRST_DIAL = -2;

/** Whether a flow's number is that of a connection the control thread makes. */
export function isDial(number: number): boolean {
  return number <= FIRST_DIAL;
}

/** A connection of the control thread's to a port of a VM. */
export interface DialBinding {
  /** See {@link FIRST_DIAL} */
  readonly number: number;
  /** The gateway's end of a stream; its to close */
  readonly fd: number;
  /** The VM's */
  readonly port: number;
  readonly guestPort: number;
  /** How long a VM that does not answer yet is waited for, `ms` */
  readonly waitMs: number;
}

/** What became of it: the guest has answered, or had the open connection reset; else why it could not be opened. */
export type DialNews = 'opened' | 'reset' | DropReason;
