/**
 * The captures of a switch: begun, followed as VMs come and go, and ended.
 *
 * A frame that the kernel hands from one VM to another does not pass the datapath. A capture of headers looks on by
 * sockets of its own (sniffers.ts); for one that wants more, its VMs are put off the fast path as long as it runs. Connections
 * that are offloaded cannot come back: their frames are looked on at in any case, and no other is offloaded meanwhile.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { compileFilter } from '../capture/filter/compile.ts';
import type { NamedAddress } from '../capture/pcapng.ts';
import { allocateRing } from '../capture/ring.ts';
import { CaptureSession, type PortLabel } from '../capture/session.ts';
import type { CaptureBinding } from '../capture/tap.ts';
import type { CaptureConfig } from '../config/capture.ts';
import { TapswitchError } from '../errors.ts';
import { SNIFFED_BYTES } from '../fastpath/fast-path.ts';
import { MAX_FRAME_BYTES } from '../port/batch.ts';
import { ADDRESS_UNKNOWN, MAX_PORTS } from '../switch/tables.ts';
import { RING_RETIRE_MS } from '../sys/packet-ring.ts';
import type { Logger } from '../telemetry/logger.ts';
import { formatIpv4 } from '../wire/ipv4.ts';
import type { AttachedVms } from './attached-vms.ts';
import type { Engine } from './engine.ts';
import type { Networks } from './networks.ts';
import { Sniffers } from './sniffers.ts';
import type { VmPort } from './vm-port.ts';

export interface CaptureOptions {
  /** Ids; undefined for every port, those of the host and VMs to come among them */
  readonly vms?: readonly string[] | undefined;
  /** VMs that are not attached are captured once they are, instead of VM_UNKNOWN */
  readonly mayCome?: boolean | undefined;
  /** tcpdump's language, see docs/capture.md; '' for every frame */
  readonly filter?: string | undefined;
  /** Bytes of each frame that are kept; undefined or 0 for all */
  readonly snaplen?: number | undefined;
  /** Frames after which it ends */
  readonly count?: number | undefined;
  /** Time after which it ends, `ms` */
  readonly durationMs?: number | undefined;
}

/** A capture that runs: a pcapng file, piece by piece. Leaving the loop over it ends it. */
export interface Capture extends AsyncIterable<Uint8Array> {
  /** Frames written so far */
  readonly written: number;
  /** Frames that found no room so far */
  readonly lost: number;
  /** Lets the file come to its end */
  stop(): void;
}

/** VMs whose frames on the fast path are looked on at: each takes 8 ms of the control thread to begin with, and 2 MiB */
const MOST_SNIFFED = 16;

/** Of a VM's frames: whole ones take it off the fast path. */
export type Wanted = 'nothing' | 'headers' | 'whole';

interface Running {
  /** The beginning of a frame is enough */
  readonly isOfHeaders: boolean;
  readonly ids: readonly string[] | undefined;
  readonly binding: Pick<CaptureBinding, 'number' | 'filter' | 'snaplen' | 'rings' | 'lost'>;
  readonly session: CaptureSession;
}

export class Captures {
  readonly #engine: Engine;
  readonly #vms: AttachedVms;
  readonly #networks: Networks;
  readonly #running = new Map<number, Running>();
  readonly #log: Logger;
  readonly #sniffers: Sniffers;
  /** There are too many VMs to look on at: they leave the fast path instead */
  #areMany = false;
  /** What is being told to the workers: one thing after the other */
  #telling: Promise<void> = Promise.resolve();
  /** Of VMs' ports, as asked for since a VM last came or went */
  readonly #labels = new Map<number, PortLabel>();
  #nextNumber = 1;
  /** What those to come may take: who runs already goes on */
  limits: CaptureConfig;

  constructor(engine: Engine, vms: AttachedVms, networks: Networks, limits: CaptureConfig, log: Logger) {
    this.#log = log;
    this.#engine = engine;
    this.#vms = vms;
    this.#networks = networks;
    this.#sniffers = new Sniffers((port) => engine.homeOf(port));
    this.limits = limits;
  }

  /** What all captures together want of a VM's frames. */
  wanted(id: string): Wanted {
    let wanted: Wanted = 'nothing';
    for (const { ids, isOfHeaders } of this.#running.values()) {
      if (ids !== undefined && !ids.includes(id)) continue;
      if (this.#areMany || !isOfHeaders) return 'whole';
      wanted = 'headers';
    }
    return wanted;
  }

  /** Begins a capture. Throws VM_UNKNOWN, FILTER_INVALID, CAPTURE_LIMIT. */
  async begin(options: CaptureOptions): Promise<Capture> {
    const { vms: ids, filter = '', snaplen = 0, count = Infinity, durationMs = Infinity } = options;
    const missing = ids?.find((id) => !this.#vms.has(id));
    if (missing !== undefined && options.mayCome !== true) throw unknown(missing);
    compileFilter(filter, new Map());
    if (this.#running.size >= this.limits.maximum) throw tooMany(this.#running.size);
    const number = this.#nextNumber++;
    const rings = this.#engine.workers().map(() => allocateRing(this.limits.ringBytes));
    const lost = new SharedArrayBuffer(MAX_PORTS * Int32Array.BYTES_PER_ELEMENT);
    const binding = { number, filter, snaplen: snaplen === 0 ? MAX_FRAME_BYTES : snaplen, rings, lost };
    const session = new CaptureSession({
      ...{ rings, lost, filter, snaplen, count, durationMs },
      label: (port) => this.#label(port),
      ports: this.#portsOf(ids) ?? this.#allPorts(),
      names: () => this.#names(),
      end: () => this.#end(number),
    });
    // A byte that is asked for by its place may be beyond the beginning.
    const isOfHeaders = snaplen > 0 && snaplen <= SNIFFED_BYTES && !filter.includes('[');
    this.#running.set(number, { isOfHeaders, ids, binding, session });
    try {
      await this.follow();
    } catch (error) {
      await this.#end(number);
      throw error;
    }
    return session;
  }

  /** Tells the captures of a VM, or its interface, that has come or gone. */
  follow(): Promise<void> {
    this.#labels.clear();
    if (this.#running.size === 0) return Promise.resolve();
    this.#followFastPaths();
    return this.#inTurn(() => this.#retell());
  }

  /** {@link follow} where nobody waits for the outcome. */
  followSoon(): void {
    this.follow().catch((error: unknown) => {
      this.#log.error({ err: error }, 'captures could not follow an interface');
    });
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    this.#telling = this.#telling.then(step, step);
    return this.#telling;
  }

  async #retell(): Promise<void> {
    const stale = this.#sniffers.follow(this.#sniffed());
    await Promise.all([...this.#running.values()].map((running) => this.#tell(running)));
    this.#sniffers.release(stale);
  }

  /** VMs whose frames on the fast path a capture has to look at. */
  #sniffed(): Set<VmPort> {
    const isPassedBy = (port: VmPort) => {
      const wanted = this.wanted(port.vm.id);
      return wanted === 'headers'
        ? port.mayTakeFastPath || port.isOffloading
        : wanted === 'whole' && port.isOffloading;
    };
    return new Set([...this.#vms].filter(isPassedBy));
  }

  /** Takes note of what the kernel had no room for; now and then. */
  collect(): void {
    if (this.#running.size === 0) return;
    for (const [port, frames] of this.#sniffers.lost()) {
      for (const { binding } of this.#running.values())
        Atomics.add(new Int32Array(binding.lost), port, frames);
    }
  }

  /** Lets all of them come to their end. */
  close(): void {
    for (const { session } of this.#running.values()) session.stop();
  }

  async #tell({ ids, binding }: Running): Promise<void> {
    const vms = new Map([...this.#vms].map(({ vm, number }) => [vm.id, number]));
    const sniffers = this.#sniffers.bindings();
    await this.#engine.capture({ ...binding, ports: this.#portsOf(ids), vms, sniffers });
  }

  async #end(number: number): Promise<void> {
    const running = this.#running.get(number);
    if (running === undefined) return;
    // What has passed by now may be in a block of a packet ring that is not full yet.
    if (running.isOfHeaders) await sleep(2 * RING_RETIRE_MS);
    this.collect();
    if (!this.#running.delete(number)) return;
    this.#followFastPaths();
    await this.#inTurn(async () => {
      await this.#engine.uncapture(number);
      await this.#retell();
    });
  }

  /** Before its sockets are opened or closed: a VM that leaves the fast path is seen by the datapath at once. */
  #followFastPaths(): void {
    this.#areMany = false;
    this.#areMany = this.#sniffed().size > MOST_SNIFFED;
    for (const port of this.#vms) port.keepFastPath();
  }

  #portsOf(ids: readonly string[] | undefined): number[] | undefined {
    return ids?.flatMap((id) => this.#vms.get(id)?.number ?? []);
  }

  #allPorts(): number[] {
    return [...this.#networks.hostPorts, ...this.#vms].map(({ number }) => number);
  }

  #label(number: number): PortLabel | undefined {
    if (this.#labels.size === 0) {
      for (const { number: own, vm } of this.#vms) {
        const description = `VM ${vm.id}, TAP ${vm.tap}, network ${vm.network}`;
        this.#labels.set(own, { name: vm.id, description });
      }
    }
    const label = this.#labels.get(number);
    if (label !== undefined) return label;
    for (const { number: own, config, network } of this.#networks.hostPorts) {
      if (own === number) return { name: config.name, description: `host port of network ${network.name}` };
    }
    return undefined;
  }

  #names(): NamedAddress[] {
    const { tables } = this.#engine;
    const hosts = [...this.#networks.hostPorts].map(({ config }) => ({
      address: formatIpv4(config.address),
      name: config.name,
    }));
    const vms = [...this.#vms].filter(({ number }) => tables.ipState(number) !== ADDRESS_UNKNOWN);
    return [
      ...hosts,
      ...vms.map(({ number, vm }) => ({ address: formatIpv4(tables.ip(number)), name: vm.id })),
    ];
  }
}

function unknown(id: string): TapswitchError {
  return new TapswitchError('VM_UNKNOWN', `there is no VM ${id}`, 'Use an id that was attached.');
}

function tooMany(running: number): TapswitchError {
  const message = `${running} ${running === 1 ? 'capture is' : 'captures are'} running already`;
  return new TapswitchError(
    'CAPTURE_LIMIT',
    message,
    'End one first, or raise capture.maximum in the configuration.',
  );
}
