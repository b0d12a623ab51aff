/**
 * Turns what the switch says, and what it counts, into events. The datapath tells nobody of single frames: what first
 * frames, learned addresses and drops are, is seen by looking at the counters once a second.
 */
import type { PortGlance } from '../index.ts';
import type { EventLog } from './event-log.ts';

/** Frames dropped within a second from which on they are worth an event */
const RISING_FRAMES = 10;
/** Refusals that the guest's user feels, each of which is worth one */
const FELT: readonly string[] = ['flow-limit', 'egress-denied', 'dns-unanswered', 'forward-unanswered'];
/** Pause between two events about the same reason at the same VM, `s` */
const QUIET_SECONDS = 30;

/** Looks after which what was counted is not recent any more, at the earliest; at twice as many for certain */
const RECENT_LOOKS = 30;

type Drops = PortGlance['drops'];

interface Seen {
  rxFrames: number;
  /** Looks since the last that saw new frames; undefined before the first */
  quietLooks: number | undefined;
  looks: number;
  /** What was dropped up to the beginning of the last window of looks, and of the one before it */
  windows: readonly [newer: Drops, older: Drops];
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
      seen = {
        rxFrames: 0,
        quietLooks: undefined,
        looks: 0,
        windows: [{}, {}],
        hasFrames: false,
        hasAddress: false,
        drops: new Map(),
        quiet: new Map(),
      };
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
    if (port.rxFrames > seen.rxFrames) seen.quietLooks = 0;
    else if (seen.quietLooks !== undefined) seen.quietLooks++;
    seen.rxFrames = port.rxFrames;
    if (++seen.looks % RECENT_LOOKS === 0) seen.windows = [port.drops, seen.windows[0]];
    const address = seen.hasFrames && !seen.hasAddress ? port.address() : undefined;
    if (address !== undefined) {
      seen.hasAddress = true;
      this.#events.add({ type: 'first-arp', vm, detail: `${address.ip} is at ${address.mac}` });
      if (address.leased) this.#events.add({ type: 'lease', vm, detail: address.ip });
    }
    for (const [reason, frames] of Object.entries(port.drops)) this.#drops(vm, seen, reason, frames);
  }

  /** Since the VM sent its last frame, `s`; undefined where it sent none. */
  quietSeconds(vm: string): number | undefined {
    return this.#seen.get(vm)?.quietLooks;
  }

  /** Frames of the VM dropped within the last half minute or whole one, by reason: of `drops`, what it has by now. */
  recentDrops(vm: string, drops: Drops): Record<string, number> {
    const before: Readonly<Record<string, number>> = this.#seen.get(vm)?.windows[1] ?? {};
    const recent: Record<string, number> = {};
    for (const [reason, frames] of Object.entries(drops)) {
      // A VM that was attached anew counts from nothing.
      const base = before[reason] ?? 0;
      const rise = frames < base ? frames : frames - base;
      if (rise > 0) recent[reason] = rise;
    }
    return recent;
  }

  #drops(vm: string, seen: Seen, reason: string, frames: number): void {
    const rise = frames - (seen.drops.get(reason) ?? 0);
    seen.drops.set(reason, frames);
    const quiet = (seen.quiet.get(reason) ?? 0) - 1;
    if (quiet > 0) seen.quiet.set(reason, quiet);
    else if (rise >= (FELT.includes(reason) ? 1 : RISING_FRAMES)) {
      seen.quiet.set(reason, QUIET_SECONDS);
      this.#events.add({ type: 'drops-rising', vm, reason, frames: rise });
    }
  }
}
