/**
 * What a guest of the lab is, whatever carries it (QEMU or a network namespace). Every guest answers ping, serves a
 * page naming it on TCP 6080 and one JSON line at `/health` on TCP 8080, and runs shell commands for a test.
 */
import { TapswitchError } from '../errors.ts';
import type { Outcome } from './process.ts';

/** Told what is being done, one short line a step. */
export type Progress = (message: string) => void;

/** Name, link and addresses of a guest. */
export interface GuestIdentity {
  /** Host name inside the guest */
  readonly name: string;
  readonly mac: string;
  /** IPv4 address, dotted quad */
  readonly ip: string;
  /** Prefix length of its subnet, bits */
  readonly prefix: number;
  readonly gateway: string;
}

export interface Guest {
  readonly name: string;
  /** Process that holds the guest's end of the link */
  readonly pid: number;
  /** Resolves once both services listen; rejects after `timeoutMs` or as soon as the guest has ended. */
  ready(timeoutMs?: number): Promise<void>;
  /**
   * Runs a shell command inside the guest, next to others that are still running; status 137 when it took longer
   * than `timeoutMs`. Rejects when the guest ends or does not answer.
   */
  run(command: string, timeoutMs?: number): Promise<Outcome>;
  /** Ends the guest and resolves when nothing of it is left. Any number of calls. */
  stop(): Promise<void>;
  /** What the guest has printed so far, its latest part when that is long */
  console(): string;
}

/** A kind of guest that cannot be had on this machine; the message says why, for a caller that has another kind. */
export class GuestUnavailable extends TapswitchError {
  constructor(reason: string, cause?: unknown) {
    const nextStep = 'Use namespaces as guests (--guests netns), or provide what is missing.';
    super('GUEST_UNAVAILABLE', reason, nextStep, cause);
    this.name = 'GuestUnavailable';
  }
}
