/** Firecracker's own configuration of a VM, as far as the switch needs it. */
import { TapswitchError } from '../errors.ts';

/**
 * Reads the first network interface of a Firecracker configuration.
 * @throws TapswitchError CONFIG_SYNTAX, CONFIG_INVALID
 */
export function readFirecracker(text: string): { tap: string; mac?: string; ip?: string } {
  let read: { 'network-interfaces'?: { host_dev_name?: unknown; guest_mac?: unknown }[] };
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new TapswitchError('CONFIG_SYNTAX', 'the file is not JSON', 'Correct it.', error);
  }
  const first = read?.['network-interfaces']?.[0];
  if (typeof first?.host_dev_name !== 'string') {
    throw new TapswitchError(
      'CONFIG_INVALID',
      'the file has no network-interfaces[0].host_dev_name',
      'Give a configuration that Firecracker takes with --config-file.',
    );
  }
  return {
    tap: first.host_dev_name,
    ...(typeof first.guest_mac === 'string' ? { mac: first.guest_mac } : {}),
  };
}
