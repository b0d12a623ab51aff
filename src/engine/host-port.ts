/**
 * The host port: a TAP the switch holds itself, through which the host is on the guests' network.
 *
 * It is persistent and its MAC follows from its name, so that a restart of the switch changes nothing for the host
 * or the guests: interface, address, route and ARP entries stay. Somebody who deletes the interface gets it back.
 */

import type { HostPortConfig, NetworkConfig } from '../config/resolve.ts';
import { TapswitchError } from '../errors.ts';
import { ADDRESS_CONFIGURED, KIND_HOST } from '../switch/tables.ts';
import { nowSeconds } from '../sys/clock.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { LinkStatistics } from '../sys/link-statistics.ts';
import type { Link } from '../sys/rtnetlink.ts';
import { openPersistentTap } from '../sys/tun.ts';
import { DROP } from '../telemetry/drops.ts';
import type { Logger } from '../telemetry/logger.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import { formatMac, macHigh, macLow } from '../wire/mac.ts';
import { DeviceDrops } from './device-drops.ts';
import type { Engine } from './engine.ts';
import { findTapHolder } from './holder.ts';
import { withLinks } from './namespace.ts';

/** Frames the kernel queues towards the switch: as many as an ordinary interface has. */
const QUEUE_FRAMES = 1000;
// Locally administered; the lower four bytes come from the name.
const MAC_PREFIX = 0x0270_0000_0000;

/** MAC of the host port called `name`, 48 bits: always the same for one name (FNV-1a). */
export function hostPortMac(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return MAC_PREFIX + (hash >>> 0);
}

function held(name: string, netns: string | undefined, error: SysError): TapswitchError {
  const holder = findTapHolder(name, netns);
  const who = holder ? `process ${holder.pid} (${holder.command})` : 'another process';
  return new TapswitchError(
    'TAP_HELD',
    `${name} is held by ${who}`,
    'End that process (another tapswitch?), or give the host port another name.',
    error,
  );
}

function notOurs(name: string, error: SysError): TapswitchError {
  return new TapswitchError(
    'TAP_IN_USE',
    `${name} exists and is not a TAP that can be the host port`,
    'Give the host port another name, or remove that interface.',
    error,
  );
}

interface OpenHostPort {
  readonly fd: number;
  readonly index: number;
  readonly statistics: LinkStatistics;
  /** What the host sent and the interface dropped, since nothing took it in time */
  readonly drops: DeviceDrops;
  /** The interface was not there before */
  readonly made: boolean;
}

/** Opens and sets up the interface. Throws TAP_HELD, TAP_IN_USE, TUN_MISSING, CAPABILITY_MISSING, NAMESPACE_MISSING. */
function openInterface(network: NetworkConfig, hostPort: HostPortConfig): OpenHostPort {
  return withLinks(hostPort.netns, (links) => {
    const made = links.linkByName(hostPort.name) === undefined;
    let fd: number;
    let statistics: LinkStatistics | undefined;
    try {
      fd = openPersistentTap(hostPort.name);
    } catch (error) {
      if (error instanceof SysError && error.code === 'EBUSY')
        throw held(hostPort.name, hostPort.netns, error);
      if (error instanceof SysError && error.code === 'EINVAL') throw notOurs(hostPort.name, error);
      throw error;
    }
    try {
      const link = links.linkByName(hostPort.name);
      if (link === undefined) throw new Error(`${hostPort.name} vanished while it was opened`);
      const mac = formatMac(hostPortMac(hostPort.name));
      const changes = { mtu: hostPort.mtu, txQueueLength: QUEUE_FRAMES, addrGenMode: 'none' } as const;
      links.changeLink(link.index, link.mac === mac ? changes : { ...changes, mac });
      links.changeLink(link.index, { up: true });
      links.addAddress(link.index, `${formatIpv4(hostPort.address)}/${network.subnet.prefix}`);
      statistics = new LinkStatistics();
      const drops = new DeviceDrops(statistics, link.index, 0, 0);
      return { fd, index: link.index, statistics, drops, made };
    } catch (error) {
      statistics?.close();
      close(fd);
      throw error;
    }
  });
}

function release({ fd, statistics }: OpenHostPort): void {
  statistics.close();
  close(fd);
}

export interface HostPortOptions {
  readonly engine: Engine;
  readonly network: NetworkConfig;
  readonly config: HostPortConfig;
  /** Number of the network */
  readonly id: number;
  readonly log: Logger;
}

export class HostPort {
  readonly network: NetworkConfig;
  readonly config: HostPortConfig;
  readonly number: number;
  readonly #options: HostPortOptions;
  readonly #log: Logger;
  #open: OpenHostPort | undefined;
  #work: Promise<void> = Promise.resolve();
  #made = false;
  #closed = false;

  /** Reserves a port number; the interface is not touched yet. */
  constructor(options: HostPortOptions) {
    this.#options = options;
    this.network = options.network;
    this.config = options.config;
    this.#log = options.log.child({ port: options.config.name });
    this.number = options.engine.reservePort();
  }

  /** Index of the interface while it is plugged in */
  get index(): number | undefined {
    return this.#open?.index;
  }

  get plugged(): boolean {
    return this.#open !== undefined;
  }

  /** Opens the interface and plugs it in. Throws what the system refuses, see {@link openInterface}. */
  async open(): Promise<void> {
    const { engine, id } = this.#options;
    const { tables } = engine;
    const { name, address, allowFromGuests } = this.config;
    this.#open = openInterface(this.network, this.config);
    this.#made = this.#open.made;
    const mac = hostPortMac(name);
    tables.addPort(this.number, KIND_HOST, id);
    tables.bindMac(this.number, macHigh(mac), macLow(mac), ADDRESS_CONFIGURED, nowSeconds());
    for (const { protocol, port } of allowFromGuests) tables.allowFromGuests(id, protocol, port);
    tables.setHostPort(id, this.number, address | 0);
    await this.#plug(this.#open.fd);
    this.#log.info({ address: formatIpv4(address) }, 'host port open');
  }

  async #plug(fd: number): Promise<void> {
    const { engine, id } = this.#options;
    engine.tables.setCarrier(this.number, true);
    await engine.plug(this.number, { network: id, kind: 'tap', fds: [fd] });
  }

  /** Adds to the port's counters what the datapath could not see: frames of the host's that were lost before it. */
  collect(): void {
    // None of them are ours: what the datapath sends goes the other way.
    const lost = this.#open?.drops.take(() => 0) ?? 0;
    if (lost > 0) this.#options.engine.own.dropped(this.number, DROP['receive-overflow'], lost);
  }

  /** Takes note of news of the interface: changed, come back, or gone (`undefined`). */
  hear(link: Link | undefined): void {
    this.#work = this.#work
      .then(() => this.#follow(link))
      .catch((error: unknown) => this.#log.error({ err: error }, 'host port could not be made again'));
  }

  async #follow(link: Link | undefined): Promise<void> {
    if (this.#closed || (this.#open !== undefined && link?.index === this.#open.index)) return;
    const { engine } = this.#options;
    const gone = this.#open;
    this.#open = undefined;
    if (gone !== undefined) {
      engine.tables.setCarrier(this.number, false);
      await engine.unplug(this.number);
      release(gone);
    }
    this.#open = openInterface(this.network, this.config);
    await this.#plug(this.#open.fd);
    this.#log.warn('the host port was deleted by somebody and has been made again');
  }

  /** Removes the interface if this switch made it: for a start that failed. To be called after {@link close}. */
  undo(): void {
    if (this.#made) this.#removeInterface();
  }

  #removeInterface(): void {
    withLinks(this.config.netns, (links) => {
      const link = links.linkByName(this.config.name);
      if (link !== undefined) links.deleteLink(link.index);
    });
  }

  /** Ends the host port for good while the switch goes on, and removes its interface, if it ever had it. */
  async end(): Promise<void> {
    const { engine, id } = this.#options;
    this.#closed = true;
    await this.#work;
    if (this.#open !== undefined) {
      engine.tables.setCarrier(this.number, false);
      await engine.unplug(this.number);
      engine.tables.removeHostPort(id);
      engine.tables.removePort(this.number);
      release(this.#open);
      this.#open = undefined;
      this.#removeInterface();
    }
    engine.releasePort(this.number);
  }

  /** Closes the descriptor; the interface stays. To be called when no worker runs any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#work;
    if (this.#open !== undefined) release(this.#open);
    this.#open = undefined;
  }
}
