/**
 * The forwards of one VM, and its loopback identity: an address of the host's loopback where every port that is forwarded
 * from an address keeps its own number. One that leads from a socket path has none there: the path is for its owner
 * alone.
 *
 * What was asked for is all there or refused. The identity comes with it where it can: a port somebody else has on
 * every address is missing there, and the log says so.
 */
import type { Allocations } from '../config/allocations.ts';
import { nowhere } from '../config/fault.ts';
import {
  type ForwardHost,
  formatForward,
  formatListener,
  isExposed,
  type Listeners,
  type PortForward,
} from '../config/forwards.ts';
import { formatEndpoint, formatIp, ipv4Words, isIpv4, isSameIp } from '../config/ip.ts';
import type { Protocol } from '../config/ports.ts';
import { TapswitchError } from '../errors.ts';
import type { ForwardBinding, GivenUp } from '../gateway/forward-binding.ts';
import type { DropReason } from '../telemetry/drops.ts';
import type { Logger } from '../telemetry/logger.ts';
import { derivedPorts } from './derived-port.ts';
import { closeListener, type Listener, openListener } from './listener.ts';

/** Whoever takes the connections. */
export interface ForwardWorkers {
  forward(binding: ForwardBinding): Promise<void>;
  /** Once resolved, nobody touches the descriptor any more. With `reset` the forward's flows end. */
  unforward(binding: ForwardBinding, reset: boolean): Promise<void>;
}

/** A forward as it is served. */
export interface ForwardState {
  readonly protocol: Protocol;
  /** `127.0.0.1:16080`, `[::1]:16080` or `unix:/path` */
  readonly host: string;
  readonly guestPort: number;
  /** Others than this host can reach it */
  readonly exposed: boolean;
  /** It is the port of the VM's loopback identity, which nobody asked for */
  readonly identity?: boolean;
}

export interface VmForwardsOptions {
  readonly id: string;
  /** The VM's */
  readonly port: number;
  /** Loopback identity, uint32 */
  readonly loopback: number;
  readonly workers: ForwardWorkers;
  /** What all VMs' forwards listen on, identities apart */
  readonly listeners: Listeners;
  readonly kept: Allocations;
  /** A number no other forward of the switch has */
  readonly nextNumber: () => number;
  readonly log: Logger;
}

interface Served {
  readonly asked: PortForward;
  readonly listener: Listener;
  readonly binding: ForwardBinding;
  readonly identity: boolean;
}

const EVERY_ADDRESS = ipv4Words(0);

function isSameHost(one: ForwardHost, other: ForwardHost): boolean {
  if (one.kind === 'unix' || other.kind === 'unix') {
    return one.kind === 'unix' && other.kind === 'unix' && one.path === other.path;
  }
  return one.port === other.port && isSameIp(one.address, other.address);
}

function leadsLike(one: PortForward, other: PortForward): boolean {
  return one.protocol === other.protocol && one.guestPort === other.guestPort;
}

/** True when a socket at `host` takes connections to `other`, or a port from it. */
function covers(host: ForwardHost, other: ForwardHost): boolean {
  if (host.kind === 'unix' || other.kind === 'unix' || host.port !== other.port) return false;
  const every = isSameIp(host.address, EVERY_ADDRESS) && isIpv4(other.address);
  return every || isSameIp(host.address, other.address);
}

/** What kept a forward's connection from the VM, in words. */
const GIVEN_UP: Readonly<Partial<Record<DropReason, string>>> = {
  'forward-no-carrier': 'nobody held the TAP of the VM',
  'forward-no-address': 'the address or the MAC of the VM did not become known',
  'forward-unanswered': 'the VM did not answer',
  'forward-refused': 'nothing listened in the VM',
};

export class VmForwards {
  readonly loopback: number;
  readonly #options: VmForwardsOptions;
  readonly #log: Logger;
  readonly #served = new Set<Served>();

  constructor(options: VmForwardsOptions) {
    this.#options = options;
    this.loopback = options.loopback;
    this.#log = options.log.child({ vm: options.id });
  }

  /** The forwards that were asked for, as they were. */
  get asked(): PortForward[] {
    return [...this.#served].filter(({ identity }) => !identity).map(({ asked }) => asked);
  }

  states(): ForwardState[] {
    return [...this.#served].map((served) => this.#stateOf(served));
  }

  /** Those from port 0 with the port that was chosen, in full. */
  get chosen(): string[] {
    return [...this.#served].flatMap(({ asked, listener: { host } }) =>
      asked.host.kind === 'ip' && asked.host.port === 0 ? [formatForward({ ...asked, host })] : [],
    );
  }

  #stateOf({ asked, listener: { host }, identity }: Served): ForwardState {
    return {
      protocol: asked.protocol,
      host: host.kind === 'unix' ? `unix:${host.path}` : formatEndpoint(host.address, host.port),
      guestPort: asked.guestPort,
      exposed: isExposed(asked),
      ...(identity && { identity }),
    };
  }

  /** Where to try for a forward from port 0. */
  #portsFor(asked: PortForward): number[] {
    const { id, kept } = this.#options;
    const { guestPort, protocol } = asked;
    const derived = derivedPorts(id, guestPort, protocol);
    return [
      ...kept.portsOf(id, asked),
      ...derived.filter((port) => !kept.isPortOfAnother(port, protocol, id)),
    ];
  }

  #listen(asked: PortForward, identity: boolean): Served {
    const { id, port, nextNumber } = this.#options;
    const listener = openListener(asked, id, this.#portsFor(asked));
    const { protocol, guestPort, waitMs } = asked;
    const binding = { number: nextNumber(), fd: listener.fd, protocol, port, guestPort, waitMs };
    return { asked, listener, binding, identity };
  }

  /** Claims and opens what forwards listen on, all or none. */
  #listenAll(forwards: readonly PortForward[]): Served[] {
    const { id, listeners } = this.#options;
    const claimed: PortForward[] = [];
    const added: Served[] = [];
    try {
      for (const forward of forwards) {
        listeners.claim(forward, id, nowhere, ['vms', id, 'forwards']);
        claimed.push(forward);
      }
      for (const forward of forwards) added.push(this.#listen(forward, false));
      return added;
    } catch (error) {
      for (const { listener } of added) closeListener(listener);
      for (const forward of claimed) listeners.release(forward);
      throw error;
    }
  }

  /**
   * Opens forwards, all or none. Resolves with their states once connections are taken.
   * @throws TapswitchError FORWARD_IN_USE, and see {@link openListener}
   */
  async add(forwards: readonly PortForward[]): Promise<ForwardState[]> {
    const added = this.#listenAll(forwards);
    for (const served of added) this.#served.add(served);
    const identities = this.#openIdentities(forwards);
    try {
      await this.#serve([...added, ...identities]);
    } catch (error) {
      await this.#end([...added, ...identities], true);
      throw error;
    }
    for (const served of added) this.#logExposed(served);
    return added.map((served) => this.#stateOf(served));
  }

  #logExposed(served: Served): void {
    if (!isExposed(served.asked)) return;
    const { host, protocol, guestPort } = this.#stateOf(served);
    this.#log.warn({ host, protocol, guestPort }, 'forward is exposed: others than this host can reach it');
  }

  async #serve(added: readonly Served[]): Promise<void> {
    await Promise.all(added.map(({ binding }) => this.#options.workers.forward(binding)));
  }

  /** Opens what is missing of the identity for these forwards, and can be. */
  #openIdentities(forwards: readonly PortForward[]): Served[] {
    const added: Served[] = [];
    for (const forward of forwards) {
      const { host, guestPort } = forward;
      if (host.kind === 'unix') continue;
      const address = ipv4Words(this.loopback);
      const wanted: PortForward = { ...forward, host: { kind: 'ip', address, port: guestPort } };
      const there = [...this.#served].some(
        ({ asked, listener }) => leadsLike(asked, wanted) && covers(listener.host, wanted.host),
      );
      const served = there ? undefined : this.#tryIdentity(wanted);
      if (served === undefined) continue;
      this.#served.add(served);
      added.push(served);
    }
    return added;
  }

  #tryIdentity(wanted: PortForward): Served | undefined {
    try {
      return this.#listen(wanted, true);
    } catch (error) {
      if (!(error instanceof TapswitchError)) throw error;
      this.#log.warn(
        { host: formatListener(wanted), err: error.message },
        'port is missing at the loopback identity',
      );
      return undefined;
    }
  }

  /**
   * Ends forwards: each is one that was asked for, or the same with the host port that was chosen.
   * @param reset ends their flows, too
   * @returns them as they were asked for
   * @throws TapswitchError FORWARD_UNKNOWN when one is not there; nothing is changed then
   */
  async remove(forwards: readonly PortForward[], reset: boolean): Promise<PortForward[]> {
    const removed = forwards.map((forward) => this.#find(forward));
    const left = this.asked.filter((asked) => !removed.some((served) => served.asked === asked));
    const identities = [...this.#served].filter(
      ({ asked, identity }) =>
        identity &&
        removed.some((served) => leadsLike(served.asked, asked)) &&
        !left.some((other) => other.host.kind === 'ip' && leadsLike(other, asked)),
    );
    await this.#end([...removed, ...identities], reset);
    // One that was removed may have taken the identity's part of another.
    await this.#serve(
      this.#openIdentities(left.filter((asked) => forwards.some((one) => leadsLike(one, asked)))),
    );
    return removed.map(({ asked }) => asked);
  }

  #find(forward: PortForward): Served {
    for (const served of this.#served) {
      const { asked, listener, identity } = served;
      if (identity || !leadsLike(asked, forward)) continue;
      if (isSameHost(asked.host, forward.host) || isSameHost(listener.host, forward.host)) return served;
    }
    throw new TapswitchError(
      'FORWARD_UNKNOWN',
      `VM ${this.#options.id} has no forward ${formatListener(forward)} to port ${forward.guestPort}`,
      'Use one that forwards() lists, or as it was written when it was added.',
    );
  }

  /** Lets go of ports of the identity that somebody asks for at the address and port `host`. */
  async giveWay(host: ForwardHost, protocol: Protocol): Promise<void> {
    const given = [...this.#served].filter(
      ({ asked, identity }) => identity && asked.protocol === protocol && covers(host, asked.host),
    );
    for (const served of given) {
      this.#log.warn(
        { host: this.#stateOf(served).host, protocol },
        'loopback identity gives way to a forward',
      );
    }
    await this.#end(given, false);
  }

  /** Logs that a connection was given up, if it was one of these forwards'. */
  gaveUp({ forward, reason, waitedMs }: GivenUp): void {
    for (const served of this.#served) {
      if (served.binding.number !== forward) continue;
      const { host, guestPort } = this.#stateOf(served);
      const said = GIVEN_UP[reason] ?? 'the VM could not be reached';
      this.#log.warn({ host, guestPort, reason, waitedMs }, `connection reset: ${said}`);
    }
  }

  /** Ends everything, flows included. */
  close(): Promise<void> {
    return this.#end([...this.#served], true);
  }

  async #end(ended: readonly Served[], reset: boolean): Promise<void> {
    for (const served of ended) this.#served.delete(served);
    const { workers } = this.#options;
    try {
      await Promise.all(ended.map(({ binding }) => workers.unforward(binding, reset)));
    } finally {
      for (const served of ended) {
        this.#closeListener(served);
        if (!served.identity) this.#options.listeners.release(served.asked);
      }
    }
  }

  #closeListener({ listener }: Served): void {
    try {
      closeListener(listener);
    } catch (error) {
      this.#log.warn({ err: error, vm: this.#options.id, path: listener.file?.path }, 'socket file stays');
    }
  }

  /** Text of the loopback identity. */
  get loopbackText(): string {
    return formatIp(ipv4Words(this.loopback));
  }
}
