/**
 * The datapath workers together: which ports exist, which worker receives from which, and the shared memory they
 * work on. Knows nothing of VMs, interfaces or files: it is handed descriptors.
 */

import type { CaptureBinding } from '../capture/tap.ts';
import type { DnsUpstream } from '../config/dns.ts';
import { VM_FLOWS, VM_HALF_OPEN_FLOWS } from '../config/limits.ts';
import type { FlowLimits } from '../config/network.ts';
import { TapswitchError } from '../errors.ts';
import type { OffloadGrant } from '../fastpath/flow-entry.ts';
import type { NetworkNames } from '../gateway/dns/names.ts';
import type { FlowRecord } from '../gateway/flow-list.ts';
import type { DialBinding, DialNews, ForwardBinding, GivenUp } from '../gateway/forward-binding.ts';
import type { HostServiceRecord } from '../gateway/host-services.ts';
import { allocateHandover } from '../gateway/tcp/handover.ts';
import {
  allocateVmUse,
  LIMIT_FLOWS,
  LIMIT_HALF_OPEN,
  USE_FLOWS,
  USE_HALF_OPEN,
  VmUse,
} from '../gateway/vm-use.ts';
import type { FaultPlan } from '../port/faulty-port.ts';
import { copyTables } from '../switch/table-copy.ts';
import { allocateTables, MAX_PORTS, type TableMemory, Tables } from '../switch/tables.ts';
import { Clock, nowSeconds } from '../sys/clock.ts';
import { openEventfd } from '../sys/eventfd.ts';
import { close } from '../sys/libc.ts';
import { allocateCounters, CounterBlock, CounterReader, type PortStats } from '../telemetry/counters.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { OffloadQuestion, PortBinding } from './commands.ts';
import type { Scene } from './scene.ts';
import type { FlowUse } from './switch-types.ts';
import { type VmRecord, WorkerThread } from './worker-thread.ts';

export interface PortOptions {
  readonly network: number;
  readonly kind: 'packet' | 'tap';
  /** One for each worker, or one for all */
  readonly fds: readonly number[];
  readonly faults?: FaultPlan | undefined;
  /** What is behind it, where it is a VM */
  readonly vm?: VmRecord;
}

/** What the workers tell. */
export interface EngineEvents {
  /** A forward's connection was given up */
  gaveUp(what: GivenUp): void;
  /** What became of a connection made by {@link Engine.dial} */
  dialed(number: number, news: DialNews): void;
  /** A port of the VM on `port` took its first connection of the host's */
  reached(port: number, guestPort: number): void;
  /** A worker asks; between which interfaces, or undefined for no */
  offload(question: OffloadQuestion): OffloadGrant | undefined;
  /** A thread died, and with it its connections; its replacement is about to start */
  died(worker: number): void;
}

export class Engine {
  /** What the workers know; the control thread writes it before it tells them */
  readonly tables: Tables;
  /** Where the control thread counts */
  readonly own: CounterBlock;
  readonly #counters: CounterReader;
  readonly #heartbeats: Int32Array;
  readonly #threads: WorkerThread[] = [];
  readonly #use: VmUse;
  readonly #tableMemory: TableMemory;
  readonly #startedSeconds = nowSeconds();
  readonly #clock = new Clock();
  readonly #wakeFds: number[];
  readonly #used = new Uint8Array(MAX_PORTS).fill(1, 0, 1);
  readonly #watchers = new Map<number, () => void>();
  #nextToken = 1;

  /**
   * @param workers number of datapath threads
   * @param flowsFd map of offloaded connections, undefined where none are to be
   */
  constructor(workers: number, flowsFd: number | undefined, log: Logger, events: EngineEvents) {
    const tables = allocateTables();
    // The control thread counts too, in a block behind the workers'.
    const counters = allocateCounters(workers + 1, MAX_PORTS);
    const heartbeats = new SharedArrayBuffer(workers * Int32Array.BYTES_PER_ELEMENT);
    const use = allocateVmUse(workers);
    this.#use = new VmUse(use);
    const handover = allocateHandover(workers);
    const startedSeconds = this.#startedSeconds;
    this.#tableMemory = tables;
    this.tables = new Tables(tables, workers);
    this.#counters = new CounterReader(counters, MAX_PORTS);
    this.own = new CounterBlock(counters, workers, MAX_PORTS);
    this.#heartbeats = new Int32Array(heartbeats);
    this.#wakeFds = Array.from({ length: workers }, openEventfd);
    for (let worker = 0; worker < workers; worker++) {
      const wakeFds = this.#wakeFds;
      const setup = { worker, tables, counters, heartbeats, startedSeconds, wakeFds, use, handover, flowsFd };
      const watched = (token: number) => this.#watchers.get(token)?.();
      const died = () => {
        this.tables.unlockDead(worker);
        new VmUse(use).clear(worker);
        events.died(worker);
      };
      const offload = (question: OffloadQuestion) =>
        this.#threads[worker]?.mayOffload(question.question, events.offload(question));
      this.#threads.push(new WorkerThread(setup, log, { ...events, watched, died, offload }));
    }
  }

  /** Bounds of what the flows of a VM may take; the workers heed them at once. */
  setLimits(port: number, limits: FlowLimits): void {
    this.#use.setLimits(port, limits);
  }

  /** TCP flows of a VM that end at the gateway, those at rest in TIME-WAIT not counted. */
  flowUse(port: number): FlowUse {
    return {
      tcp: this.#use.total(USE_FLOWS, port),
      halfOpen: this.#use.total(USE_HALF_OPEN, port),
      mostTcp: this.#use.limit(LIMIT_FLOWS, port, VM_FLOWS),
      mostHalfOpen: this.#use.limit(LIMIT_HALF_OPEN, port, VM_HALF_OPEN_FLOWS),
    };
  }

  /** Number for a new port. Throws TOO_MANY_PORTS. */
  reservePort(): number {
    const port = this.#used.indexOf(0);
    if (port < 0) {
      throw new TapswitchError(
        'TOO_MANY_PORTS',
        `all ${MAX_PORTS - 1} ports are in use`,
        'Detach a VM, or run a second switch for the rest.',
      );
    }
    this.#used[port] = 1;
    this.#counters.clear(port);
    return port;
  }

  releasePort(port: number): void {
    this.#used[port] = 0;
  }

  /** Gives a port its descriptor; its record in {@link tables} must be there. Resolves when every worker knows it. */
  async plug(port: number, { network, kind, fds, faults, vm }: PortOptions): Promise<void> {
    const binding: PortBinding = { port, network, kind, fds, worker: this.homeOf(port), faults };
    await Promise.all(this.#threads.map((thread) => thread.attach(binding, vm)));
  }

  /** Takes the descriptor away again; once resolved it may be closed. */
  async unplug(port: number): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.detach(port)));
  }

  /** Number of the worker that has all of a port but TCP that the kernel deals out. */
  homeOf(port: number): number {
    return port % this.#threads.length;
  }

  /** Tells the guest on `port` the gateway's MAC. */
  async announce(port: number): Promise<void> {
    await this.#threadOf(port).announce(port);
  }

  /** Says what is behind a port that is plugged in, again. */
  async describe(port: number, vm: VmRecord): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.describe(port, vm)));
  }

  /** Says what of the host the guests of `network` find at their gateway. */
  async services(network: number, services: readonly HostServiceRecord[]): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.services(network, services)));
  }

  /** Says what the gateway's name server answers itself in `network`. */
  async names(network: number, names: NetworkNames): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.names(network, names)));
  }

  /** Says whom it asks for the rest, from now on. */
  async upstreams(network: number, upstreams: readonly DnsUpstream[]): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.upstreams(network, upstreams)));
  }

  /** Ends the flows of the VM on `port` on both sides; how many there were. */
  async reset(port: number): Promise<number> {
    const ended = await Promise.all(this.#threads.map((thread) => thread.reset(port)));
    return ended.reduce((sum, one) => sum + one, 0);
  }

  /** The flows of the VM on `port`; no more than a thousand of each worker's. */
  async flows(port: number): Promise<FlowRecord[]> {
    return (await Promise.all(this.#threads.map((thread) => thread.flows(port)))).flat();
  }

  /** Makes a connection to a VM. Its descriptor is the worker's then; false, and it is the caller's, while that is gone. */
  dial(dial: DialBinding): boolean {
    return this.#threadOf(dial.port).dial(dial);
  }

  /** Lets a listening socket lead into a VM. */
  async forward(binding: ForwardBinding): Promise<void> {
    await this.#threadOf(binding.port).forward(binding);
  }

  /** Takes the socket away again; once resolved it may be closed. With `reset` the forward's flows end. */
  async unforward({ port, number }: ForwardBinding, reset: boolean): Promise<void> {
    const home = this.#threadOf(port);
    await home.unforward(number, port, reset);
    // What it had handed over is there by now.
    const others = this.#threads.filter((thread) => thread !== home);
    if (reset) await Promise.all(others.map((thread) => thread.endForward(number, port)));
  }

  #threadOf(port: number): WorkerThread {
    return this.#threads[this.homeOf(port)] as WorkerThread;
  }

  /** Calls `changed` on the control thread whenever `fd` becomes readable, until the returned function is called. */
  async watch(fd: number, changed: () => void): Promise<() => Promise<void>> {
    const token = this.#nextToken++;
    const thread = this.#threads[0] as WorkerThread;
    this.#watchers.set(token, changed);
    await thread.watch(fd, token);
    return async () => {
      this.#watchers.delete(token);
      await thread.unwatch(fd, token);
    };
  }

  /** Begins a capture, or goes on with it as it is now. Its frames come by `binding.rings`. */
  async capture(binding: CaptureBinding): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.capture(binding)));
  }

  /** Once resolved, nothing is written to the capture's rings any more. */
  async uncapture(number: number): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.uncapture(number)));
  }

  /** The tables as they are now, to try frames on, and what else the workers decide by. */
  still(): Pick<Scene, 'tables' | 'clock' | 'startedSeconds' | 'use'> {
    this.#clock.tick();
    const tables = new Tables(copyTables(this.#tableMemory), this.tables.owner);
    return { tables, clock: this.#clock, startedSeconds: this.#startedSeconds, use: this.#use };
  }

  stats(port: number): PortStats {
    return this.#counters.read(port);
  }

  /** Attempts of the workers to send that a port's device had no room for. */
  refusals(port: number): number {
    return this.#counters.refusals(port);
  }

  /** Per worker: a number that advances at least once a second while it lives, and how often it was replaced. */
  workers(): { heartbeat: number; replaced: number }[] {
    return this.#threads.map((thread, worker) => ({
      heartbeat: Atomics.load(this.#heartbeats, worker),
      replaced: thread.replaced,
    }));
  }

  /** Makes a worker throw. For tests. */
  crashWorker(worker: number): void {
    this.#threads[worker]?.crash();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop()));
    // Only now: until then another may have been woken by them.
    for (const fd of this.#wakeFds.splice(0)) close(fd);
  }
}
