/**
 * One flow without connection: a guest's UDP port or echo identifier, the remote end as the guest sees it, and what
 * carries it on the host's side: a connected socket of its own, or the socket of the forward it came by.
 */
import { EPOLLERR } from '../../sys/epoll.ts';
import { isMapped } from '../../sys/inet-socket.ts';
import type { Pollable } from '../sockets.ts';
import { type Timed, Timer } from '../timer-wheel.ts';
import type { FlowKey } from './flow-table.ts';
import type { Forward } from './forwards.ts';
import type { Readable, ReadyList } from './ready-list.ts';

/** Hops a packet may still take as hosts send it (RFC 1700), less the one it took to us */
export const USUAL_HOPS = 63;

/** What happens to a flow from outside the frames of its guest. */
export interface FlowEvents {
  readonly readyList: ReadyList;
  /** Something went wrong on the host's side: it waits in the socket's error queue. */
  hostFailed(flow: DatagramFlow): void;
  /** Takes some of what waits; true when there may be more. */
  receive(flow: DatagramFlow): boolean;
  timerExpired(flow: DatagramFlow): void;
  /** The flow is over: its socket is closed, and no table leads to it. */
  ended(flow: DatagramFlow): void;
}

export class DatagramFlow implements Pollable, Timed, Readable {
  readonly #events: FlowEvents;
  readonly timer = new Timer(this);

  // --- lists ----------------------------------------------------------------------------------------------
  nextInBucket: DatagramFlow | undefined = undefined;
  /** Neighbours in the order of last use among the flows of the VM */
  older: DatagramFlow | undefined = undefined;
  newer: DatagramFlow | undefined = undefined;
  nextReady: Readable | undefined = undefined;
  isReady = false;

  // --- identity -------------------------------------------------------------------------------------------
  readonly port: number;
  readonly guest0: number;
  readonly guest1: number;
  readonly guest2: number;
  readonly guest3: number;
  /** Of an echo flow the identifier */
  readonly guestPort: number;
  readonly remote0: number;
  readonly remote1: number;
  readonly remote2: number;
  readonly remote3: number;
  /** Of an echo flow 0 */
  readonly remotePort: number;

  // --- the host's side ------------------------------------------------------------------------------------
  /** -1 once ended, and for a flow of a forward */
  fd = -1;
  token = -1;
  /** Stands for something of the host's, of which a guest is told nothing more */
  isService = false;
  /** Hop limit that its socket was told, {@link USUAL_HOPS} where it was not */
  hops = USUAL_HOPS;
  /** An echo flow's socket is a raw one, which has to be told its own replies by `hostIdentifier` */
  isRaw = false;
  hostIdentifier = 0;
  /** The forward it came by, and the client there */
  forward: Forward | undefined = undefined;
  client0 = 0;
  client1 = 0;
  client2 = 0;
  client3 = 0;
  clientPort = 0;
  nextOfForward: DatagramFlow | undefined = undefined;

  /** Clock when something last went either way */
  usedMs = 0;
  /** Something came from either side in answer to the other */
  isAnswered = false;

  constructor(key: FlowKey, events: FlowEvents) {
    this.#events = events;
    this.port = key.port;
    this.guest0 = key.guest0;
    this.guest1 = key.guest1;
    this.guest2 = key.guest2;
    this.guest3 = key.guest3;
    this.guestPort = key.guestPort;
    this.remote0 = key.remote0;
    this.remote1 = key.remote1;
    this.remote2 = key.remote2;
    this.remote3 = key.remote3;
    this.remotePort = key.remotePort;
  }

  get isIpv4(): boolean {
    return isMapped(this.remote0, this.remote1, this.remote2);
  }

  /** The host's socket is ready. */
  ready(events: number): void {
    if ((events & EPOLLERR) !== 0) this.#events.hostFailed(this);
    this.#events.readyList.visit(this);
  }

  receive(): boolean {
    return this.fd >= 0 && this.#events.receive(this);
  }

  /** The flow's timer has run out. */
  expire(): void {
    this.#events.timerExpired(this);
  }
}
