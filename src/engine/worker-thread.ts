/**
 * The control thread's end of one datapath worker: commands with acknowledgement, and a replacement when it dies.
 *
 * Theory of operation. The control thread owns every descriptor, the worker's epoll and eventfd included; a thread
 * that died has left nothing open that is not known here. Shared memory (tables, counters) outlives it too. The
 * replacement gets a fresh epoll, is told of every port, VM, service, forward and watched descriptor again, and goes on;
 * what had not been acknowledged is part of that state, so its callers are answered once it runs. What the thread
 * opened itself, connections of its guests, is noted in a DescriptorSet, and closed here when it has died.
 *
 * A worker that does not acknowledge within ACK_TIMEOUT_MS is stuck: the caller gets WORKER_STUCK.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { CaptureBinding } from '../capture/tap.ts';
import type { DnsUpstream } from '../config/dns.ts';
import { TapswitchError } from '../errors.ts';
import type { OffloadGrant } from '../fastpath/flow-entry.ts';
import type { NetworkNames } from '../gateway/dns/names.ts';
import type { FlowRecord } from '../gateway/flow-list.ts';
import type { DialBinding, DialNews, ForwardBinding, GivenUp } from '../gateway/forward-binding.ts';
import type { HostServiceRecord } from '../gateway/host-services.ts';
import { allocateDescriptorSet, DescriptorSet } from '../sys/descriptor-set.ts';
import { openEpoll } from '../sys/epoll.ts';
import { signalEventfd } from '../sys/eventfd.ts';
import { close } from '../sys/libc.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  type Answer,
  type Command,
  type CommandMessage,
  datapathThreadName,
  type OffloadQuestion,
  type PortBinding,
  type WorkerMessage,
  type WorkerSetup,
} from './commands.ts';

const ACK_TIMEOUT_MS = 5000;
/** Frames allocate nothing and flows live long: more room for young objects would be memory used once, `MB` */
const YOUNG_GENERATION_MB = 3;
/** Pause before a worker that has died repeatedly is started again, `ms` */
const RESTART_PAUSE_MS = 200;

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly timer: NodeJS.Timeout;
  /** The thread it was said to has died */
  orphaned: boolean;
}

export type ThreadSetup = Omit<WorkerSetup, 'epollFd' | 'descriptors'>;

/** What the gateway is told of a VM, see {@link Command}. */
export interface VmRecord {
  readonly name: string;
  /** Words of an EgressPolicy */
  readonly policy: Int32Array;
}

/** What a worker tells. */
export interface WorkerEvents {
  /** The watched descriptor with that token became readable */
  watched(token: number): void;
  /** A forward's connection was given up */
  gaveUp(what: GivenUp): void;
  dialed(number: number, news: DialNews): void;
  reached(port: number, guestPort: number): void;
  offload(question: OffloadQuestion): void;
  /** The thread has died; its replacement is about to start */
  died(): void;
}

export class WorkerThread {
  readonly #setup: ThreadSetup;
  readonly #log: Logger;
  readonly #events: WorkerEvents;
  readonly #wakeFd: number;
  readonly #ports = new Map<number, PortBinding>();
  readonly #vms = new Map<number, VmRecord>();
  readonly #services = new Map<number, readonly HostServiceRecord[]>();
  readonly #names = new Map<number, NetworkNames>();
  readonly #upstreams = new Map<number, readonly DnsUpstream[]>();
  readonly #forwards = new Map<number, ForwardBinding>();
  readonly #watches = new Map<number, number>();
  readonly #captures = new Map<number, CaptureBinding>();
  readonly #descriptors = allocateDescriptorSet();
  readonly #pending = new Map<number, Pending>();
  #epollFd = -1;
  #control: MessagePort | undefined;
  #worker: Worker | undefined;
  #sequence = 0;
  #replaced = 0;
  #stopping = false;

  constructor(setup: ThreadSetup, log: Logger, events: WorkerEvents) {
    this.#setup = setup;
    this.#wakeFd = setup.wakeFds[setup.worker] as number;
    this.#log = log.child({ worker: setup.worker });
    this.#events = events;
    this.#start();
  }

  /** How often the thread has been replaced. */
  get replaced(): number {
    return this.#replaced;
  }

  #start(): void {
    this.#epollFd = openEpoll();
    const { port1, port2 } = new MessageChannel();
    this.#control = port1;
    port1.on('message', (message: WorkerMessage) => this.#hear(message));
    const setup: WorkerSetup = {
      ...this.#setup,
      epollFd: this.#epollFd,
      descriptors: this.#descriptors,
    };
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { setup, control: port2 },
      transferList: [port2],
      execArgv: [], // ours is a file that needs none of what the owner was started with, and some would break it
      name: datapathThreadName(setup.worker),
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker = worker;
    let fault: unknown;
    worker.on('error', (error) => {
      fault = error;
    });
    worker.on('exit', () => this.#exited(worker, fault));
    this.#tellAll();
    signalEventfd(this.#wakeFd);
  }

  /** Tells a new thread what those before it were told. */
  #tellAll(): void {
    for (const [network, services] of this.#services) this.#post({ op: 'services', network, services });
    for (const [network, names] of this.#names) this.#post({ op: 'names', network, names });
    for (const [network, upstreams] of this.#upstreams) this.#post({ op: 'upstreams', network, upstreams });
    for (const [port, vm] of this.#vms) this.#post({ op: 'vm', port, ...vm });
    for (const capture of this.#captures.values()) this.#post({ op: 'capture', capture });
    for (const binding of this.#ports.values()) this.#post({ op: 'attach', binding });
    for (const forward of this.#forwards.values()) this.#post({ op: 'forward', forward });
    for (const [token, fd] of this.#watches) this.#post({ op: 'watch', fd, token });
  }

  #exited(worker: Worker, fault: unknown): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#control?.close();
    close(this.#epollFd);
    new DescriptorSet(this.#descriptors).closeAll();
    if (this.#stopping) {
      this.#settle();
      return;
    }
    for (const pending of this.#pending.values()) pending.orphaned = true;
    this.#replaced++;
    this.#log.error({ err: fault, ports: this.#ports.size }, 'datapath worker died; replacing it');
    this.#events.died();
    const restart = () => {
      if (this.#stopping) return;
      this.#start();
      this.#log.warn({ ports: this.#ports.size }, 'datapath worker replaced, its ports are attached again');
    };
    if (this.#replaced === 1) restart();
    else setTimeout(restart, RESTART_PAUSE_MS);
  }

  /** Answers who still waits: the state they asked for is the one the thread was started with, or ended with. */
  #settle(): void {
    for (const [sequence, { orphaned }] of this.#pending) {
      if (orphaned || this.#stopping) this.#resolve(sequence);
    }
  }

  #resolve(sequence: number, answer?: Answer): void {
    const pending = this.#pending.get(sequence);
    if (pending === undefined) return;
    this.#pending.delete(sequence);
    clearTimeout(pending.timer);
    pending.resolve(answer);
  }

  #hear(message: WorkerMessage): void {
    if (message.type === 'watched') this.#events.watched(message.token);
    else if (message.type === 'gave-up') this.#events.gaveUp(message.what);
    else if (message.type === 'running') this.#settle();
    else if (message.type === 'dialed') this.#events.dialed(message.number, message.news);
    else if (message.type === 'reached') this.#events.reached(message.port, message.guestPort);
    else if (message.type === 'offload') this.#events.offload(message);
    else this.#resolve(message.sequence, message.answer);
  }

  #post(command: Command): number {
    const message: CommandMessage = { ...command, sequence: ++this.#sequence };
    this.#control?.postMessage(message);
    return message.sequence;
  }

  #tell(command: Command): Promise<void> {
    return this.#ask(command).then(() => {});
  }

  /** Undefined where nobody is left to answer. */
  #ask(command: Command): Promise<Answer> {
    // A thread on its way out does nothing any more.
    if (this.#stopping) return Promise.resolve(undefined);
    const sequence = this.#post(command);
    signalEventfd(this.#wakeFd);
    return new Promise((resolve, reject) => {
      const expire = () => {
        if (!this.#pending.delete(sequence)) return;
        reject(
          new TapswitchError(
            'WORKER_STUCK',
            `datapath worker ${this.#setup.worker} did not carry out '${command.op}' within ${ACK_TIMEOUT_MS} ms`,
            'Restart tapswitch; if it happens again, report it with the log.',
          ),
        );
      };
      // It may be this thread that was late: an answer that is there already shall be heard first.
      const timer = setTimeout(() => setImmediate(expire), ACK_TIMEOUT_MS);
      this.#pending.set(sequence, { resolve, timer, orphaned: this.#worker === undefined });
    });
  }

  /** @param vm what is behind the port, where it is a VM */
  async attach(binding: PortBinding, vm: VmRecord | undefined): Promise<void> {
    const { port } = binding;
    this.#ports.set(port, binding);
    const told = vm === undefined ? undefined : this.describe(port, vm);
    await Promise.all([told, this.#tell({ op: 'attach', binding })]);
  }

  /** Says what is behind a port that is attached, again. Does nothing where it is not. */
  describe(port: number, vm: VmRecord): Promise<void> {
    if (!this.#ports.has(port)) return Promise.resolve();
    this.#vms.set(port, vm);
    return this.#tell({ op: 'vm', port, ...vm });
  }

  services(network: number, services: readonly HostServiceRecord[]): Promise<void> {
    this.#services.set(network, services);
    return this.#tell({ op: 'services', network, services });
  }

  names(network: number, names: NetworkNames): Promise<void> {
    this.#names.set(network, names);
    return this.#tell({ op: 'names', network, names });
  }

  upstreams(network: number, upstreams: readonly DnsUpstream[]): Promise<void> {
    this.#upstreams.set(network, upstreams);
    return this.#tell({ op: 'upstreams', network, upstreams });
  }

  forward(forward: ForwardBinding): Promise<void> {
    this.#forwards.set(forward.number, forward);
    return this.#tell({ op: 'forward', forward });
  }

  /** Once resolved, the thread does not touch the forward's descriptor any more. */
  unforward(number: number, port: number, reset: boolean): Promise<void> {
    if (!this.#forwards.delete(number)) return Promise.resolve();
    return this.#tell({ op: 'unforward', number, port, reset });
  }

  /** Ends the flows of another worker's forward to the VM on `port`. */
  endForward(number: number, port: number): Promise<void> {
    return this.#tell({ op: 'unforward', number, port, reset: true });
  }

  /** Ends the flows of the VM on `port`; how many there were. */
  async reset(port: number): Promise<number> {
    return ((await this.#ask({ op: 'reset', port })) as number | undefined) ?? 0;
  }

  /** The flows of the VM on `port`. */
  async flows(port: number): Promise<readonly FlowRecord[]> {
    return ((await this.#ask({ op: 'flows', port })) as readonly FlowRecord[] | undefined) ?? [];
  }

  /** Makes a connection to a VM. Its descriptor is the thread's; false, and it is the caller's, while there is none. */
  dial(dial: DialBinding): boolean {
    if (this.#worker === undefined || this.#stopping) return false;
    // Noted here: should the thread die before it has read this, it is closed with the others.
    if (!new DescriptorSet(this.#descriptors).add(dial.fd)) return false;
    this.#post({ op: 'dial', dial });
    signalEventfd(this.#wakeFd);
    return true;
  }

  /** Answers the thread's question; where it has died meanwhile, nobody has that question. */
  mayOffload(question: number, grant: OffloadGrant | undefined): void {
    this.#post({ op: 'offload', question, grant });
    signalEventfd(this.#wakeFd);
  }

  /** Once resolved, the thread does not touch the port's descriptor any more. */
  detach(port: number): Promise<void> {
    if (!this.#ports.delete(port)) return Promise.resolve();
    this.#vms.delete(port);
    return this.#tell({ op: 'detach', port });
  }

  announce(port: number): Promise<void> {
    return this.#tell({ op: 'announce', port });
  }

  capture(capture: CaptureBinding): Promise<void> {
    this.#captures.set(capture.number, capture);
    return this.#tell({ op: 'capture', capture });
  }

  uncapture(number: number): Promise<void> {
    this.#captures.delete(number);
    return this.#tell({ op: 'uncapture', number });
  }

  watch(fd: number, token: number): Promise<void> {
    this.#watches.set(token, fd);
    return this.#tell({ op: 'watch', fd, token });
  }

  unwatch(fd: number, token: number): Promise<void> {
    if (!this.#watches.delete(token)) return Promise.resolve();
    return this.#tell({ op: 'unwatch', fd, token });
  }

  /** Makes the thread throw. For tests. */
  crash(): void {
    if (this.#stopping) return;
    this.#post({ op: 'crash' });
    signalEventfd(this.#wakeFd);
  }

  /** Ends the thread; resolves when it is gone and its descriptors are closed. */
  stop(): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    this.#stopping = true;
    const worker = this.#worker;
    if (worker === undefined) {
      // Dead, and not replaced yet: nobody is left to be told.
      this.#settle();
      return Promise.resolve();
    }
    const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#post({ op: 'stop' });
    signalEventfd(this.#wakeFd);
    return gone;
  }
}
