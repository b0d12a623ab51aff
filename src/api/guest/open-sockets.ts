/**
 * The WebSockets into VMs, from the request for one to its close.
 *
 * Bound: MAX_SOCKETS_PER_VM. Those of a VM that goes end with 1011; at shutdown all end with 1001, those that still wait
 * for their VM with 503.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TapswitchError } from '../../errors.ts';
import { type Closing, closingOf } from './closing.ts';
import { shuttingDown } from './failure.ts';

export const MAX_SOCKETS_PER_VM = 256;
/** Time browsers have to answer a close frame at shutdown, `ms` */
const GRACE_MS = 2000;
const POLL_MS = 20;

/** One of them. What it does when it has to end changes as it comes up. */
export interface Slot {
  readonly vm: string;
  close(closing: Closing): void;
  /** Where nobody answered the close */
  terminate(): void;
}

export class OpenSockets {
  readonly #slots = new Set<Slot>();
  readonly #counts = new Map<string, number>();
  #closed = false;

  /** @throws TapswitchError FLOW_LIMIT, SWITCH_CLOSED */
  enter(slot: Slot): void {
    if (this.#closed) throw shuttingDown();
    const count = this.#counts.get(slot.vm) ?? 0;
    if (count >= MAX_SOCKETS_PER_VM) {
      const message = `VM ${slot.vm}: ${MAX_SOCKETS_PER_VM} WebSockets are open`;
      throw new TapswitchError('FLOW_LIMIT', message, 'Close some.');
    }
    this.#slots.add(slot);
    this.#counts.set(slot.vm, count + 1);
  }

  leave(slot: Slot): void {
    if (!this.#slots.delete(slot)) return;
    const left = (this.#counts.get(slot.vm) as number) - 1;
    if (left === 0) this.#counts.delete(slot.vm);
    else this.#counts.set(slot.vm, left);
  }

  closeVm(vm: string, closing: Closing): void {
    for (const slot of [...this.#slots]) {
      if (slot.vm === vm) slot.close(closing);
    }
  }

  /** Ends all, and lets none in any more. Resolves once they have gone, or their time is over. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const slot of [...this.#slots]) slot.close(closingOf(shuttingDown()));
    const deadline = Date.now() + GRACE_MS;
    while (this.#slots.size > 0 && Date.now() < deadline) await sleep(POLL_MS);
    for (const slot of [...this.#slots]) slot.terminate();
  }
}
