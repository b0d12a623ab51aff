/**
 * The daemon: a switch, and what it was asked for, durably.
 *
 * Theory of operation. Three may ask for a VM: the configuration file, the API, and a pattern of `autoAttach`. What the
 * API asked for is in the state store before the answer goes out, and is asked for again when the daemon starts; a VM
 * whose TAP is not there waits for it. Changes of one VM are made one after the other. Everything else is the switch's.
 */
import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { diffConfig } from '../config/diff.ts';
import type { DaemonConfig } from '../config/load.ts';
import type { VmConfig } from '../config/resolve.ts';
import type { ServiceConfig } from '../config/service.ts';
import type { Subject } from '../diagnosis/diagnose.ts';
import { startSwitch } from '../engine/create-switch.ts';
import { hostNameServers } from '../engine/name-service.ts';
import { withLinks } from '../engine/namespace.ts';
import { keepsPorts } from '../engine/networks.ts';
import type { Switch } from '../engine/switch.ts';
import type { SwitchEvents } from '../engine/switch-types.ts';
import type { Capture, Logger, PortState } from '../index.ts';
import type { Explanation } from '../resources/explanation.ts';
import type {
  Diagnosis,
  Drop,
  FdbEntry,
  Flow,
  Forward,
  ForwardRequest,
  Generation,
  Health,
  Lease,
  Network,
  Reached,
  Reloaded,
  Vm,
  VmRequest,
} from '../resources/resources.ts';
import type { CaptureRequest, ControlPlane, DialOptions } from './contract.ts';
import { EventLog } from './event-log.ts';
import { FlightRecorder } from './flight-recorder.ts';
import { Observer } from './observer.ts';
import { OwnTaps } from './own-taps.ts';
import { PortDialer } from './port-dialer.ts';
import { StateStore } from './state-store.ts';
import { dropsOf, fdbEntry, leaseOf, networkView, vmView } from './views.ts';
import { VmRegistry } from './vm-registry.ts';

const LOOK_MS = 1000;
/** Looks after which a worker whose heartbeat stands still counts as dead */
const DEAD_AFTER_LOOKS = 3;

export interface DaemonOptions {
  readonly config: DaemonConfig;
  readonly log: Logger;
  /** Where its state is */
  readonly stateDirectory: string;
  readonly version: string;
  /** Reads the configuration again; throws as it did the first time */
  readonly load: () => DaemonConfig;
  /** Told of what may have changed around the switch, once the configuration has been read again */
  readonly reloaded?: (service: ServiceConfig) => void;
}

export class Daemon implements ControlPlane {
  readonly events: EventLog;
  readonly #options: DaemonOptions;
  readonly #switch: Switch;
  readonly #store: StateStore;
  readonly #registry: VmRegistry;
  readonly #observer: Observer;
  readonly #recorder: FlightRecorder;
  readonly #dialer: PortDialer;
  readonly #started = performance.now();
  readonly #look: NodeJS.Timeout;
  #config: DaemonConfig;
  #heartbeats: { beat: number; still: number }[] = [];

  private constructor(options: DaemonOptions, parts: Parts) {
    this.#options = options;
    this.#config = options.config;
    this.events = parts.events;
    this.#observer = parts.observer;
    this.#recorder = parts.recorder;
    this.#switch = parts.switch;
    this.#store = parts.store;
    this.#dialer = parts.dialer;
    this.#registry = new VmRegistry(parts, options.log);
    this.#look = setInterval(() => this.#lookAround(), LOOK_MS);
  }

  /**
   * Starts the switch with the VMs of the configuration and those of the state.
   * @throws TapswitchError what `createSwitch` throws, STATE_IN_USE, STATE_UNREADABLE, STATE_UNWRITABLE
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const { config, log, stateDirectory } = options;
    const events = new EventLog();
    const recorder = new FlightRecorder(events);
    const observer = new Observer(events);
    const dialer = new PortDialer((id, port) => events.add({ type: 'port-reachable', vm: id, port }));
    const store = await StateStore.open(stateDirectory);
    let daemon: Daemon | undefined;
    try {
      const taps = new OwnTaps(stateDirectory, log);
      const told: SwitchEvents = {
        port: (id, change) => {
          if (change !== 'present') dialer.forget(id);
          observer.changed(id, change);
        },
        reached: (id, port) => dialer.reached(id, port),
        workerReplaced: (worker) => events.add({ type: 'worker-replaced', worker }),
        link: (name, present) => daemon?.linkSeen(name, present),
      };
      const made = await startSwitch(config.switch, log, told, store.allocations());
      const parts = { switch: made, store, events, observer, recorder, dialer, taps };
      daemon = new Daemon(options, parts);
      await daemon.#restore();
      return daemon;
    } catch (error) {
      if (daemon === undefined) await store.close();
      else await daemon.close();
      throw error;
    }
  }

  async #restore(): Promise<void> {
    for (const vm of this.#config.switch.vms.values()) this.#registry.adopt(vm);
    await this.#registry.restore(this.#store.vms);
    this.#registry.removeOrphans();
    const names = withLinks(undefined, (links) => links.links().map(({ name }) => name));
    for (const name of names) this.linkSeen(name, true);
    await this.#registry.settled();
    this.#registry.forgetOthers();
  }

  /** An interface of our namespace appeared, changed or went. */
  linkSeen(name: string, present: boolean): void {
    this.#registry.linkSeen(name, present, this.#config.service.autoAttach);
  }

  #lookAround(): void {
    this.#switch.glance((id, port) => this.#observer.look(id, port));
    this.#heartbeats = this.#switch.workers().map(({ heartbeat }, worker) => {
      const before = this.#heartbeats[worker];
      return { beat: heartbeat, still: before?.beat === heartbeat ? before.still + 1 : 0 };
    });
  }

  // --- what is there --------------------------------------------------------------------------------------
  networks(): Network[] {
    const { vms, hostPorts } = this.#switch.stats();
    return [...this.#config.switch.networks.values()].map((network) => {
      const count = Object.values(vms).filter((vm) => vm.network === network.name).length;
      return networkView(network, hostPorts[network.name], count);
    });
  }

  vms(): Vm[] {
    const { vms } = this.#switch.stats();
    return this.#registry.ids().map((id) => this.#view(id, vms[id]));
  }

  vm(id: string): Vm {
    this.#registry.known(id);
    return { ...this.#view(id, this.#switch.vmState(id)), recent: this.#recorder.of(id) };
  }

  #view(id: string, port: PortState | undefined): Vm {
    const facts = this.#registry.facts(id, port);
    return vmView(facts, this.#config.switch.networks.get(facts.network), port);
  }

  async flows(id: string): Promise<Flow[]> {
    this.#registry.known(id);
    return this.#switch.flows(id);
  }

  async capture(request: CaptureRequest): Promise<Capture> {
    for (const id of request.vms ?? []) this.#registry.known(id);
    return this.#switch.capture({ ...request, mayCome: true });
  }

  /** Whether the VM's address was said when it was asked for. */
  #isSaid(id: string, address: 'mac' | 'ip'): boolean {
    return this.#registry.requestOf(id)?.[address] !== undefined;
  }

  fdb(): FdbEntry[] {
    const { vms, hostPorts } = this.#switch.stats();
    const ofVms = Object.entries(vms).flatMap(([id, port]) => {
      return fdbEntry(id, port, this.#isSaid(id, 'mac') ? 'configured' : 'learned');
    });
    return [...ofVms, ...Object.values(hostPorts).flatMap((port) => fdbEntry(port.interface, port, 'own'))];
  }

  drops(): Drop[] {
    const { vms, hostPorts } = this.#switch.stats();
    const ofVms = Object.entries(vms).flatMap(([id, port]) => dropsOf(id, port));
    return [...ofVms, ...Object.values(hostPorts).flatMap((port) => dropsOf(port.interface, port))];
  }

  leases(): Lease[] {
    return Object.entries(this.#switch.stats().vms).flatMap(([id, port]) =>
      leaseOf(id, port, this.#isSaid(id, 'ip')),
    );
  }

  #workerStates(): Health['workers'] {
    return this.#switch.workers().map(({ replaced }, worker) => ({
      alive: (this.#heartbeats[worker]?.still ?? 0) < DEAD_AFTER_LOOKS,
      replaced,
    }));
  }

  async diagnose(id: string, port: number | undefined): Promise<Diagnosis> {
    this.#registry.known(id);
    const state = this.#switch.vmState(id);
    const facts = this.#registry.facts(id, state);
    const network = this.#config.switch.networks.get(facts.network);
    const workers = this.#workerStates();
    const subject: Subject = {
      ...facts,
      network,
      upstreams: network?.dns.upstreams ?? hostNameServers(),
      port: state,
      refusal: this.#registry.refusalOf(id),
      quietSeconds: this.#observer.quietSeconds(id),
      recentDrops: this.#observer.recentDrops(id, state?.drops ?? {}),
      guard: this.#switch.guard,
      workerAlive: workers[state?.worker ?? 0]?.alive ?? true,
      othersAlive: workers.every(({ alive }, worker) => alive || worker === state?.worker),
      dial: (guestPort, waitMs) => this.#switch.dial(id, guestPort, { waitMs }),
    };
    // Loaded when it is asked for: frames flow the sooner after a start.
    const { diagnose } = await import('../diagnosis/diagnose.ts');
    const decision = await diagnose(subject, port);
    const recent = this.#recorder.of(id);
    return { vm: id, ...(port !== undefined && { port }), ...decision, recent };
  }

  async explain(flow: string): Promise<Explanation> {
    const { explain } = await import('../explain/explain.ts');
    const { parseQuestion } = await import('../explain/question.ts');
    const { steps, outcome } = explain(parseQuestion(flow), this.#switch.scene());
    return { flow, steps: [...steps], outcome };
  }

  health(): Health {
    const { guard, vms } = this.#switch.stats();
    const states = this.#workerStates();
    return {
      status: states.every(({ alive }) => alive) ? 'ok' : 'degraded',
      version: this.#options.version,
      run: this.events.run,
      uptimeSeconds: Math.round(performance.now() - this.#started) / 1000,
      guard: guard ?? 'none',
      workers: states,
      vms: Object.keys(vms).length,
    };
  }

  // --- what is asked for ----------------------------------------------------------------------------------
  async putVm(id: string, request: VmRequest): Promise<{ vm: Vm; created: boolean }> {
    const created = await this.#registry.put(id, request);
    return { vm: this.vm(id), created };
  }

  deleteVm(id: string): Promise<void> {
    return this.#registry.delete(id);
  }

  addForward(id: string, request: ForwardRequest): Promise<Forward[]> {
    return this.#registry.addForward(id, request);
  }

  removeForward(id: string, spec: string, options: { readonly reset: boolean }): Promise<void> {
    return this.#registry.removeForward(id, spec, options.reset);
  }

  newGeneration(id: string): Promise<Generation> {
    return this.#registry.newGeneration(id);
  }

  async dial(id: string, port: number, options: DialOptions = {}): Promise<Duplex> {
    this.#registry.known(id);
    return this.#dialer.dial(this.#switch, id, port, options);
  }

  async wait(id: string, port: number, options: DialOptions): Promise<Reached> {
    const started = performance.now();
    const connection = await this.dial(id, port, options);
    connection.destroy();
    return { vm: id, port, waitedMs: Math.round(performance.now() - started) };
  }

  async reload(): Promise<Reloaded> {
    const next = this.#options.load();
    const changes = diffConfig(this.#config, next);
    const before = this.#config.switch;
    const { networks, vms, profiles, capture } = next.switch;
    const isSame = (id: string) => isDeepStrictEqual(before.vms.get(id), vms.get(id));
    const moved = [...before.networks.values()].filter((one) => !keepsPorts(one, networks.get(one.name)));
    await this.#registry.suspend(new Set(moved.map(({ name }) => name)));
    for (const id of before.vms.keys()) if (!isSame(id)) await this.#registry.dropConfigured(id);
    // What needs a restart stays as it is until then, and is named again by the next reload.
    this.#config = {
      switch: { ...before, networks, vms, profiles, capture },
      service: next.service,
    };
    await this.#switch.reconfigure({ networks, profiles, capture });
    for (const [id, vm] of vms) {
      if (!this.#switch.has(id)) await this.#attachConfigured(vm);
      else if (!isSame(id))
        this.#options.log.warn({ vm: id }, 'VM of the API has the id of one in the configuration');
    }
    await this.#registry.resume();
    this.events.add({ type: 'reloaded' });
    this.#options.reloaded?.(next.service);
    return {
      changes: changes.filter((one) => one.live).map(({ text }) => text),
      needRestart: changes.filter((one) => !one.live).map(({ text }) => text),
    };
  }

  async #attachConfigured(vm: VmConfig): Promise<void> {
    await this.#switch.attachResolved(vm);
    this.#registry.adopt(vm);
  }

  /** Stops the switch as {@link Switch.close} does; the state stays. */
  async close(): Promise<void> {
    clearInterval(this.#look);
    try {
      await this.#registry.settled();
      await this.#switch.close();
    } finally {
      await this.#store.close();
    }
  }
}

/** What the daemon is made of. */
export interface Parts {
  readonly switch: Switch;
  readonly store: StateStore;
  readonly events: EventLog;
  readonly observer: Observer;
  readonly recorder: FlightRecorder;
  readonly dialer: PortDialer;
  readonly taps: OwnTaps;
}
