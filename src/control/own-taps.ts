/** The TAPs that were asked for together with their VMs: made, and removed again. */
import { INTERFACE_NAME_RULE, isInterfaceName } from '../config/names.ts';
import { withLinks } from '../engine/namespace.ts';
import { explaining } from '../engine/system-errors.ts';
import { TapswitchError } from '../errors.ts';
import type { Logger } from '../index.ts';
import type { VmRequest } from '../resources/resources.ts';
import { createPersistentTap, removePersistentTap, type TapOwner } from '../sys/tun.ts';
import { TapLedger } from './tap-ledger.ts';

/** Name of the TAP that is asked for. Throws CONFIG_INVALID. */
export function tapOf(id: string, request: VmRequest): string {
  const tap = request.tap ?? `fc-${id}`;
  if (isInterfaceName(tap)) return tap;
  throw new TapswitchError(
    'CONFIG_INVALID',
    `vms.${id}.tap: ${tap} is no interface name`,
    INTERFACE_NAME_RULE,
  );
}

export class OwnTaps {
  readonly #ledger: TapLedger;
  readonly #log: Logger;

  /** @param directory of the state, whose lock the caller has */
  constructor(directory: string, log: Logger) {
    this.#ledger = new TapLedger(directory);
    this.#log = log;
  }

  /** Names of those that are ours to remove. */
  get names(): ReadonlySet<string> {
    return this.#ledger.names;
  }

  /**
   * Makes the TAP of a VM where there is none.
   * @returns whether it was made
   * @throws TapswitchError CONFIG_INVALID for another namespace, CAPABILITY_MISSING, TUN_MISSING
   */
  make(id: string, tap: string, owner: TapOwner, netns: string | undefined): boolean {
    if (netns !== undefined) {
      if (withLinks(netns, (links) => links.linkByName(tap) !== undefined)) return false;
      const message = `vms.${id}.createTap: only in the daemon's own network namespace`;
      throw new TapswitchError('CONFIG_INVALID', message, 'Make the TAP there, and leave createTap out.');
    }
    const isOurs = this.names.has(tap);
    if (!isOurs) this.#ledger.add(tap);
    let made = false;
    try {
      made = explaining('CAP_NET_ADMIN', () => createPersistentTap(tap, owner));
      return made;
    } finally {
      if (!made && !isOurs) this.#ledger.remove(tap);
    }
  }

  /** Removes one that was made. One that somebody holds stays, and is tried again when we start the next time. */
  remove(tap: string): void {
    try {
      removePersistentTap(tap);
      this.#ledger.remove(tap);
    } catch (error) {
      this.#log.warn({ tap, err: (error as Error).message }, 'TAP stays: somebody holds it');
    }
  }
}
