/**
 * One flow without connection: a guest's UDP port or echo identifier, the remote end as the guest sees it, and what
 * carries it on the host's side: a connected socket of its own, or the socket of the forward it came by.
 */
import { EPOLLERR } from '../../sys/epoll.ts';
import { USUAL_TTL } from '../../wire/ipv4.ts';
import { IndexedFlow } from '../flow-index.ts';
import type { FlowKey } from '../flow-key.ts';
import type { Pollable } from '../sockets.ts';
import { type Timed, Timer } from '../timer-wheel.ts';
import type { UdpForward } from './forwards.ts';
import type { Readable, ReadyList } from './ready-list.ts';

/** Hops a packet may still take that was sent with the usual limit: it took one to us */
export const HOPS_LEFT = USUAL_TTL - 1;

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

export class DatagramFlow extends IndexedFlow<DatagramFlow> implements Pollable, Timed, Readable {
  readonly #events: FlowEvents;
  readonly timer = new Timer(this);

  // --- lists ----------------------------------------------------------------------------------------------
  /** Neighbours in the order of last use among the flows of the VM */
  older: DatagramFlow | undefined = undefined;
  newer: DatagramFlow | undefined = undefined;
  nextReady: Readable | undefined = undefined;
  isReady = false;

  // --- the host's side ------------------------------------------------------------------------------------
  /** -1 once ended, and for a flow of a forward */
  fd = -1;
  token = -1;
  /** Stands for something of the host's, of which a guest is told nothing more */
  isService = false;
  /** Hop limit that its socket was told, {@link HOPS_LEFT} where it was not */
  hops = HOPS_LEFT;
  /** An echo flow's socket is a raw one, which has to be told its own replies by `hostIdentifier` */
  isRaw = false;
  hostIdentifier = 0;
  /** The forward it came by, and the client there */
  forward: UdpForward | undefined = undefined;
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
    super();
    this.#events = events;
    this.take(key);
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
