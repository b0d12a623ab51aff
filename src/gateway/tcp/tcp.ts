/**
 * TCP of the gateway: guests' connections end here, and each is joined with a socket of the host's.
 *
 * Theory of operation. A guest's SYN opens a host socket first; only when that is connected does the guest get its
 * SYN-ACK, so that what refuses, or cannot be reached, looks so from the guest. A connection that the host accepted for
 * a forward does the same the other way round: it is held until the guest has answered, and the guest is asked again
 * and again while it boots. From then on `sender` and `receiver` carry data, and this file says what ends when:
 *
 *     guest's FIN -> everything before handed to the host -> shutdown(SHUT_WR)
 *     host's end of file -> everything before sent -> FIN to the guest
 *     both -> TIME-WAIT where our FIN was first, else closed
 *     guest's RST, silence or a lost carrier -> the host's socket is reset
 *     the host's reset -> RST to the guest
 *
 * One object does all of it for one worker; flows are bound to the VM's port they came by. Those of one VM may be at
 * several workers (flow-share.ts), each of which sees only the segments of its own.
 */
import type { OffloadGrant } from '../../fastpath/flow-entry.ts';
import type { FrameBatch } from '../../port/batch.ts';
import { drop, KEPT } from '../../switch/verdict.ts';
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../sys/epoll.ts';
import { pendingError } from '../../sys/inet-socket.ts';
import { DROP } from '../../telemetry/drops.ts';
import type { GatewayContext } from '../context.ts';
import { isDial } from '../forward-binding.ts';
import { Arrival } from './arrival.ts';
import { BufferPool } from './buffer-pool.ts';
import {
  CLOSE_WAIT,
  CLOSED,
  CONNECTING,
  ESTABLISHED,
  FIN_WAIT_1,
  LAST_ACK,
  SYN_RECEIVED,
  SYN_SENT,
  type TcpFlow,
  TIME_WAIT,
  TIMER_END,
  TIMER_KEEPALIVE,
  TIMER_OPEN,
  TIMER_PROBE_TAIL,
  TIMER_PROBE_WINDOW,
  TIMER_RETRANSMIT,
} from './flow.ts';
import type { FlowEvents } from './flow-events.ts';
import { FlowTable } from './flow-table.ts';
import { MemoryQueue } from './memory-queue.ts';
import { Offload } from './offload.ts';
import { Opening, type TcpForward } from './opening.ts';
import { TcpOutput } from './output.ts';
import { Reached } from './reached.ts';
import { ReadyQueue } from './ready-queue.ts';
import { RECEIVE_BYTES, TcpReceiver } from './receiver.ts';
import { Rejection } from './rejection.ts';
import { Segment } from './segment.ts';
import { TcpSender } from './sender.ts';

/**
 * Time a closed connection's numbers are not used again for, `ms`. Two maximum segment lifetimes (RFC 9293 section
 * 3.4.2) are for the internet; on the one wire between us and a guest nothing lives that long.
 */
const TIME_WAIT_MS = 1000;
/** Retransmissions in a row after which the guest counts as gone (RFC 9293 section 3.8.3, R2) */
const MOST_RETRANSMISSIONS = 12;
/** SYN-ACKs sent again before the guest is given up (RFC 5961 leaves it open) */
const MOST_SYN_ACKS = 5;
const MOST_KEEPALIVES = 9;
const KEEPALIVE_INTERVAL_MS = 75_000;
const HOST_FAILED = EPOLLERR | EPOLLHUP;
const HOST_READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;

export class TcpGateway implements FlowEvents {
  readonly flows: FlowTable;
  readonly #context: GatewayContext;
  readonly #pool: BufferPool;
  readonly #output: TcpOutput;
  readonly #sender: TcpSender;
  readonly #receiver: TcpReceiver;
  readonly #opening: Opening;
  readonly #arrival: Arrival;
  /** Undefined where the kernel is not to carry connections */
  readonly #offload: Offload | undefined;
  readonly #ready = new ReadyQueue();
  readonly #starving = new MemoryQueue();
  readonly #reached: Reached;
  readonly #segment = new Segment();
  readonly #rejection = new Rejection();
  readonly #owing: TcpFlow[] = [];
  readonly #room = (port: number): number => this.#pool.room(port);
  readonly #wake = (flow: TcpFlow): void => this.wake(flow);
  readonly #turn = (flow: TcpFlow, bytes: number): number => this.#read(flow, bytes);

  constructor(context: GatewayContext) {
    const { tables, clock, outbox, timers, use } = context;
    this.#context = context;
    this.#pool = new BufferPool(use);
    this.flows = new FlowTable(this, use);
    this.#output = new TcpOutput(tables, clock, outbox, RECEIVE_BYTES, this);
    this.#sender = new TcpSender(clock, timers, this.#pool, this.#output);
    this.#receiver = new TcpReceiver(clock, timers, this.#pool, this.#output);
    this.#reached = new Reached(context.reached);
    this.#opening = new Opening(context, this.flows, this.#output, this);
    this.#arrival = new Arrival(context, this.#output, this.#sender, this.#receiver, this);
    const { offloads } = context;
    this.#offload = offloads && new Offload(context, offloads, this.#output, this);
  }

  /** Bytes of buffers the flows of a VM hold. */
  bufferedBytes(port: number): number {
    return this.#pool.held(port);
  }

  // --- from the guest -------------------------------------------------------------------------------------
  /**
   * Handles the segment in the packet at offset `packet` of the slot. Returns a verdict, {@link KEPT} or a drop: answers
   * leave by the outbox.
   */
  handle(batch: FrameBatch, slot: number, ingress: number, packet: number, isIpv4: boolean): number {
    const segment = this.#segment;
    if (!segment.read(batch, slot, ingress, packet, isIpv4)) return drop(DROP.malformed);
    const flow = this.flows.find(segment.key);
    if (flow !== undefined && !this.#isOver(flow, segment)) {
      if (!flow.offloading?.isAway) {
        this.#arrival.handle(flow, segment);
        this.#offload?.watch(flow);
      }
      return KEPT;
    }
    return this.#opening.handle(segment);
  }

  /**
   * Handles a guest's ICMP error to the gateway, whose IP header at `packet` was checked: where it rejects a SYN of ours,
   * the guest refuses the connection. Returns a verdict, {@link KEPT} or a drop.
   */
  handleError(batch: FrameBatch, ingress: number, packet: number): number {
    const { key } = this.#segment;
    const rejection = this.#rejection;
    if (!rejection.read(batch.view, packet, ingress, key)) return drop(DROP['no-service']);
    const flow = this.flows.find(key);
    if (flow?.state !== SYN_SENT || rejection.sequence !== flow.sndUna) return drop(DROP['no-service']);
    this.#opening.refused(flow);
    return KEPT;
  }

  /** Whether the flow has ended and the segment begins another of the same name (RFC 9293 section 3.10.7.4, RFC 6191). */
  #isOver(flow: TcpFlow, segment: Segment): boolean {
    if (flow.offloading?.isAway && segment.begins) this.close(flow, true);
    else if (flow.state === TIME_WAIT && segment.beginsAfter(flow.rcvNxt)) this.close(flow);
    return flow.state === CLOSED;
  }

  /** A connection for a forward: holds it until the guest answers. Closes `fd` with a reset where that cannot be. */
  accept(forward: TcpForward, fd: number): void {
    this.#opening.accept(forward, fd);
  }

  /** The guest refuses the connection that a forward wants. */
  refused(flow: TcpFlow): void {
    this.#opening.refused(flow);
  }

  // --- what the others tell -------------------------------------------------------------------------------
  /** The guest's side is open. */
  opened(flow: TcpFlow): void {
    this.flows.opened(flow);
    flow.state = ESTABLISHED;
    this.#reached.note(flow);
    if (isDial(flow.forward)) this.#context.dialed(flow.forward, 'opened');
    flow.heardMs = this.#context.clock.ms;
    flow.backoff = 0;
    flow.bulkMark = (flow.rcvNxt + flow.sndUna) | 0;
    flow.bulkSinceMs = flow.heardMs;
    this.#context.timers.set(flow.timer, this.#context.clock.ms, KEEPALIVE_INTERVAL_MS);
    flow.timerKind = TIMER_KEEPALIVE;
    this.wake(flow);
  }

  /** Lets the flow read from its host when it is its turn, if it has use for it. */
  wake(flow: TcpFlow): void {
    if (this.#sender.wantsToRead(flow)) this.#ready.add(flow);
  }

  /** Notes that the guest is owed an acknowledgment at the end of the round. */
  list(flow: TcpFlow): void {
    if (!flow.owesAck || flow.isListedForAck) return;
    flow.isListedForAck = true;
    this.#owing.push(flow);
  }

  /** Follows up what was sent and acknowledged: where both halves have ended, so does the flow. */
  settle(flow: TcpFlow): void {
    if (flow.finSent) {
      if (flow.state === ESTABLISHED) flow.state = FIN_WAIT_1;
      else if (flow.state === CLOSE_WAIT) flow.state = LAST_ACK;
      const done = flow.inFlight === 0 && flow.guestEnded && flow.waiting === 0;
      if (done && flow.state === LAST_ACK) {
        this.close(flow);
        return;
      }
      if (done && flow.state !== TIME_WAIT) this.#rest(flow);
    }
    this.list(flow);
  }

  /** Both halves have ended, ours first: the numbers rest a while. */
  #rest(flow: TcpFlow): void {
    if (!this.flows.rest(flow)) {
      this.#output.acknowledge(flow);
      this.close(flow);
      return;
    }
    flow.state = TIME_WAIT;
    this.#closeHost(flow, false);
    this.#sender.release(flow);
    flow.timerKind = TIMER_END;
    this.#context.timers.set(flow.timer, this.#context.clock.ms, TIME_WAIT_MS);
  }

  /** Ends the flow without a word to the guest. */
  close(flow: TcpFlow, resetHost = false): void {
    if (flow.state === CLOSED) return;
    if (isDial(flow.forward)) this.#opening.dialEnded(flow, resetHost);
    this.#offload?.recall(flow);
    flow.state = CLOSED;
    flow.timer.cancel();
    flow.ackTimer.cancel();
    this.#starving.delete(flow);
    this.#sender.release(flow);
    this.#receiver.release(flow);
    this.#closeHost(flow, resetHost);
    this.#offload?.forget(flow, resetHost);
    this.flows.remove(flow);
  }

  /** Ends the flow by a reset on both sides. */
  abort(flow: TcpFlow): void {
    this.#offload?.recall(flow);
    if (flow.state >= SYN_RECEIVED && flow.state !== SYN_SENT) this.#output.reset(flow);
    this.close(flow, true);
  }

  /** The control thread says whether a flow may be offloaded, and between which interfaces. */
  mayOffload(question: number, grant: OffloadGrant | undefined): void {
    this.#offload?.answered(question, grant);
  }

  #closeHost(flow: TcpFlow, reset: boolean): void {
    if (!flow.hasHost) return;
    this.#context.sockets.close(flow.token, reset);
    flow.fd = -1;
    flow.token = -1;
  }

  /** Ends flows of a VM on both sides: those that are meant, all of them if nobody says which. How many were not over. */
  endPort(port: number, isMeant: (flow: TcpFlow) => boolean = () => true): number {
    let ended = 0;
    for (let flow = this.flows.firstOf(port), next = flow; flow !== undefined; flow = next) {
      next = flow.nextOfPort;
      if (!isMeant(flow)) continue;
      if (flow.state !== TIME_WAIT) ended++;
      this.abort(flow);
    }
    return ended;
  }

  /** What the VM's ports have answered before counts no more: it may be another one's. */
  forgetReached(port: number): void {
    this.#reached.forget(port);
  }

  // --- from the host --------------------------------------------------------------------------------------
  hostReady(flow: TcpFlow, events: number): void {
    if (flow.offloading?.isAway) return;
    if ((events & HOST_READABLE) !== 0) flow.hostReadable = true;
    if ((events & EPOLLOUT) !== 0) flow.hostWritable = true;
    if (flow.state === CONNECTING) {
      const error = (events & HOST_FAILED) === 0 ? 0 : pendingError(flow.fd);
      if (error !== 0) this.#opening.failed(flow, error);
      else if (flow.hostWritable) this.#opening.connected(flow);
      return;
    }
    if (flow.state < ESTABLISHED) {
      // Nobody is left to open the guest's side for.
      if ((events & HOST_FAILED) !== 0) this.abort(flow);
      return;
    }
    if ((events & EPOLLERR) !== 0 && pendingError(flow.fd) !== 0) {
      this.abort(flow);
      return;
    }
    if (flow.hostWritable && flow.waiting > 0 && !this.#receiver.drain(flow)) {
      this.abort(flow);
      return;
    }
    this.settle(flow);
    this.wake(flow);
  }

  #read(flow: TcpFlow, bytes: number): number {
    if (flow.state < ESTABLISHED || flow.state === TIME_WAIT) return 0;
    const left = this.#sender.pump(flow, bytes);
    if (left < 0) {
      this.abort(flow);
      return 0;
    }
    this.settle(flow);
    if (left !== bytes) this.wake(flow);
    else if (this.#sender.wantsToRead(flow) && flow.sendBuffer === undefined) this.#starving.add(flow);
    return bytes - left;
  }

  // --- the datapath's round -------------------------------------------------------------------------------
  /** True while a flow waits for its turn: the datapath must not sleep. */
  get busy(): boolean {
    return !this.#ready.isEmpty;
  }

  /** Gives every VM with something to read a turn, and sends the acknowledgments owed. */
  run(): void {
    if (!this.#ready.isEmpty) this.#ready.round(this.#turn);
    this.#starving.serve(this.#room, this.#wake);
    for (let flow = this.#owing.pop(); flow !== undefined; flow = this.#owing.pop()) {
      flow.isListedForAck = false;
      if (flow.owesAck && flow.state >= ESTABLISHED) this.#output.acknowledge(flow);
    }
  }

  // --- time -----------------------------------------------------------------------------------------------
  acknowledgeLate(flow: TcpFlow): void {
    if (flow.state >= ESTABLISHED) this.#output.acknowledge(flow);
  }

  frameRefused(flow: TcpFlow, sequence: number): void {
    this.#sender.refused(flow, sequence);
  }

  timerExpired(flow: TcpFlow): void {
    switch (flow.timerKind) {
      case TIMER_OPEN:
        this.#opening.again(flow);
        return;
      case TIMER_END:
        this.close(flow);
        return;
      case TIMER_PROBE_TAIL:
        this.#sender.probeTail(flow);
        return;
      case TIMER_PROBE_WINDOW:
        this.#sender.probeWindow(flow);
        return;
      case TIMER_KEEPALIVE:
        this.#keepAlive(flow);
        return;
      case TIMER_RETRANSMIT:
        this.#retransmit(flow);
    }
  }

  #retransmit(flow: TcpFlow): void {
    if (flow.backoff >= (flow.state === SYN_RECEIVED ? MOST_SYN_ACKS : MOST_RETRANSMISSIONS)) {
      this.abort(flow);
      return;
    }
    if (flow.state === SYN_RECEIVED) this.#opening.answerAgain(flow);
    else {
      this.#sender.retransmit(flow);
      this.settle(flow);
    }
  }

  #keepAlive(flow: TcpFlow): void {
    if (flow.backoff >= MOST_KEEPALIVES) {
      this.abort(flow);
      return;
    }
    this.#sender.keepAlive(flow, KEEPALIVE_INTERVAL_MS);
  }
}
