/**
 * How a flow begins.
 *
 * From the guest: its SYN is checked against the services of the gateway and the outbound policy, then the host's side
 * connects, then the guest gets its SYN-ACK, or hears what became of the attempt. From the host, by a forward: the
 * accepted connection is held while the guest is asked, which may have no carrier, no known address, or nothing
 * listening yet; each of these is tried again every {@link AGAIN_MS} until the forward's patience is over.
 */
import { RateLimit } from '../../switch/rate-limit.ts';
import { ADDRESS_UNKNOWN } from '../../switch/tables.ts';
import { drop, KEPT } from '../../switch/verdict.ts';
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../sys/epoll.ts';
import { EACCES, ECONNREFUSED, EINPROGRESS, EPERM, ETIMEDOUT } from '../../sys/errno.ts';
import {
  AF_INET,
  AF_INET6,
  closeWithReset,
  connectTo,
  isMapped,
  LOOPBACK,
  MAPPED,
  openPair,
  openSocket,
  SOCK_STREAM,
  sendAtOnce,
} from '../../sys/inet-socket.ts';
import { close } from '../../sys/libc.ts';
import { boundMss } from '../../sys/tcp-state.ts';
import { DROP, type DropReason } from '../../telemetry/drops.ts';
import { PROTOCOL_TCP } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import type { GatewayContext } from '../context.ts';
import { destinationOf, isRefusal, refusalReason, TO_NAME_SERVER, TO_OUTSIDE } from '../destination.ts';
import { FlowKey } from '../flow-key.ts';
import { isDial } from '../forward-binding.ts';
import type { FlowOwner } from './arrival.ts';
import {
  CONNECTING,
  SYN_RECEIVED,
  SYN_SENT,
  type TcpFlow,
  TIME_WAIT,
  TIMER_OPEN,
  TIMER_RETRANSMIT,
} from './flow.ts';
import type { FlowTable } from './flow-table.ts';
import { agree, number } from './handshake.ts';
import {
  forwardAddress,
  missingToAsk,
  NO_ADDRESS,
  NO_MAC,
  NO_ROOM,
  NOTHING_MISSING,
  OPEN_FAILURES,
  REFUSED,
  UNANSWERED,
} from './held.ts';
import { Notices } from './notices.ts';
import { largestSegment } from './offload-fit.ts';
import type { TcpOutput } from './output.ts';
import { retransmitAfter } from './rtt.ts';
import type { Segment } from './segment.ts';
import { unguessable } from './unguessable.ts';

const HOST_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
/** Pause between two tries to open the guest's side, `ms` */
const AGAIN_MS = 100;
/** Silence after which a SYN is sent again, `ms`: the guest is on this machine */
const SYN_AGAIN_MS = 250;
/** A guest that was asked may take this long to answer, whatever the patience, `ms` */
const SILENCE_MS = 4 * SYN_AGAIN_MS;
/** Connections given up that are told of, for each VM; the counters have all */
const REPORTS_PER_SECOND = 1;
const REPORT_BURST = 5;
/** Ports of the gateway's that forwarded connections come from (RFC 6335: the dynamic ones) */
const FIRST_EPHEMERAL = 49_152;
const EPHEMERALS = 65_536 - FIRST_EPHEMERAL;

/** What opening has to know of a forward. */
export interface TcpForward {
  readonly number: number;
  /** The VM's */
  readonly port: number;
  readonly guestPort: number;
  readonly waitMs: number;
}

export class Opening {
  readonly #context: GatewayContext;
  readonly #flows: FlowTable;
  readonly #output: TcpOutput;
  readonly #owner: FlowOwner;
  readonly #notices: Notices;
  readonly #reports: RateLimit;
  readonly #key = new FlowKey();
  readonly #ends = new Int32Array(2);
  #nextPort = unguessable() & 0x3fff;

  constructor(context: GatewayContext, flows: FlowTable, output: TcpOutput, owner: FlowOwner) {
    this.#context = context;
    this.#flows = flows;
    this.#output = output;
    this.#owner = owner;
    this.#reports = new RateLimit(context.clock, REPORTS_PER_SECOND, REPORT_BURST);
    this.#notices = new Notices(context.tables, context.outbox);
  }

  // --- begun by the guest ---------------------------------------------------------------------------------
  /** Handles a segment of no flow. Returns a verdict. */
  handle(segment: Segment): number {
    if (segment.has(tcp.RST)) return KEPT;
    if (!segment.has(tcp.SYN) || segment.has(tcp.ACK)) return this.#refuse(segment, DROP['no-flow']);
    const { key } = segment;
    const { remote0, remote1, remote2, remote3, remotePort } = key;
    const destination = destinationOf(this.#context, PROTOCOL_TCP, key);
    if (isRefusal(destination)) return this.#refuse(segment, refusalReason(destination));
    if (destination === TO_NAME_SERVER) return this.#resolve(segment);
    if (destination === TO_OUTSIDE) {
      return this.#connect(segment, remote0, remote1, remote2, remote3, remotePort);
    }
    return this.#connect(segment, 0, 0, MAPPED, LOOPBACK, destination);
  }

  /** Says no at once: silence would make the guest wait. */
  #refuse(segment: Segment, reason: number): number {
    this.#output.resetStray(segment);
    return drop(reason);
  }

  /** Joins the guest's connection with the gateway's own name server, by a stream between us and ourselves. */
  #resolve(segment: Segment): number {
    const { sockets, dns, clock, tables } = this.#context;
    const { key } = segment;
    if (!this.#flows.hasRoom(key.port) || openPair(this.#ends) !== 0) return drop(DROP['flow-limit']);
    const [own, served] = this.#ends as unknown as [number, number];
    const flow = this.#flows.add(key);
    agree(flow, segment.options, segment.sequence, segment.window, clock);
    number(flow, unguessable(), unguessable());
    const token = sockets.add(own, HOST_EVENTS, flow);
    if (token < 0) {
      close(served);
      this.#owner.close(flow);
      return drop(DROP['flow-limit']);
    }
    flow.fd = own;
    flow.token = token;
    if (!dns.stream(tables.network(key.port), key.port, served)) {
      this.#owner.close(flow);
      return this.#refuse(segment, DROP['flow-limit']);
    }
    this.connected(flow);
    return KEPT;
  }

  #connect(segment: Segment, w0: number, w1: number, w2: number, w3: number, port: number): number {
    const { sockets, clock } = this.#context;
    const { key } = segment;
    if (!this.#flows.hasRoom(key.port)) return drop(DROP['flow-limit']);
    const fd = openSocket(isMapped(w0, w1, w2) ? AF_INET : AF_INET6, SOCK_STREAM);
    if (fd < 0) return drop(DROP['flow-limit']);
    sendAtOnce(fd);
    if (this.#context.offloads !== undefined) boundMss(fd, largestSegment(this.#context.tables, key.port));
    const flow = this.#flows.add(key);
    agree(flow, segment.options, segment.sequence, segment.window, clock);
    number(flow, unguessable(), unguessable());
    flow.state = CONNECTING;
    const error = connectTo(fd, w0, w1, w2, w3, port);
    if (error !== 0 && error !== EINPROGRESS) {
      close(fd);
      this.failed(flow, error);
      return KEPT;
    }
    const token = sockets.add(fd, HOST_EVENTS, flow);
    if (token < 0) {
      this.#owner.close(flow);
      return drop(DROP['flow-limit']);
    }
    flow.fd = fd;
    flow.token = token;
    return KEPT;
  }

  /** The host's side is connected: the guest gets its SYN-ACK. */
  connected(flow: TcpFlow): void {
    flow.state = SYN_RECEIVED;
    this.answerAgain(flow);
  }

  /** Sends the SYN-ACK, once more if need be. */
  answerAgain(flow: TcpFlow): void {
    const { timers, clock } = this.#context;
    this.#output.syn(flow);
    flow.timerKind = TIMER_RETRANSMIT;
    timers.set(flow.timer, clock.ms, retransmitAfter(flow));
    flow.backoff++;
  }

  /** The host's side could not be connected: the guest sees what a router, or the other end, would have told it. */
  failed(flow: TcpFlow, error: number): void {
    if (error === ECONNREFUSED) this.#output.reset(flow);
    else if (error !== ETIMEDOUT) this.#notices.unreachable(flow, error === EACCES || error === EPERM);
    this.#owner.close(flow);
  }

  // --- begun by the host ----------------------------------------------------------------------------------
  /** Holds the connection `fd` of a forward until the guest has answered, or resets it where that cannot be. */
  accept(forward: TcpForward, fd: number): void {
    const { tables, counters, sockets, clock } = this.#context;
    const { port } = forward;
    const key = this.#name(forward);
    if (key === undefined || !this.#flows.hasRoom(port)) {
      counters.dropped(port, DROP['flow-limit'], 1);
      if (isDial(forward.number)) this.#context.dialed(forward.number, 'flow-limit');
      closeWithReset(fd);
      return;
    }
    const flow = this.#flows.add(key);
    flow.forward = forward.number;
    flow.waitMs = forward.waitMs;
    flow.state = SYN_SENT;
    flow.sinceMs = clock.ms;
    flow.mss = tables.mtu(tables.network(port));
    number(flow, unguessable(), unguessable());
    const token = sockets.add(fd, HOST_EVENTS, flow);
    if (token < 0) {
      flow.openFailure = NO_ROOM;
      this.#owner.close(flow);
      return;
    }
    flow.fd = fd;
    flow.token = token;
    this.#ask(flow);
  }

  /** Names a new flow to the guest: from the gateway, by a port that makes it ours and that no other flow to there has. */
  #name({ port, guestPort }: TcpForward): FlowKey | undefined {
    const { tables, share } = this.#context;
    const key = this.#key;
    key.port = port;
    key.guest0 = key.guest1 = key.remote0 = key.remote1 = 0;
    key.guest2 = key.remote2 = MAPPED;
    key.guest3 = forwardAddress(tables, port);
    key.guestPort = guestPort;
    key.remote3 = tables.gatewayAddress(tables.network(port));
    for (let tries = 0; tries < EPHEMERALS; tries++) {
      this.#nextPort = (this.#nextPort + 1) % EPHEMERALS;
      key.remotePort = FIRST_EPHEMERAL + this.#nextPort;
      if (!share.isOurs(port, guestPort, key.remotePort)) continue;
      const other = this.#flows.find(key);
      if (other === undefined) return key;
      if (other.state !== TIME_WAIT) continue;
      this.#owner.close(other);
      return key;
    }
    return undefined;
  }

  /** Sends the SYN, if there is somebody to send it to, and sees to it that it is not the last. */
  #ask(flow: TcpFlow): void {
    const { tables, timers, clock } = this.#context;
    const { port } = flow;
    let pause = AGAIN_MS;
    const missing = missingToAsk(tables, port, flow.guest3);
    if (missing === NO_MAC) {
      flow.openFailure = NO_ADDRESS;
      this.#notices.askMac(flow);
    } else if (missing !== NOTHING_MISSING) flow.openFailure = missing;
    else {
      if (flow.openFailure !== REFUSED) flow.openFailure = UNANSWERED;
      this.#output.syn(flow);
      pause = SYN_AGAIN_MS;
    }
    flow.timerKind = TIMER_OPEN;
    timers.set(flow.timer, clock.ms, pause);
  }

  /** Time for another try, or to give up. */
  again(flow: TcpFlow): void {
    const { clock, counters, tables, gaveUp } = this.#context;
    const waited = (clock.ms - flow.sinceMs) | 0;
    const isSilent = flow.openFailure === UNANSWERED || flow.openFailure === NO_ADDRESS;
    const patience = Math.max(flow.waitMs, isSilent ? SILENCE_MS : 0);
    if (waited >= patience) {
      const reason = OPEN_FAILURES[flow.openFailure] as DropReason;
      counters.dropped(flow.port, DROP[reason], 1);
      if (!isDial(flow.forward) && this.#reports.take(flow.port))
        gaveUp({ forward: flow.forward, reason, waitedMs: waited });
      this.#owner.abort(flow);
      return;
    }
    // The VM may have got an address, or another one, since.
    const address = tables.ipState(flow.port) === ADDRESS_UNKNOWN ? flow.guest3 : tables.ip(flow.port);
    if (address !== flow.guest3) this.#flows.rename(flow, address);
    this.#ask(flow);
  }

  /** Tells of the end of a flow of the control thread's that was not open yet, or had a reset. */
  dialEnded(flow: TcpFlow, reset: boolean): void {
    const { dialed } = this.#context;
    if (flow.isHalfOpen) dialed(flow.forward, OPEN_FAILURES[flow.openFailure] as DropReason);
    else if (reset) dialed(flow.forward, 'reset');
  }

  /** The guest refuses: nothing listens there, yet. */
  refused(flow: TcpFlow): void {
    const { clock, timers } = this.#context;
    flow.openFailure = REFUSED;
    // A new attempt has numbers of its own: an answer to the old one must not be taken for one to it.
    number(flow, unguessable(), flow.tsOffset);
    timers.set(flow.timer, clock.ms, AGAIN_MS);
  }
}
