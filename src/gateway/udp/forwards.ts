/**
 * UDP ports of the host's that lead to a guest's.
 *
 * The socket of a forward is somebody else's, who closes it after the forward has ended. Every client that sends to it
 * gets a flow: to the guest it is a port of the gateway's, and what the guest sends there goes back by the same socket.
 */
import { ADDRESS_UNKNOWN, type Tables } from '../../switch/tables.ts';
import { EPOLLET, EPOLLIN } from '../../sys/epoll.ts';
import { EAGAIN } from '../../sys/errno.ts';
import { MAPPED } from '../../sys/inet-socket.ts';
import { DROP } from '../../telemetry/drops.ts';
import type { GatewayContext } from '../context.ts';
import { FlowKey } from '../flow-key.ts';
import type { Pollable } from '../sockets.ts';
import type { DatagramFlow } from './flow.ts';
import type { Flows } from './flows.ts';
import { type DatagramOutput, isReachable } from './output.ts';
import type { Readable, ReadyList } from './ready-list.ts';
import type { DatagramReceiver } from './receiver.ts';

/** Ports that clients appear at: those nobody is assigned (RFC 6335 section 6) */
const FIRST_PORT = 49_152;
const PORTS = 16_384;
/** Ports that are looked at for a free one; a VM has far fewer flows than there are ports */
const PORT_TRIES = 2048;
const BUCKETS = 256;
const BATCHES_PER_TURN = 4;

/** What a forward works with. */
export interface ForwardServices {
  readonly context: GatewayContext;
  readonly receiver: DatagramReceiver;
  readonly output: DatagramOutput;
  readonly flows: Flows;
  readonly readyList: ReadyList;
}

export class UdpForward implements Pollable, Readable {
  readonly fd: number;
  readonly #services: ForwardServices;
  readonly #port: number;
  readonly #guestPort: number;
  readonly #key = new FlowKey();
  readonly #clients: (DatagramFlow | undefined)[] = new Array(BUCKETS).fill(undefined);
  token = -1;
  nextReady: Readable | undefined = undefined;
  isReady = false;
  #ended = false;

  constructor(services: ForwardServices, fd: number, port: number, guestPort: number) {
    this.#services = services;
    this.fd = fd;
    this.#port = port;
    this.#guestPort = guestPort;
  }

  ready(): void {
    this.#services.readyList.visit(this);
  }

  receive(): boolean {
    const { receiver } = this.#services;
    let count = 0;
    for (let batch = 0; batch < BATCHES_PER_TURN && !this.#ended; batch++) {
      count = receiver.receive(this.fd);
      if (count === -EAGAIN) return false;
      for (let i = 0; i < count; i++) this.#deliver(receiver.first + i);
      if (count >= 0 && count < receiver.asked) return false;
    }
    return !this.#ended && count > 0;
  }

  #deliver(index: number): void {
    const { context, output, flows } = this.#services;
    const { tables, counters } = context;
    const port = this.#port;
    if (!takesForwarded(tables, port)) {
      counters.dropped(port, DROP['port-down'], 1);
      return;
    }
    const flow = this.#find(index, tables) ?? this.#open(index, tables);
    if (flow === undefined) {
      counters.dropped(port, DROP['flow-limit'], 1);
      return;
    }
    flows.touch(flow);
    output.datagram(flow, index);
  }

  #find(index: number, tables: Tables): DatagramFlow | undefined {
    const { vector } = this.#services.receiver;
    const w3 = vector.nameWord(index, 3);
    const clientPort = vector.namePort(index);
    let flow = this.#clients[bucketOf(w3, clientPort)];
    for (; flow !== undefined; flow = flow.nextOfForward) {
      if (
        flow.clientPort === clientPort &&
        flow.client3 === w3 &&
        flow.client2 === vector.nameWord(index, 2) &&
        flow.client1 === vector.nameWord(index, 1) &&
        flow.client0 === vector.nameWord(index, 0)
      ) {
        break;
      }
    }
    if (flow === undefined || flow.guest3 === tables.ip(this.#port)) return flow;
    // The guest has another address now.
    this.#services.flows.end(flow);
    return undefined;
  }

  #open(index: number, tables: Tables): DatagramFlow | undefined {
    const { flows, receiver } = this.#services;
    const port = this.#port;
    if (!flows.makeRoom(port)) return undefined;
    const { vector } = receiver;
    const clientPort = vector.namePort(index);
    const key = this.#key;
    key.port = port;
    key.guest2 = MAPPED;
    key.guest3 = tables.ip(port);
    key.guestPort = this.#guestPort;
    key.remote2 = MAPPED;
    key.remote3 = tables.gatewayAddress(tables.network(port));
    if (!this.#choosePort(clientPort)) return undefined;
    const flow = flows.add(key);
    flow.forward = this;
    flow.client0 = vector.nameWord(index, 0);
    flow.client1 = vector.nameWord(index, 1);
    flow.client2 = vector.nameWord(index, 2);
    flow.client3 = vector.nameWord(index, 3);
    flow.clientPort = clientPort;
    const bucket = bucketOf(flow.client3, clientPort);
    flow.nextOfForward = this.#clients[bucket];
    this.#clients[bucket] = flow;
    return flow;
  }

  /** A client that comes again finds itself at the port it had, unless another is there. */
  #choosePort(clientPort: number): boolean {
    for (let i = 0; i < PORT_TRIES; i++) {
      this.#key.remotePort = FIRST_PORT + ((clientPort + i) % PORTS);
      if (this.#services.flows.find(this.#key) === undefined) return true;
    }
    return false;
  }

  /** Forgets a flow of this forward, which has ended. */
  remove(flow: DatagramFlow): void {
    const bucket = bucketOf(flow.client3, flow.clientPort);
    let at = this.#clients[bucket];
    if (at === flow) this.#clients[bucket] = flow.nextOfForward;
    else {
      while (at !== undefined && at.nextOfForward !== flow) at = at.nextOfForward;
      if (at !== undefined) at.nextOfForward = flow.nextOfForward;
    }
    flow.nextOfForward = undefined;
  }

  /** Ends the forward with all its flows. */
  end(): void {
    this.#ended = true;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      for (let flow = this.#clients[bucket]; flow !== undefined; flow = this.#clients[bucket]) {
        this.#services.flows.end(flow);
      }
    }
  }
}

/** Whether the guest on `port` can be sent what comes for it from outside. */
export function takesForwarded(tables: Tables, port: number): boolean {
  return isReachable(tables, port) && tables.ipState(port) !== ADDRESS_UNKNOWN;
}

function bucketOf(w3: number, clientPort: number): number {
  const hash = Math.imul(w3 ^ (clientPort << 16) ^ clientPort, 0x9e3779b1);
  return (hash >>> 24) & (BUCKETS - 1);
}

export class UdpForwards {
  readonly #services: ForwardServices;
  readonly #forwards = new Map<number, UdpForward>();

  constructor(services: ForwardServices) {
    this.#services = services;
  }

  /** Begins to take datagrams from the bound socket `fd`. 0, or an error's number. */
  open(number: number, fd: number, port: number, guestPort: number): number {
    const forward = new UdpForward(this.#services, fd, port, guestPort);
    const token = this.#services.context.sockets.watch(fd, EPOLLIN | EPOLLET, forward);
    if (token < 0) return -token;
    forward.token = token;
    this.#forwards.set(number, forward);
    return 0;
  }

  /** Ends a forward, whose socket must still be open, with its flows. */
  close(number: number): void {
    const forward = this.#forwards.get(number);
    if (forward === undefined) return;
    this.#forwards.delete(number);
    this.#services.context.sockets.unwatch(forward.token);
    forward.end();
  }
}
