/**
 * The datapath: one run-to-completion loop over the ports of one worker.
 *
 * Theory of operation. The thread waits (event-wait.ts) until a port is readable, the control thread has something
 * to say (an eventfd), or half a second passes. For each readable port whose turn it is it takes one batch, lets the switch decide about
 * each frame, hands the gateway what is its own, and sends what leaves by one port with one call; then comes the next
 * port, so that a busy port delays another by one batch at most. Nothing here awaits, allocates per frame, or throws
 * for a bad frame.
 *
 *     epoll_wait -> port.receive -> forwarder.decide -> (gateway.handle) -> egress rows -> port.transmit
 *
 * It knows all ports, to send to them, but receives only from those it is home to, and what the kernel deals out to it
 * of the others. Commands are handled between batches, so none
 * ever sees a batch half done: once `detach` is acknowledged, the descriptor may be closed.
 *
 * Between rounds the gateway has its turn: what its timers, its host sockets and the frames of the round left to do.
 *
 * Failure. A throw ends the thread; the control thread starts another on the same shared memory and descriptors.
 */

import { CapturedPort } from '../capture/captured-port.ts';
import type { CaptureBinding } from '../capture/tap.ts';
import { CaptureTaps } from '../capture/taps.ts';
import { MAX_NETWORKS } from '../config/limits.ts';
import { FLOW, FLOW_KEY } from '../fastpath/flow-entry.ts';
import { TableAddressBook } from '../gateway/dns/address-book.ts';
import { GatewayDns } from '../gateway/dns/dns.ts';
import { EgressPolicies } from '../gateway/egress-policies.ts';
import { FlowShare } from '../gateway/flow-share.ts';
import type { DialNews, GivenUp } from '../gateway/forward-binding.ts';
import { Gateway } from '../gateway/gateway.ts';
import { HostServices } from '../gateway/host-services.ts';
import { Outbox } from '../gateway/outbox.ts';
import { Sockets } from '../gateway/sockets.ts';
import { Handover } from '../gateway/tcp/handover.ts';
import type { Offloads } from '../gateway/tcp/offload.ts';
import { TimerWheel } from '../gateway/timer-wheel.ts';
import { VmUse } from '../gateway/vm-use.ts';
import { BATCH_FRAMES, FrameBatch } from '../port/batch.ts';
import { FaultyPort } from '../port/faulty-port.ts';
import { PacketPort, PacketVectors } from '../port/packet-port.ts';
import type { Port } from '../port/port.ts';
import { TapPort } from '../port/tap-port.ts';
import { Forwarder } from '../switch/forwarder.ts';
import { GATEWAY_PORT, KIND_VM, MAX_PORTS, Tables } from '../switch/tables.ts';
import { dropReason, FLOOD, KEPT } from '../switch/verdict.ts';
import { BpfMap } from '../sys/bpf.ts';
import { Clock } from '../sys/clock.ts';
import { DescriptorSet } from '../sys/descriptor-set.ts';
import { EPOLLET, EPOLLIN, Epoll } from '../sys/epoll.ts';
import { clearEventfd, signalEventfd } from '../sys/eventfd.ts';
import { close } from '../sys/libc.ts';
import { CounterBlock } from '../telemetry/counters.ts';
import type { Answer, Command, OffloadQuestion, PortBinding, WorkerSetup } from './commands.ts';
import { EgressQueues } from './egress.ts';
import { EventWait } from './event-wait.ts';
import { ReceiveTurns } from './receive-turns.ts';
import { RingWatch } from './ring-watch.ts';

/** Longest sleep, `ms`: a thread inside a foreign call cannot be ended, so it comes out of it now and then. */
const MAX_SLEEP_MS = 500;
/** Many: with thousands of flows at one VM, what is ready at another is not to wait for dozens of rounds. */
const EVENTS_PER_WAIT = 512;
const WAKE_TOKEN = 0;
/** Tokens from here on are the gateway's sockets; below are the ports', negative ones are watched descriptors */
const FIRST_SOCKET_TOKEN = MAX_PORTS;

/** What a datapath tells its thread. */
export interface DatapathOwner {
  /** The control thread has said something; the callee calls {@link Datapath.execute} */
  commands(): void;
  /** The watched descriptor with that token became readable */
  watched(token: number): void;
  /** A forward's connection was given up */
  gaveUp(what: GivenUp): void;
  /** See GatewayContext */
  dialed(number: number, news: DialNews): void;
  reached(port: number, guestPort: number): void;
  offload(question: OffloadQuestion): void;
}

export class Datapath {
  readonly #setup: WorkerSetup;
  readonly #clock = new Clock();
  readonly #batch = new FrameBatch(BATCH_FRAMES);
  readonly #vectors = new PacketVectors(this.#batch);
  readonly #egress = new EgressQueues();
  readonly #ports: (Port | undefined)[] = new Array(MAX_PORTS).fill(undefined);
  /** Ports of each network, for flooding */
  readonly #members: number[][] = Array.from({ length: MAX_NETWORKS }, () => []);
  /** Ports this worker receives from */
  readonly #own = new Set<number>();
  /** Own ports that can have frames without their descriptor telling */
  readonly #timed: number[] = [];
  readonly #tables: Tables;
  readonly #counters: CounterBlock;
  readonly #heartbeats: Int32Array;
  readonly #forwarder: Forwarder;
  readonly #gateway: Gateway;
  readonly #epoll: Epoll;
  readonly #wait: EventWait;
  readonly #turns: ReceiveTurns;
  readonly #sockets: Sockets;
  readonly #timers: TimerWheel;
  readonly #outbox: Outbox;
  readonly #policies = new EgressPolicies();
  readonly #services = new HostServices();
  readonly #dns: GatewayDns;
  readonly #owner: DatapathOwner;
  readonly #wakeFd: number;
  readonly #share: FlowShare;
  readonly #handover: Handover;
  /** Only while something is captured; the ports are wrapped then */
  #taps: CaptureTaps | undefined;
  readonly #rings: RingWatch;
  #running = true;

  constructor(setup: WorkerSetup, owner: DatapathOwner) {
    this.#setup = setup;
    this.#owner = owner;
    this.#tables = new Tables(setup.tables, setup.worker);
    this.#counters = new CounterBlock(setup.counters, setup.worker, MAX_PORTS);
    this.#heartbeats = new Int32Array(setup.heartbeats);
    this.#forwarder = new Forwarder(this.#tables, this.#clock, setup.startedSeconds);
    this.#epoll = new Epoll(setup.epollFd, EVENTS_PER_WAIT);
    this.#wakeFd = setup.wakeFds[setup.worker] as number;
    this.#epoll.add(this.#wakeFd, EPOLLIN, WAKE_TOKEN);
    this.#wait = new EventWait(this.#epoll, this.#clock);
    this.#turns = new ReceiveTurns(this.#counters);
    this.#sockets = new Sockets(this.#epoll, FIRST_SOCKET_TOKEN, new DescriptorSet(setup.descriptors));
    this.#rings = new RingWatch(this.#sockets, (ring, port) => this.#taps?.sniff(ring, port));
    this.#timers = new TimerWheel(this.#clock.ms);
    this.#outbox = new Outbox((port) => this.#ports[port]);
    const book = new TableAddressBook(this.#tables, this.#clock);
    this.#dns = new GatewayDns(this.#sockets, this.#clock, this.#timers, book, this.#counters);
    const use = new VmUse(setup.use, setup.worker);
    this.#share = new FlowShare(setup.worker, setup.wakeFds.length);
    const wake = (worker: number) => signalEventfd(setup.wakeFds[worker] as number);
    this.#handover = new Handover(setup.handover, this.#share, use, wake);
    const context = {
      tables: this.#tables,
      clock: this.#clock,
      counters: this.#counters,
      forwarder: this.#forwarder,
      outbox: this.#outbox,
      timers: this.#timers,
      sockets: this.#sockets,
      policies: this.#policies,
      services: this.#services,
      dns: this.#dns,
      gaveUp: (what: GivenUp) => owner.gaveUp(what),
      dialed: (number: number, news: DialNews) => owner.dialed(number, news),
      reached: (port: number, guestPort: number) => owner.reached(port, guestPort),
      dropped: (slot: number, ingress: number, reason: number) => this.#drop(slot, ingress, reason),
      settle: (slot: number, ingress: number, verdict: number) => this.#carryOut(slot, ingress, verdict),
      share: this.#share,
      offloads: this.#offloads(),
      use,
    };
    this.#gateway = new Gateway(context, this.#handover);
  }

  #offloads(): Offloads | undefined {
    const { flowsFd, worker } = this.#setup;
    if (flowsFd === undefined) return undefined;
    const flows = new BpfMap(FLOW_KEY.bytes, FLOW.bytes, flowsFd);
    const ask: Offloads['ask'] = (question, port, local, remote) =>
      this.#owner.offload({ question, port, local, remote });
    return { flows, worker, ask };
  }

  /** Runs until told to stop. */
  run(): void {
    try {
      this.#loop();
    } finally {
      this.#rings.follow([]);
      this.#gateway.close();
      this.#handover.take((_, fd) => close(fd));
      this.#outbox.release();
      this.#epoll.release();
      this.#vectors.release();
      this.#batch.release();
    }
  }

  #loop(): void {
    while (this.#running) {
      const ready = this.#wait.next(this.#sleepMs());
      Atomics.add(this.#heartbeats, this.#setup.worker, 1);
      for (let i = 0; i < ready; i++) {
        const token = this.#epoll.token(i);
        if (token >= FIRST_SOCKET_TOKEN) this.#sockets.dispatch(token, this.#epoll.events(i));
        else if (token === WAKE_TOKEN) this.#wake();
        else if (token < WAKE_TOKEN) this.#owner.watched(-token);
        else if (this.#turns.take(token, ready === 1)) this.#service(token);
      }
      for (let i = 0; i < this.#timed.length; i++) this.#service(this.#timed[i] as number);
      this.#gateway.run();
      if (this.#taps !== undefined) this.#taps.settle();
    }
  }

  #sleepMs(): number {
    if (this.#gateway.busy) return 0;
    let sleep = this.#timers.dueIn(this.#clock.ms, MAX_SLEEP_MS);
    for (let i = 0; i < this.#timed.length; i++) {
      const due = this.#ports[this.#timed[i] as number]?.dueInMs?.() ?? -1;
      if (due >= 0 && due < sleep) sleep = due;
    }
    return sleep;
  }

  #wake(): void {
    clearEventfd(this.#wakeFd);
    // Before commands: one may end the forward they came by.
    this.#handover.take((forward, fd) => this.#gateway.tcp.accept(forward, fd));
    this.#owner.commands();
  }

  /** Moves one batch of frames on from the port they wait at. */
  #service(ingress: number): void {
    const port = this.#ports[ingress];
    if (port === undefined) return;
    const count = port.receive(this.#batch);
    for (let slot = 0; slot < count; slot++) this.#forward(slot, ingress);
    this.#gateway.endBatch();
    if (this.#egress.rows > 0) this.#transmit();
    // What the gateway sends may lie in this very batch.
    this.#outbox.flush();
  }

  #forward(slot: number, ingress: number): void {
    let verdict = this.#forwarder.decide(this.#batch, slot, ingress);
    if (verdict === GATEWAY_PORT) verdict = this.#gateway.handle(this.#batch, slot, ingress);
    this.#carryOut(slot, ingress, verdict);
  }

  #carryOut(slot: number, ingress: number, verdict: number): void {
    if (verdict > GATEWAY_PORT) this.#egress.add(verdict, slot);
    else if (verdict === FLOOD) this.#flood(slot, ingress);
    else if (verdict !== KEPT) this.#drop(slot, ingress, dropReason(verdict));
  }

  #drop(slot: number, ingress: number, reason: number): void {
    this.#counters.dropped(ingress, reason, 1);
    if (this.#taps !== undefined) this.#taps.dropped(this.#batch, slot, ingress, reason);
  }

  /** Sends a frame to every VM of its network but the one it came from. The host port gets nothing that is flooded. */
  #flood(slot: number, ingress: number): void {
    const members = this.#members[this.#tables.network(ingress)] as number[];
    for (let i = 0; i < members.length; i++) {
      const port = members[i] as number;
      if (port === ingress || this.#tables.kind(port) !== KIND_VM || !this.#tables.carrier(port)) continue;
      this.#egress.add(port, slot);
    }
  }

  #transmit(): void {
    const egress = this.#egress;
    for (let row = 0; row < egress.rows; row++) {
      const port = this.#ports[egress.port(row)];
      port?.transmit(this.#batch, egress.slots, egress.first(row), egress.count(row));
    }
    egress.clear();
  }

  /** Carries a command out. Called from `commands` of its owner only. */
  execute(command: Command): Answer {
    switch (command.op) {
      case 'attach':
        this.#attach(command.binding);
        break;
      case 'detach':
        this.#detach(command.port);
        break;
      case 'announce':
        this.#announce(command.port);
        break;
      case 'vm':
        this.#gateway.setVm(command.port, command.name, command.policy);
        break;
      case 'reset':
        return this.#gateway.reset(command.port);
      case 'flows':
        return this.#gateway.flowsOf(command.port);
      case 'dial':
        this.#gateway.dial(command.dial);
        break;
      case 'offload':
        this.#gateway.tcp.mayOffload(command.question, command.grant);
        break;
      case 'services':
        this.#services.set(command.network, command.services);
        break;
      case 'names':
        this.#dns.setNetwork(command.network, command.names);
        break;
      case 'upstreams':
        this.#dns.setUpstreams(command.network, command.upstreams);
        break;
      case 'forward':
        this.#gateway.addForward(command.forward);
        break;
      case 'unforward':
        this.#gateway.removeForward(command.number, command.port, command.reset);
        break;
      case 'capture':
        this.#capture(command.capture);
        break;
      case 'uncapture':
        this.#uncapture(command.number);
        break;
      case 'watch':
        this.#epoll.add(command.fd, EPOLLIN | EPOLLET, -command.token);
        break;
      case 'unwatch':
        this.#epoll.remove(command.fd);
        break;
      case 'stop':
        this.#running = false;
        break;
      case 'crash':
        throw new Error('crashed on request');
    }
    return undefined;
  }

  #attach({ port: number, network, kind, fds, worker, faults }: PortBinding): void {
    const isDealtOut = fds.length > 1;
    const fd = fds[isDealtOut ? this.#setup.worker : 0] as number;
    this.#share.setSpread(number, isDealtOut);
    const plain =
      kind === 'packet'
        ? new PacketPort(fd, number, this.#vectors, this.#counters)
        : new TapPort(fd, number, this.#counters);
    const port = faults ? new FaultyPort(plain, number, faults, this.#counters, () => this.#clock.ms) : plain;
    this.#ports[number] = this.#taps?.around(port, number) ?? port;
    this.#members[network]?.push(number);
    if (worker !== this.#setup.worker && !isDealtOut) return;
    this.#own.add(number);
    this.#turns.add(number);
    this.#epoll.add(fd, EPOLLIN, number);
    if (port instanceof FaultyPort) this.#timed.push(number);
  }

  #detach(number: number): void {
    const port = this.#ports[number];
    if (port === undefined) return;
    this.#gateway.forget(number);
    this.#outbox.flush();
    this.#ports[number] = undefined;
    for (const members of this.#members) {
      const at = members.indexOf(number);
      if (at >= 0) members.splice(at, 1);
    }
    const timed = this.#timed.indexOf(number);
    if (timed >= 0) this.#timed.splice(timed, 1);
    if (this.#own.delete(number)) this.#epoll.remove(port.fd);
  }

  #capture(binding: CaptureBinding): void {
    const isFirst = this.#taps === undefined;
    this.#taps ??= new CaptureTaps(this.#setup.worker, this.#batch);
    this.#taps.set(binding);
    if (isFirst) this.#replacePorts((port, number) => this.#taps?.around(port, number) ?? port);
    this.#rings.follow(this.#taps?.sniffers ?? []);
  }

  #uncapture(number: number): void {
    const isLast = this.#taps?.remove(number);
    this.#rings.follow(this.#taps?.sniffers ?? []);
    if (isLast !== true || this.#taps === undefined) return;
    this.#replacePorts((port) => (port instanceof CapturedPort ? port.inner : port));
    this.#taps.release();
    this.#taps = undefined;
  }

  #replacePorts(by: (port: Port, number: number) => Port): void {
    // What waits for its port goes out by it as it was.
    this.#outbox.flush();
    for (const [number, port] of this.#ports.entries()) {
      if (port !== undefined) this.#ports[number] = by(port, number);
    }
  }

  #announce(number: number): void {
    if (this.#ports[number] === undefined) return;
    const network = this.#tables.network(number);
    this.#gateway.neighbours.announceGateway(this.#batch, 0, network);
    this.#egress.add(number, 0);
    if (this.#gateway.announceRouter(this.#batch, 1, network)) this.#egress.add(number, 1);
    if (this.#gateway.neighbours.announceHost(this.#batch, 2, network)) this.#egress.add(number, 2);
    this.#transmit();
  }
}
