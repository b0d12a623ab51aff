/**
 * Turns what the switch says, and what it counts, into events. The datapath tells nobody of single frames: what first
 * frames, learned addresses and drops are, is seen by looking at the counters once a second.
 */
import type { PortGlance } from '../index.ts';
import type { EventLog } from './event-log.ts';

/** Frames dropped within a second from which on they are worth an event */
const RISING_FRAMES = 10;
/** Pause between two events about the same reason at the same VM, `s` */
const QUIET_SECONDS = 30;

interface Seen {
  rxFrames: number;
  hasFrames: boolean;
  hasAddress: boolean;
  readonly drops: Map<string, number>;
  /** Rounds until a reason is told of again */
  readonly quiet: Map<string, number>;
}

export class Observer {
  readonly #events: EventLog;
  readonly #seen = new Map<string, Seen>();

  constructor(events: EventLog) {
    this.#events = events;
  }

  /** The VM's TAP or carrier changed. */
  changed(vm: string, change: 'present' | 'absent' | 'up' | 'down'): void {
    if (change === 'up') {
      const seen = this.#of(vm);
      seen.hasFrames = false;
      seen.hasAddress = false;
    }
    const type =
      change === 'present' || change === 'absent' ? (`tap-${change}` as const) : (`vm-${change}` as const);
    this.#events.add({ type, vm });
  }

  forget(vm: string): void {
    this.#seen.delete(vm);
  }

  #of(vm: string): Seen {
    let seen = this.#seen.get(vm);
    if (seen === undefined) {
      seen = { rxFrames: 0, hasFrames: false, hasAddress: false, drops: new Map(), quiet: new Map() };
      this.#seen.set(vm, seen);
    }
    return seen;
  }

  /** Looks at a VM's counters; once a second. */
  look(vm: string, port: PortGlance): void {
    const seen = this.#of(vm);
    if (!seen.hasFrames && port.carrier && port.rxFrames > seen.rxFrames) {
      seen.hasFrames = true;
      this.#events.add({ type: 'first-frame', vm });
    }
    seen.rxFrames = port.rxFrames;
    const address = seen.hasFrames && !seen.hasAddress ? port.address() : undefined;
    if (address !== undefined) {
      seen.hasAddress = true;
      this.#events.add({ type: 'first-arp', vm, detail: `${address.ip} is at ${address.mac}` });
    }
    for (const [reason, frames] of Object.entries(port.drops)) this.#drops(vm, seen, reason, frames);
  }

  #drops(vm: string, seen: Seen, reason: string, frames: number): void {
    const rise = frames - (seen.drops.get(reason) ?? 0);
    seen.drops.set(reason, frames);
    const quiet = (seen.quiet.get(reason) ?? 0) - 1;
    if (quiet > 0) seen.quiet.set(reason, quiet);
    else if (rise >= RISING_FRAMES) {
      seen.quiet.set(reason, QUIET_SECONDS);
      this.#events.add({ type: 'drops-rising', vm, reason, frames: rise });
    }
  }
}
