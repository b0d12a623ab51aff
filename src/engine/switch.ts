/**
 * The switch as its owner sees it: networks given once, VMs attached and detached while it runs.
 *
 * @packageDocumentation
 */

import type { Socket } from 'node:net';
import { type Allocation, Allocations } from '../config/allocations.ts';
import type { PortForward } from '../config/forwards.ts';
import { profilesWithout } from '../config/profiles.ts';
import { type NetworkConfig, resolveVm, type SwitchConfig, type VmConfig } from '../config/resolve.ts';
import type { ForwardInput } from '../config/schema.ts';
import { TapswitchError } from '../errors.ts';
import { ForwardTable } from '../forward/forward-table.ts';
import type { ForwardState } from '../forward/vm-forwards.ts';
import type { FlowRecord } from '../gateway/flow-list.ts';
import type { FaultPlan } from '../port/faulty-port.ts';
import type { Logger } from '../telemetry/logger.ts';
import { AttachedVms } from './attached-vms.ts';
import { type Capture, type CaptureOptions, Captures } from './captures.ts';
import { Dialer } from './dialer.ts';
import { Engine } from './engine.ts';
import { FastPaths, NO_WAYS } from './fast-paths.ts';
import { Guards } from './guards.ts';
import { Leases } from './leases.ts';
import { LinkWatch } from './link-watch.ts';
import { NameService } from './name-service.ts';
import { Networks } from './networks.ts';
import { OutboundRules } from './outbound.ts';
import { hostPortStates, leaseOf, portGlance, vmState } from './port-state.ts';
import { type Scene, sceneOf } from './scene.ts';
import type {
  AttachOptions,
  DialOptions,
  PortGlance,
  PortState,
  RemoveOptions,
  SwitchEvents,
  SwitchStats,
} from './switch-types.ts';
import { Upkeep } from './upkeep.ts';
import { VmPort } from './vm-port.ts';

export class Switch {
  readonly #config: SwitchConfig;
  #profiles: SwitchConfig['profiles'];
  readonly #log: Logger;
  readonly #engine: Engine;
  readonly #links: LinkWatch;
  readonly #names: NameService;
  readonly #fastPaths: FastPaths;
  readonly #guards: Guards;
  readonly #forwards: ForwardTable;
  readonly #dialer: Dialer;
  readonly #events: SwitchEvents;
  readonly #leases: Leases;
  readonly #outbound: OutboundRules;
  readonly #networks: Networks;
  readonly #vms: AttachedVms;
  readonly #captures: Captures;
  readonly #upkeep: Upkeep;
  /** What was chosen for VMs that are yet to be attached */
  readonly #kept = new Allocations();
  /** Ports being removed; their ids and TAPs are taken until that is done */
  readonly #removals = new WeakMap<VmPort, Promise<void>>();
  #closed = false;
  #closing: Promise<void> | undefined;

  /** Use {@link createSwitch}. */
  constructor(config: SwitchConfig, log: Logger, events: SwitchEvents) {
    this.#config = config;
    this.#profiles = config.profiles;
    this.#log = log;
    this.#events = events;
    this.#fastPaths = new FastPaths(config.fastPath === 'off', log);
    this.#engine = new Engine(config.workers, this.#fastPaths.offload?.fd, log, {
      gaveUp: (what) => this.#forwards.gaveUp(what),
      dialed: (number, news) => this.#dialer.heard(number, news),
      reached: (number, guestPort) => {
        const port = this.#vms.ofNumber(number);
        if (port !== undefined) events.reached?.(port.vm.id, guestPort);
      },
      offload: ({ port, local, remote }) => this.#vms.ofNumber(port)?.mayOffload(local, remote),
      died: (worker) => {
        this.#dialer.died(worker);
        this.#fastPaths.died(worker);
        events.workerReplaced?.(worker);
      },
    });
    this.#dialer = new Dialer(this.#engine);
    this.#links = new LinkWatch(this.#engine, log, (name, present) => events.link?.(name, present));
    this.#names = new NameService(this.#engine, log);
    const parts = { engine: this.#engine, links: this.#links, names: this.#names, log };
    this.#networks = new Networks(config.networks, parts);
    this.#guards = new Guards(config.guard === 'required', log);
    this.#forwards = new ForwardTable(this.#engine, this.#kept, log);
    this.#leases = new Leases(this.#engine.tables, this.#kept, log);
    this.#outbound = new OutboundRules(this.#networks.configs);
    this.#vms = new AttachedVms(this.#networks.configs);
    this.#captures = new Captures(this.#engine, this.#vms, this.#networks, config.capture, log);
    const lookedAfter = { vms: this.#vms, captures: this.#captures, guards: this.#guards };
    const followed = { names: this.#names, outbound: this.#outbound, fastPaths: this.#fastPaths };
    this.#upkeep = new Upkeep({ ...lookedAfter, ...followed }, log);
  }

  /** Opens the host ports and attaches the VMs of the configuration. */
  async start(): Promise<void> {
    if (this.#events.link !== undefined) await this.#links.addOwn();
    this.#outbound.refresh();
    this.#upkeep.start();
    await this.#networks.open();
    this.#guards.prepare([...this.#config.vms.values()]);
    for (const vm of this.#config.vms.values()) await this.#attach(vm, undefined, true);
  }

  /**
   * Plugs a VM's TAP in.
   *
   * @param id the VM's id: letters, digits, `.`, `_` and `-`
   * @throws TapswitchError TAP_MISSING, TAP_NOT_ETHERNET, TAP_ENSLAVED, TAP_IN_USE, VM_EXISTS, ADDRESS_IN_USE,
   *   MAC_IN_USE, ADDRESS_OUTSIDE_SUBNET, NETWORK_UNKNOWN, CONFIG_INVALID, CAPABILITY_MISSING, GUARD_UNAVAILABLE,
   *   FORWARD_IN_USE, FORWARD_UNAVAILABLE; nothing is left behind then
   */
  async attach(id: string, options: AttachOptions): Promise<void> {
    this.#checkOpen();
    this.#vms.checkFree(id);
    const { faults, without = [], ...input } = options ?? {};
    const profiles = profilesWithout(this.#profiles, input.profile, without);
    const vm = resolveVm(id, input, this.#networks.configs, this.#vms.index, profiles);
    await this.#attach(vm, faults, false);
  }

  /** The same for a VM that has been checked against the networks and the other VMs already. */
  async attachResolved(vm: VmConfig): Promise<void> {
    this.#checkOpen();
    await this.#attach(vm, undefined, false);
  }

  /** @param prepared whether the guards have been prepared for it */
  async #attach(vm: VmConfig, faults: FaultPlan | undefined, prepared: boolean): Promise<void> {
    this.#vms.checkTapFree(vm);
    const guard = this.#guards.kindFor(vm);
    const network = this.#networks.numberOf(vm.network);
    const isShared = this.#networks.configs.get(vm.network)?.mode === 'shared';
    const ways = faults === undefined ? this.#fastPaths.waysOf(vm.netns, isShared) : NO_WAYS;
    if (!prepared) this.#guards.inherit([vm]);
    const policy = () => this.#outbound.wordsOf(vm);
    const limits = () => this.#networks.limitsOf(vm.network);
    const changed = (change: 'present' | 'absent' | 'up' | 'down') => {
      this.#events.port?.(vm.id, change);
      if (change === 'present' || change === 'absent') this.#captures.followSoon();
    };
    const common = { engine: this.#engine, vm, network, guard, log: this.#log, changed };
    const captured = () => this.#captures.wanted(vm.id);
    const port = new VmPort({ ...common, ...ways, faults, policy, limits, captured });
    this.#vms.add(port);
    try {
      this.#giveLease(port);
      await this.#captures.follow();
      await this.#forwards.open(vm.id, port.number, vm.forwards);
      // Watched before it is opened: no news of it can fall in between.
      await this.#links.add(vm.netns, vm.tap, port);
      await port.open();
      this.#kept.drop(vm.id);
    } catch (error) {
      await this.#remove(port, false);
      throw error;
    }
  }

  #giveLease(port: VmPort): void {
    const { network: name } = port.vm;
    const network = this.#networks.configs.get(name) as NetworkConfig;
    const expected = () => [...this.#config.vms.values()].filter((vm) => vm.network === name);
    this.#leases.give(port, network, this.#vms.inNetwork(name), expected);
  }

  /** @param detached for good, not because its attach failed */
  #remove(port: VmPort, detached: boolean): Promise<void> {
    // Asked for twice (a detach while an attach fails) it is done once: the second might hit a successor of that id.
    const removal = this.#removals.get(port) ?? this.#takeOut(port, detached);
    this.#removals.set(port, removal);
    return removal;
  }

  async #takeOut(port: VmPort, detached: boolean): Promise<void> {
    const { vm } = port;
    await this.#links.remove(vm.netns, vm.tap);
    await this.#forwards.close(vm.id);
    await port.close();
    this.#guards.lift(vm, detached);
    this.#vms.remove(port);
    await this.#captures.follow();
    if (this.#vms.hasInNamespace(vm.netns)) return;
    this.#guards.forget(vm.netns);
    this.#fastPaths.release(vm.netns);
  }

  /** Unplugs a VM, ends its flows and forwards, and lifts the guard from its TAP. Throws VM_UNKNOWN. */
  async detach(id: string): Promise<void> {
    await this.#remove(this.#port(id), true);
  }

  /** What was chosen for a VM, for {@link keep}. Throws VM_UNKNOWN. */
  allocation(id: string): Allocation {
    const leased = leaseOf(this.#engine, this.#port(id).number);
    return { ...(leased !== undefined && { leased }), ...this.#forwards.chosen(id) };
  }

  /**
   * Keeps what was chosen for a VM when it was attached before, until it is attached again: it will be given the same,
   * and no other VM will.
   */
  keep(id: string, allocation: Allocation): void {
    this.#kept.keep(id, allocation);
  }

  /** Ends what {@link keep} began for a VM that will not come again. */
  forget(id: string): void {
    this.#kept.drop(id);
  }

  /** The forwards of a VM, those of its loopback identity among them. Throws VM_UNKNOWN. */
  forwards(id: string): ForwardState[] {
    this.#checkOpen();
    return this.#forwards.states(id);
  }

  /**
   * Adds a forward to a VM, or a range of them: all or none. No other forward or flow is touched.
   *
   * @param input as in the configuration, for instance `127.0.0.1:16080:6080`
   * @returns what was added, with the host's ports where they were left to the switch
   * @throws TapswitchError VM_UNKNOWN, CONFIG_INVALID, FORWARD_IN_USE, FORWARD_UNAVAILABLE, CAPABILITY_MISSING
   */
  async addForward(id: string, input: ForwardInput): Promise<ForwardState[]> {
    this.#checkOpen();
    return this.#forwards.add(id, input);
  }

  /**
   * Ends a forward, or a range of them. Connections that came through it go on.
   *
   * @param spec as it was added; instead of port 0 the chosen one will do
   * @param options.reset ends its connections, too
   * @returns what was removed, each port by itself
   * @throws TapswitchError VM_UNKNOWN, CONFIG_INVALID, FORWARD_UNKNOWN; nothing is changed then
   */
  async removeForward(id: string, spec: string, options: RemoveOptions = {}): Promise<PortForward[]> {
    this.#checkOpen();
    return this.#forwards.remove(id, spec, options.reset ?? false);
  }

  #port(id: string): VmPort {
    this.#checkOpen();
    const port = this.#vms.get(id);
    if (port !== undefined) return port;
    throw new TapswitchError('VM_UNKNOWN', `there is no VM ${id}`, 'Use an id that was attached.');
  }

  /**
   * Opens a connection to a TCP port of a VM, from the gateway.
   * @throws TapswitchError VM_UNKNOWN, TAP_DOWN, GUEST_SILENT, PORT_REFUSED, FLOW_LIMIT, SWITCH_CLOSED
   */
  dial(id: string, guestPort: number, { waitMs, signal }: DialOptions): Promise<Socket> {
    return this.#dialer.dial({ id, port: this.#port(id).number, guestPort, waitMs, signal });
  }

  /** The flows of a VM at the gateway, a thousand for each datapath thread at most. Throws VM_UNKNOWN. */
  flows(id: string): Promise<FlowRecord[]> {
    return this.#engine.flows(this.#port(id).number);
  }

  /** Ends the flows of a VM on both sides, but not what is held until it answers; how many. Throws VM_UNKNOWN. */
  resetFlows(id: string): Promise<number> {
    return this.#engine.reset(this.#port(id).number);
  }

  /**
   * Captures frames, both ways at each port, into a pcapng file that is to be read from what is returned.
   * @throws TapswitchError VM_UNKNOWN, FILTER_INVALID, CAPTURE_LIMIT
   */
  async capture(options: CaptureOptions = {}): Promise<Capture> {
    this.#checkOpen();
    return this.#captures.begin(options);
  }

  /** What an explanation looks at: as it is now, and nothing that is done to it is seen by anybody. */
  scene(): Scene {
    this.#checkOpen();
    const parts = { engine: this.#engine, vms: this.#vms, networks: this.#networks };
    return sceneOf({ ...parts, outbound: this.#outbound, forwards: this.#forwards });
  }

  /** Whether there is a VM of that id. */
  has(id: string): boolean {
    return this.#vms.has(id);
  }

  /** Counters and state of one VM; undefined where there is none of that id. */
  vmState(id: string): PortState | undefined {
    const port = this.#vms.get(id);
    if (port === undefined) return undefined;
    port.collect();
    return { ...vmState(this.#engine, port), ...this.#forwards.stateOf(id) };
  }

  /** Ids of the VMs of a network. */
  vmsIn(network: string): string[] {
    return [...this.#vms.inNetwork(network)].map(({ vm }) => vm.id);
  }

  /** Kind of guard in use, undefined while no VM is attached. */
  get guard(): SwitchStats['guard'] {
    return this.#guards.inUse;
  }

  /** The datapath threads. */
  workers(): SwitchStats['workers'] {
    return this.#engine.workers();
  }

  /** Calls `visit` with the little of each VM that costs no call of the kernel: for whoever looks often. */
  glance(visit: (id: string, glance: PortGlance) => void): void {
    for (const { vm, number } of this.#vms) visit(vm.id, portGlance(this.#engine, number));
  }

  /** Counters and state of every port, since each was attached. */
  stats(): SwitchStats {
    this.#checkOpen();
    const vms: Record<string, PortState> = {};
    for (const id of this.#vms.ids()) vms[id] = this.vmState(id) as PortState;
    const hostPorts = hostPortStates(this.#engine, this.#networks.hostPorts);
    return { guard: this.#guards.inUse, vms, hostPorts, workers: this.workers() };
  }

  /** Makes a datapath thread throw. For tests. */
  crashWorker(worker: number): void {
    this.#engine.crashWorker(worker);
  }

  /**
   * Makes networks, profiles and what captures may take what `config` says; VMs are not touched but told where they may go by now. No VM is
   * attached to a network that is removed or whose VMs cannot stay, see {@link keepsPorts}.
   * @throws TapswitchError what opening a host port throws
   */
  async reconfigure(config: Pick<SwitchConfig, 'networks' | 'profiles' | 'capture'>): Promise<void> {
    this.#checkOpen();
    this.#profiles = config.profiles;
    this.#captures.limits = config.capture;
    const reopened = await this.#networks.change(config.networks);
    for (const port of this.#vms) port.refreshPolicy();
    for (const name of reopened) for (const port of this.#vms.inNetwork(name)) await port.announce();
  }

  /**
   * Stops the switch. TAPs, the host port's interface and the guards stay: guests are cut off, not exposed, and a
   * switch started again goes on where this one stopped. Detach a VM first to lift its guard.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#upkeep.stop();
    this.#dialer.close();
    this.#captures.close();
    try {
      await this.#links.removeOwn();
      await this.#networks.unwatch();
      for (const { vm } of this.#vms) await this.#links.remove(vm.netns, vm.tap);
      await Promise.all([...this.#vms.ids()].map((id) => this.#forwards.close(id)));
      await Promise.all([...this.#vms].map((port) => port.close()));
    } finally {
      // Whatever went wrong: a thread that goes on would keep the process alive.
      await this.#engine.stop();
      this.#fastPaths.close();
    }
    await this.#networks.close();
  }

  /** {@link close} for a start that failed: guards and interfaces that it made go, too. */
  async abandon(): Promise<void> {
    try {
      for (const port of [...this.#vms]) await this.#remove(port, false);
      // Those whose turn never came were guarded with the others.
      for (const vm of this.#config.vms.values()) this.#guards.lift(vm, false);
    } finally {
      await this.close();
      this.#networks.undo();
    }
  }

  #checkOpen(): void {
    if (!this.#closed) return;
    throw new TapswitchError('SWITCH_CLOSED', 'the switch is closed', 'Make a new one with createSwitch().');
  }
}
