/**
 * How VMs come to the switch: by what is stored of them, with what was chosen for them before; and why one that is known
 * could not be had when that was tried last.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Switch } from '../engine/switch.ts';
import { TapswitchError } from '../errors.ts';
import type { Allocation, Logger } from '../index.ts';
import type { VmRequest } from '../resources/resources.ts';
import { type OwnTaps, tapOf } from './own-taps.ts';
import type { StateStore, StoredVm } from './state-store.ts';

interface AttacherParts {
  readonly switch: Switch;
  readonly store: StateStore;
  readonly taps: OwnTaps;
}

export class Attacher {
  readonly #parts: AttacherParts;
  readonly #log: Logger;
  readonly #refusals = new Map<string, TapswitchError>();

  constructor(parts: AttacherParts, log: Logger) {
    this.#parts = parts;
    this.#log = log;
  }

  refusalOf(id: string): TapswitchError | undefined {
    return this.#refusals.get(id);
  }

  /** What hindered a VM before is over. */
  clear(id: string): void {
    this.#refusals.delete(id);
  }

  /** Keeps what was chosen for a VM until it is attached again. */
  keep(id: string, stored: StoredVm | undefined): void {
    const allocation = stored?.allocation ?? this.#parts.store.chosen.get(id);
    if (allocation !== undefined) this.#parts.switch.keep(id, allocation);
  }

  /** Stores what was chosen for a VM that is attached by the configuration; nobody waits for that. */
  store(id: string): void {
    this.#choose(id, this.#parts.switch.allocation(id));
  }

  /** Ends what is kept for a VM that goes. */
  forget(id: string): void {
    this.#parts.switch.forget(id);
    this.#choose(id, undefined);
  }

  /** Ends what is kept for VMs that went while there was no daemon. */
  forgetOthers(known: ReadonlyMap<string, unknown>): void {
    for (const id of [...this.#parts.store.chosen.keys()]) if (!known.has(id)) this.forget(id);
  }

  #choose(id: string, allocation: Allocation | undefined): void {
    const { store } = this.#parts;
    if (isDeepStrictEqual(store.chosen.get(id), allocation)) return;
    store.choose(id, allocation).catch((error: unknown) => {
      this.#log.warn({ vm: id, err: (error as Error).message }, 'what was chosen for a VM could not be kept');
    });
  }

  /** Makes the TAP where that is asked for and there is none; whether it did. */
  makeTap(id: string, { createTap, netns, ...request }: VmRequest): boolean {
    const tap = tapOf(id, request);
    return createTap === undefined ? false : this.#parts.taps.make(id, tap, createTap, netns);
  }

  /** Attaches a VM; what is to be stored of it then. */
  async attach(id: string, stored: StoredVm): Promise<StoredVm> {
    const { request, added, without = [] } = stored;
    const { createTap: _, tap: __, forwards = [], ...input } = request;
    const made = this.#parts.switch;
    this.keep(id, stored);
    const all = [...forwards, ...added];
    await made.attach(id, { ...input, tap: tapOf(id, request), forwards: all, without });
    return { ...stored, allocation: made.allocation(id) };
  }

  /** Attaches a VM that is in the store; what is stored of it then. */
  async attachAgain(id: string, stored: StoredVm): Promise<StoredVm> {
    const now = await this.attach(id, stored);
    if (!isDeepStrictEqual(now, stored)) await this.#parts.store.put(id, now);
    return now;
  }

  /** Tries to attach a VM that stays known where that cannot be done now. */
  async orWait(id: string, attach: () => Promise<void>): Promise<void> {
    this.#refusals.delete(id);
    try {
      await attach();
    } catch (error) {
      if (!(error instanceof TapswitchError)) throw error;
      this.#refusals.set(id, error);
      this.#log.warn({ vm: id, err: error.message, code: error.code }, 'VM is not attached yet');
    }
  }
}
