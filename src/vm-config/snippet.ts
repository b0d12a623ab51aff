/** The part of a Firecracker VM's configuration that puts it on the switch. */
import type { FirecrackerSnippet } from '../resources/resources.ts';
import { bootArgs } from './boot-args.ts';
import type { GuestNetwork } from './guest-network.ts';

const INTERFACE = 'eth0';

/** `network-interfaces` as Firecracker takes it, and what to add to `boot-source.boot_args`. */
export function firecrackerSnippet(network: GuestNetwork): FirecrackerSnippet {
  const { tap, mac } = network;
  return {
    'network-interfaces': [
      { iface_id: INTERFACE, host_dev_name: tap, ...(mac !== undefined && { guest_mac: mac }) },
    ],
    boot_args: bootArgs(network),
  };
}
