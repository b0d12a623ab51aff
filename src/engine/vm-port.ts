/**
 * One VM's port over its life: the TAP comes, gets a carrier when a VMM opens it, loses it, goes, and comes back; the
 * port's number, counters and configured addresses stay.
 *
 *     absent --TAP there--> plugged --VMM opens it--> carrier
 *        ^                     |  <--VMM ends---         |
 *        +------TAP gone-------+-------------------------+
 *
 * Changes are carried out one after the other, in the order they were heard of. When a TAP comes back and cannot be
 * opened, the port stays absent and the log says why; the next news of it is the next attempt.
 */
import type { FlowLimits } from '../config/network.ts';
import type { VmConfig } from '../config/resolve.ts';
import { TapswitchError } from '../errors.ts';
import { type FastPath, type FastPort, SNIFFED_BYTES } from '../fastpath/fast-path.ts';
import type { OffloadGrant } from '../fastpath/flow-entry.ts';
import type { FlowOffload } from '../fastpath/flow-offload.ts';
import type { FaultPlan } from '../port/faulty-port.ts';
import type { GuardKind } from '../port/guard.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../switch/gateway-mac.ts';
import { ADDRESS_CONFIGURED, ADDRESS_UNKNOWN, KIND_VM } from '../switch/tables.ts';
import { nowSeconds } from '../sys/clock.ts';
import { closeAside } from '../sys/close-aside.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { openPacketRing } from '../sys/packet-ring.ts';
import { takeReceiveOverflow } from '../sys/packet-socket.ts';
import type { Link } from '../sys/rtnetlink.ts';
import { DROP } from '../telemetry/drops.ts';
import type { Logger } from '../telemetry/logger.ts';
import { macHigh, macLow, macOf } from '../wire/mac.ts';
import type { Wanted } from './captures.ts';
import { DeviceDrops } from './device-drops.ts';
import type { Engine } from './engine.ts';
import { within } from './namespace.ts';
import { prepareOffload } from './offloading.ts';
import { hasCarrier, type OpenTap, openVmTap } from './vm-tap.ts';
import type { VmRecord } from './worker-thread.ts';

const GATEWAY_MAC = macOf(GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW);

export interface VmPortOptions {
  readonly engine: Engine;
  readonly vm: VmConfig;
  /** Number of the VM's network */
  readonly network: number;
  readonly guard: GuardKind | undefined;
  readonly faults: FaultPlan | undefined;
  /** Where the VM may go at the moment: words of an EgressPolicy */
  readonly policy: () => Int32Array;
  /** What its flows may take at the moment */
  readonly limits: () => FlowLimits;
  /** Of the VM's namespace; undefined when its frames are all to pass through the datapath */
  readonly fastPath: FastPath | undefined;
  /** Undefined when its connections are all to end in the datapath */
  readonly offload: FlowOffload | undefined;
  /** What captures want of its frames at the moment: whole ones pass through the datapath */
  readonly captured: () => Wanted;
  readonly log: Logger;
  /** Told when the TAP comes or goes, and its carrier */
  readonly changed: (change: 'present' | 'absent' | 'up' | 'down') => void;
}

export class VmPort {
  readonly vm: VmConfig;
  readonly number: number;
  readonly #options: VmPortOptions;
  readonly #log: Logger;
  #tap: OpenTap | undefined;
  #deviceDrops: DeviceDrops | undefined;
  readonly #refused = (): number => this.#options.engine.refusals(this.number);
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  /** Reserves a port number and makes the VM known to the switch; its TAP is not touched yet. */
  constructor(options: VmPortOptions) {
    const { engine, vm, network } = options;
    this.#options = options;
    this.vm = vm;
    this.#log = options.log.child({ vm: vm.id, port: vm.tap });
    this.number = engine.reservePort();
    const { tables } = engine;
    const now = nowSeconds();
    tables.addPort(this.number, KIND_VM, network);
    const { mac, ip, ip6 } = vm;
    const macFree =
      mac === undefined ||
      (mac !== GATEWAY_MAC &&
        tables.bindMac(this.number, macHigh(mac), macLow(mac), ADDRESS_CONFIGURED, now));
    const ipFree = ip === undefined || tables.bindIp(this.number, ip | 0, ADDRESS_CONFIGURED, now);
    const ip6Free = ip6 === undefined || tables.bindIpv6(this.number, ...ip6, ADDRESS_CONFIGURED);
    if (macFree && ipFree && ip6Free) return;
    tables.removePort(this.number);
    engine.releasePort(this.number);
    throw new TapswitchError(
      macFree ? 'ADDRESS_IN_USE' : 'MAC_IN_USE',
      `VM ${vm.id}: its ${macFree ? 'address' : 'MAC'} is another port's`,
      'Give each VM addresses of its own; the gateway and the host port have theirs.',
    );
  }

  /** Index of the TAP while it is plugged in */
  get index(): number | undefined {
    return this.#tap?.index;
  }

  get plugged(): boolean {
    return this.#tap !== undefined;
  }

  #enqueue(step: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(step, step);
    return this.#work;
  }

  /** Opens the TAP and plugs it in. Throws what {@link openVmTap} throws, and SWITCH_CLOSED once the port is closed. */
  open(): Promise<void> {
    return this.#enqueue(async () => {
      if (!this.#closed) return this.#plug();
      throw new TapswitchError(
        'SWITCH_CLOSED',
        `VM ${this.vm.id} was detached, or the switch closed, before its TAP was open`,
        'Attach it again.',
      );
    });
  }

  async #plug(): Promise<void> {
    if (this.#tap !== undefined) return;
    const { engine, network, guard, faults } = this.#options;
    // Impairments have one view of what passes, or they would not be what was asked for.
    const count = faults === undefined ? engine.workers().length : 1;
    const tap = openVmTap(this.vm, guard, { count, home: engine.homeOf(this.number) });
    this.#tap = tap;
    try {
      if (tap.statistics !== undefined) {
        const threads = engine.workers().length;
        this.#deviceDrops = new DeviceDrops(tap.statistics, tap.index, this.#refused(), threads);
      }
      this.#joinFastPath(tap);
      const vm = this.#record();
      await engine.plug(this.number, { network, kind: 'packet', fds: tap.fds, faults, vm });
    } catch (error) {
      await this.#unplug();
      throw error;
    }
    this.#log.info({ ifindex: tap.index, carrier: tap.carrier }, 'port plugged in');
    this.#options.changed('present');
    await this.#setCarrier(tap.carrier);
  }

  #record(): VmRecord {
    this.#options.engine.setLimits(this.number, this.#options.limits());
    return { name: this.vm.id, policy: this.#options.policy() };
  }

  /** Tells the datapath where the VM may go by now. What is not plugged in is told when it is. */
  refreshPolicy(): void {
    if (this.#tap === undefined) return;
    this.#options.engine.describe(this.number, this.#record()).catch((error: unknown) => {
      this.#log.error({ err: error }, 'outbound rules could not be brought up to date');
    });
  }

  /** Without it nothing is lost but speed. */
  #joinFastPath(tap: OpenTap): void {
    try {
      this.#options.fastPath?.attach(tap.index, tap.fds);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#log.warn({ err: error.message }, 'no fast path for this port');
    }
  }

  async #unplug(): Promise<void> {
    const tap = this.#tap;
    if (tap === undefined) return;
    try {
      await this.#setCarrier(false);
      this.collect();
      this.#options.fastPath?.detach(tap.index);
      this.#options.offload?.detach(tap.index);
    } finally {
      this.#tap = undefined;
      this.#deviceDrops = undefined;
      tap.statistics?.close();
      await this.#options.engine.unplug(this.number);
      await Promise.all(tap.fds.map(closeAside));
    }
  }

  async #setCarrier(carrier: boolean): Promise<void> {
    const { engine } = this.#options;
    if (engine.tables.carrier(this.number) === carrier) return;
    engine.tables.setCarrier(this.number, carrier);
    this.#log.info({ carrier }, carrier ? 'carrier up' : 'carrier down');
    // When it comes, too: frames of whoever was there before may have been handled after it went.
    engine.tables.forgetLearned(this.number);
    this.refreshFastPath();
    this.#options.changed(carrier ? 'up' : 'down');
    if (carrier) await this.announce();
    else await engine.reset(this.number);
  }

  /** Tells the guest who has the addresses of gateway and host port. */
  announce(): Promise<void> {
    return this.#options.engine.announce(this.number);
  }

  /** Tells the fast path what is known of the VM by now: what the datapath has learned comes without a word. */
  refreshFastPath(): void {
    const { engine, fastPath } = this.#options;
    if (this.#tap === undefined || fastPath === undefined) return;
    const port = this.#fastPort();
    fastPath.update(this.#tap.index, port);
    // The datapath sees no frames that would keep a learned MAC from ageing.
    if (port !== undefined) engine.tables.refreshMac(this.number, nowSeconds());
  }

  /** Whether the kernel hands its unicast IPv4 frames over, to others of whom the same is true. */
  get onFastPath(): boolean {
    return this.mayTakeFastPath && this.#fastPort() !== undefined;
  }

  /** It is plugged in where there is a fast path. */
  get mayTakeFastPath(): boolean {
    return this.plugged && this.#options.fastPath !== undefined;
  }

  /** Connections of it are, or were lately, or are about to be, carried by the kernel. */
  get isOffloading(): boolean {
    return this.#tap !== undefined && this.#options.offload?.isAt(this.#tap.index) === true;
  }

  /** Readies everything for the kernel to carry a connection, see {@link prepareOffload}. Undefined where it may not. */
  mayOffload(local: number, remote: number): OffloadGrant | undefined {
    const { offload, fastPath, captured } = this.#options;
    if (offload === undefined || this.#tap === undefined || captured() !== 'nothing') return undefined;
    try {
      // Where there is a fast path, its filter knows of them.
      if (fastPath === undefined && !this.isOffloading) offload.filter(this.#tap.fds);
      return prepareOffload(offload, this.#tap.index, local, remote);
    } catch (error) {
      this.#log.warn({ err: (error as Error).message }, 'a connection cannot be offloaded');
      return undefined;
    }
  }

  /**
   * Opens a socket that looks on at what the fast path takes past the datapath, in and out by the interface. Undefined
   * where there is nothing to see, or it cannot be had, which is logged.
   */
  openSniffer(): number | undefined {
    const { fastPath, offload } = this.#options;
    const index = this.#tap?.index;
    if (index === undefined) return undefined;
    let fd = -1;
    try {
      fd = within(this.vm.netns, () => openPacketRing(index));
      if (fastPath !== undefined) fastPath.sniff(fd);
      else offload?.sniff(fd, SNIFFED_BYTES);
      return fd;
    } catch (error) {
      if (fd >= 0) close(fd);
      this.#log.warn({ err: (error as Error).message }, 'captures do not see what the kernel hands over');
      return undefined;
    }
  }

  /** {@link refreshFastPath} where nobody waits for the outcome. */
  keepFastPath(): void {
    try {
      this.refreshFastPath();
    } catch (error) {
      this.#log.error({ err: error }, 'fast path could not be brought up to date');
    }
  }

  #fastPort(): FastPort | undefined {
    const { engine, network } = this.#options;
    const { tables } = engine;
    const known =
      tables.macState(this.number) !== ADDRESS_UNKNOWN && tables.ipState(this.number) !== ADDRESS_UNKNOWN;
    if (!known || !tables.carrier(this.number) || this.#options.captured() === 'whole') return undefined;
    return {
      network,
      macHigh: tables.macHigh(this.number),
      macLow: tables.macLow(this.number),
      address: tables.ip(this.number),
    };
  }

  /** Takes note of news of the TAP: changed, come back, or gone (`undefined`). */
  hear(link: Link | undefined): void {
    this.#enqueue(() => this.#follow(link)).catch((error: unknown) => {
      this.#log.error({ err: error }, 'port could not be plugged in again');
    });
  }

  async #follow(link: Link | undefined): Promise<void> {
    if (this.#closed) return;
    if (this.#tap !== undefined && link?.index !== this.#tap.index) {
      await this.#unplug();
      this.#log.warn('interface gone');
      this.#options.changed('absent');
    }
    if (link === undefined) return;
    if (this.#tap === undefined) await this.#plug();
    else await this.#setCarrier(hasCarrier(link));
  }

  /** Adds to the port's counters what the datapath could not see: the fast path's frames, and what the kernel lost. */
  collect(): void {
    if (this.#tap === undefined) return;
    const { engine, fastPath } = this.#options;
    const lost = this.#tap.fds.reduce((sum, fd) => sum + takeReceiveOverflow(fd), 0);
    if (lost > 0) engine.own.dropped(this.number, DROP['receive-overflow'], lost);
    const full = this.#deviceDrops?.take(this.#refused) ?? 0;
    if (full > 0) engine.own.dropped(this.number, DROP['device-queue-full'], full);
    if (fastPath === undefined) return;
    const fast = fastPath.take(this.#tap.index);
    engine.own.received(this.number, fast.rxFrames, fast.rxBytes);
    engine.own.sent(this.number, fast.txFrames, fast.txBytes);
  }

  /** Unplugs the port for good and frees its number. */
  close(): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#closed) return;
      this.#closed = true;
      await this.#unplug();
      this.#options.engine.tables.removePort(this.number);
      this.#options.engine.releasePort(this.number);
    });
  }
}
