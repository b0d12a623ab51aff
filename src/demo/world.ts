/**
 * What the demo plays in: a "host" (a network namespace made for it, or with `onHost` the real one), the switch on
 * it, and two guests. Everything that is made is put on a list and unmade in reverse order, however the demo ends; a
 * namespace of ours takes with it whatever is left.
 */
import { networkInterfaces } from 'node:os';
import { resolveConfig } from '../config/resolve.ts';
import type { VmInput } from '../config/schema.ts';
import { startSwitch } from '../engine/create-switch.ts';
import type { Switch } from '../engine/switch.ts';
import { explaining } from '../engine/system-errors.ts';
import { type Guest, type GuestIdentity, GuestUnavailable, type Progress } from '../lab/guest.ts';
import { ensureKernel } from '../lab/kernel.ts';
import { indexOf, type NetnsGuest, startNetnsGuest, withRoutes } from '../lab/netns-guest.ts';
import { qemuAvailable, startQemuGuest } from '../lab/qemu-guest.ts';
import { createNamespace, inNamespace } from '../sys/netns.ts';
import { createPersistentTap, removePersistentTap } from '../sys/tun.ts';
import type { Logger } from '../telemetry/logger.ts';

export const GATEWAY = '192.168.0.1';
export const HOST_PORT = 'tapsw0';
const SUBNET = '192.168.0.0/16';
const HOST_PORT_ADDRESS = '192.168.255.254';
/** An address of the host that no guest may reach, in a namespace that has no other. */
const OTHER_ADDRESS = '172.31.255.1';
/** A network beside the guests', for measuring throughput between namespaces. */
export const SPEED_NETWORK = { name: 'speed', subnet: '10.99.0.0/24', gateway: '10.99.0.254', prefix: 24 };

/** The host's ports are left to the switch: it takes the same ones every time, if they are free. */
const FORWARDS = ['0:6080', '0:8080'];

export const VMS: readonly (GuestIdentity & { readonly tap: string })[] = [
  {
    name: 'vm-02018',
    tap: 'fc-vm-02018',
    mac: '06:00:c0:a8:00:0e',
    ip: '192.168.0.14',
    prefix: 16,
    gateway: GATEWAY,
  },
  {
    name: 'vm-02019',
    tap: 'fc-vm-02019',
    mac: '06:00:c0:a8:00:0f',
    ip: '192.168.0.15',
    prefix: 16,
    gateway: GATEWAY,
  },
];

export interface WorldOptions {
  readonly mode: 'isolated' | 'shared';
  readonly guests: 'qemu' | 'netns';
  readonly onHost: boolean;
  readonly log: Logger;
  readonly onProgress: Progress;
}

export class World {
  /** Path of the namespace that plays the host, undefined for the real one */
  host: string | undefined;
  /** An address of the host that is not the host port's */
  otherAddress = OTHER_ADDRESS;
  readonly guests: Guest[] = [];
  readonly #options: WorldOptions;
  readonly #undo: (() => unknown)[] = [];
  #switch: Switch | undefined;
  #making: Promise<unknown> = Promise.resolve();
  #ended = false;

  constructor(options: WorldOptions) {
    this.#options = options;
  }

  get switch(): Switch {
    if (this.#switch === undefined) throw new Error('the switch has not been started');
    return this.#switch;
  }

  /** Leaves `step` to be done when the world ends. */
  atEnd(step: () => unknown): void {
    this.#undo.push(step);
  }

  /**
   * Runs a step that makes something and leaves what unmakes it. None begins once the world ends, and the end waits for
   * the one under way: nothing is made that nobody will unmake.
   */
  async make<T>(step: () => Promise<T>): Promise<T> {
    if (this.#ended) throw new Error('the demo has been ended');
    const made = step();
    this.#making = made.catch(() => {});
    return made;
  }

  /** Makes the host, the TAPs, the switch and the guests, and waits until the guests' services are up. */
  async build(): Promise<void> {
    const { onProgress, guests } = this.#options;
    this.#makeHost();
    if (guests === 'qemu') for (const vm of VMS) this.#makeTap(vm.tap);
    else await this.#startGuests();
    onProgress('starting the switch');
    await this.make(async () => {
      this.#switch = await this.#startSwitch();
      this.atEnd(() => this.#switch?.close());
    });
    this.#raiseLoopback();
    for (const { name, tap, mac, ip } of VMS) await this.#attach(name, { tap, mac, ip, forwards: FORWARDS });
    if (guests === 'qemu') await this.#startGuests();
    await Promise.all(this.guests.map((guest) => guest.ready()));
  }

  #makeHost(): void {
    const { onHost } = this.#options;
    if (onHost) {
      const addresses = Object.values(networkInterfaces()).flat();
      const other = addresses.find((address) => address?.family === 'IPv4' && !address.internal);
      if (other) this.otherAddress = other.address;
      return;
    }
    const namespace = explaining('CAP_SYS_ADMIN', createNamespace);
    this.host = namespace.path;
    this.atEnd(() => namespace.close());
    withRoutes(this.host, (routes) => {
      const loopback = indexOf(routes, 'lo');
      routes.changeLink(loopback, { up: true });
      routes.addAddress(loopback, `${OTHER_ADDRESS}/32`);
    });
  }

  /** Forwards listen on our own loopback, which is down where a namespace was made for us alone. */
  #raiseLoopback(): void {
    withRoutes(undefined, (routes) => {
      const loopback = routes.linkByName('lo');
      if (loopback !== undefined && !loopback.up) routes.changeLink(loopback.index, { up: true });
    });
  }

  #makeTap(name: string): void {
    this.#options.onProgress(`making TAP ${name}`);
    explaining('CAP_NET_ADMIN', () => inNamespace(this.host, () => createPersistentTap(name)));
    this.atEnd(() => inNamespace(this.host, () => removePersistentTap(name)));
  }

  /** `netns` of a configuration, for what is on the host. */
  #place(): { netns?: string } {
    return this.host === undefined ? {} : { netns: this.host };
  }

  async #startSwitch(): Promise<Switch> {
    const existed = withRoutes(this.host, (routes) => routes.linkByName(HOST_PORT)) !== undefined;
    if (!existed) this.atEnd(() => this.removeLink(HOST_PORT));
    const config = resolveConfig({
      networks: {
        default: {
          subnet: SUBNET,
          gateway: GATEWAY,
          mode: this.#options.mode,
          hostPort: { name: HOST_PORT, address: HOST_PORT_ADDRESS, ...this.#place() },
        },
        [SPEED_NETWORK.name]: {
          subnet: SPEED_NETWORK.subnet,
          gateway: SPEED_NETWORK.gateway,
          mode: 'shared',
        },
      },
    });
    return startSwitch(config, this.#options.log);
  }

  async #attach(id: string, vm: VmInput): Promise<void> {
    await this.make(async () => {
      await this.switch.attach(id, { ...vm, ...this.#place() });
      this.atEnd(() => this.switch.detach(id));
    });
  }

  /** Removes an interface of the host, if it is there. */
  removeLink(name: string): void {
    withRoutes(this.host, (routes) => {
      const link = routes.linkByName(name);
      if (link !== undefined) routes.deleteLink(link.index);
    });
  }

  async #startGuests(): Promise<void> {
    const { guests, onProgress } = this.#options;
    const place = this.host === undefined ? {} : { namespace: this.host };
    for (const { tap, ...identity } of VMS) {
      if (guests === 'netns') {
        this.guests.push(await this.startNetnsGuest({ ...identity, interfaceName: tap, services: true }));
        continue;
      }
      await this.make(async () => {
        const guest = await startQemuGuest({ ...identity, tap, onProgress, ...place });
        this.guests.push(guest);
        this.atEnd(() => guest.stop());
      });
    }
  }

  /** Starts a guest that is a namespace, behind an interface of the host. */
  async startNetnsGuest(
    options: Omit<Parameters<typeof startNetnsGuest>[0], 'hostNamespace'>,
  ): Promise<NetnsGuest> {
    const place = this.host === undefined ? {} : { hostNamespace: this.host };
    return this.make(async () => {
      const guest = await startNetnsGuest({ ...options, ...place });
      this.atEnd(() => guest.stop());
      return guest;
    });
  }

  /** Attaches an interface of the host to the network for measuring. */
  async attachSpeed(tap: string, ip: string): Promise<void> {
    await this.#attach(tap, { tap, ip, network: SPEED_NETWORK.name });
  }

  /** Unmakes everything, the last thing made first. A step that fails does not keep the others from being done. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#making;
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) {
      try {
        await step();
      } catch (error) {
        this.#options.log.error({ err: error }, 'clean-up step failed');
      }
    }
  }
}

/** Which kind of guest can be had here, and why not the better one. Fetches the better one's kernel. */
export async function chooseGuests(
  onProgress: Progress,
): Promise<{ guests: 'qemu' | 'netns'; reason?: string }> {
  const available = await qemuAvailable();
  if (!available.ok) return { guests: 'netns', reason: available.reason };
  try {
    await ensureKernel(onProgress);
    return { guests: 'qemu' };
  } catch (error) {
    if (error instanceof GuestUnavailable) return { guests: 'netns', reason: error.message };
    throw error;
  }
}
