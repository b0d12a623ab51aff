/** How a switch comes to be: from the options of a library user, or from a configuration that is checked already. */
import type { Allocation } from '../config/allocations.ts';
import { resolveConfig, type SwitchConfig } from '../config/resolve.ts';
import { type Logger, silentLogger } from '../telemetry/logger.ts';
import { Switch } from './switch.ts';
import type { SwitchEvents, SwitchOptions } from './switch-types.ts';

/**
 * Makes a switch and starts it.
 *
 * ```ts
 * import { createSwitch } from 'tapswitch';
 *
 * const sw = await createSwitch({
 *   networks: { default: { subnet: '192.168.0.0/16', gateway: '192.168.0.1' } },
 * });
 * await sw.attach('vm-02018', { tap: 'fc-vm-02018', ip: '192.168.0.14' });
 * console.log(sw.stats().vms['vm-02018']?.carrier);
 * await sw.close();
 * ```
 *
 * @throws TapswitchError for a wrong configuration and for whatever the system refuses; nothing runs then
 */
export async function createSwitch(options: SwitchOptions): Promise<Switch> {
  const { logger, ...input } = options ?? {};
  return startSwitch(resolveConfig(input), logger ?? silentLogger());
}

/**
 * {@link createSwitch} for a configuration that is checked already.
 * @param kept what was chosen before for VMs, of the configuration or to be attached later
 */
export async function startSwitch(
  config: SwitchConfig,
  log: Logger,
  events: SwitchEvents = {},
  kept: ReadonlyMap<string, Allocation> = new Map(),
): Promise<Switch> {
  const made = new Switch(config, log, events);
  try {
    for (const [id, allocation] of kept) made.keep(id, allocation);
    await made.start();
    return made;
  } catch (error) {
    // What went wrong first is what the caller must hear.
    await made.abandon().catch((next: unknown) => log.error({ err: next }, 'clean-up after a failed start'));
    throw error;
  }
}
