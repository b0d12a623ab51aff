/** A host with tapswitch on it, and guests behind veths or behind a real TAP that a process holds. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createSwitch, type PortState, type Switch } from 'tapswitch';
import type { ConfigInput, NetworkInput } from '../../src/config/schema.ts';
import { type NetnsGuest, startNetnsGuest } from '../../src/lab/netns-guest.ts';
import { inNamespace } from '../../src/sys/netns.ts';
import { createPersistentTap } from '../../src/sys/tun.ts';
import type { Station } from './frames.ts';
import type { Cleanup } from './net-cleanup.ts';
import { createPlace, kill, type Place } from './net-place.ts';

export const GATEWAY_IP = '192.168.0.1';
export const HOST_IP = '192.168.255.254';
export const HOST_PORT = 'tapsw0';

const VMM = fileURLToPath(new URL('net-vmm.mjs', import.meta.url));

/** Name of a VM's TAP: `fc-vm-14` for 192.168.0.14. */
export function tapOf({ ip }: Station): string {
  return `fc-vm-${ip.split('.').at(-1)}`;
}

/** The network of the README, its host port on `host`. */
export function network(
  host: Place,
  mode: 'isolated' | 'shared',
  allowFromGuests: string[] = [],
): NetworkInput {
  const hostPort = { name: HOST_PORT, address: HOST_IP, netns: host.path, allowFromGuests };
  // Router advertisements would give the guests routes that the scenes know nothing of.
  return { subnet: '192.168.0.0/16', subnet6: 'none', gateway: GATEWAY_IP, mode, hostPort };
}

/** Runs the switch in this process. */
export async function startSwitch(cleanup: Cleanup, config: ConfigInput): Promise<Switch> {
  const running = await createSwitch(config);
  cleanup.add(() => running.close());
  return running;
}

export interface GuestOptions {
  /** Serves pages on 6080 and 8080 */
  readonly services?: boolean;
}

function guestOptions(station: Station, { services = false }: GuestOptions) {
  return { name: tapOf(station), ...station, prefix: 16, gateway: GATEWAY_IP, services };
}

/** A guest behind a veth whose other end stands on `host` where its TAP would. */
export async function vethGuest(
  cleanup: Cleanup,
  host: Place,
  station: Station,
  options: GuestOptions = {},
): Promise<NetnsGuest> {
  const guest = await startNetnsGuest({
    ...guestOptions(station, options),
    hostNamespace: host.path,
    interfaceName: tapOf(station),
  });
  cleanup.add(() => guest.stop());
  await guest.ready();
  return guest;
}

export interface TapGuest {
  readonly guest: NetnsGuest;
  /** Ends the process that holds the TAP, as a VMM that crashes; the TAP stays */
  killVmm(): Promise<void>;
}

/** A guest behind a persistent TAP on `host`, which a process of its own holds as a VMM does. */
export async function tapGuest(
  cleanup: Cleanup,
  host: Place,
  station: Station,
  options: GuestOptions = {},
): Promise<TapGuest> {
  const tap = tapOf(station);
  inNamespace(host.path, () => createPersistentTap(tap));
  const inside = await createPlace(cleanup);
  const guest = await startNetnsGuest({
    ...guestOptions(station, options),
    hostNamespace: inside.path,
    interfaceName: 'vm',
  });
  cleanup.add(() => guest.stop());
  const vmm = host.spawn([process.execPath, VMM, tap, inside.path, 'vm'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup.add(() => kill(vmm));
  const [said] = await Promise.race([once(vmm.stdout as NodeJS.EventEmitter, 'data'), once(vmm, 'exit')]);
  if (String(said) !== 'up\n') throw new Error(`the TAP's holder ended with ${said}`);
  await guest.ready();
  return { guest, killVmm: () => kill(vmm) };
}

/** State of a VM that must be attached. */
export function port(running: Switch, id: string): PortState {
  const state = running.stats().vms[id];
  if (state === undefined) throw new Error(`no VM ${id}`);
  return state;
}
