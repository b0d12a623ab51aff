/**
 * Connections that move much are handed to the kernel: from then on its programs (fastpath/flow-program.ts) put each segment of
 * one half in terms of the other and send it on, and nothing of it comes here.
 *
 * Theory of operation. A connection is made, refused, held and checked by the rules like any other, and its data are relayed until
 * it has shown that it is bulk. Then
 *
 *     asked      the control thread readies the interfaces, or refuses
 *     closing    no more is promised to either side, and both windows run down, while what comes in is relayed as ever
 *     holding    the rest of what came in is handed on and acknowledged, and the other end shut out: both halves stand still
 *     proving    the host's socket is frozen, the programs know both directions, both sides are told of a window again
 *     offloaded
 *
 * Little is lost on the way, a segment or two that are sent again. Where a connection does not come to rest in time, its windows open again and it is relayed as
 * before. While it is offloaded its entries are looked at now and then: to count, to see whether it has ended or is idle, and that
 * nothing went to the frozen socket after all. To end it from here the entries are taken away first; the numbers of its last segments
 * are in them, so that both ends can be reset.
 *
 * Only IPv4, timestamps and selective acknowledgments on both sides, segments that fit either side's interface.
 */
import {
  type FlowNotes,
  HOLDING as HOLDING_MODE,
  NOTING,
  type OffloadGrant,
  readNotes,
  relayingEntry,
  waitingEntry,
} from '../../fastpath/flow-entry.ts';
import { GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW } from '../../switch/gateway-mac.ts';
import type { BpfMap } from '../../sys/bpf.ts';
import { SysError } from '../../sys/errno.ts';
import {
  closeWindow,
  type FrozenTcp,
  freezeTcp,
  frozenReceiveNext,
  isDrained,
  probePeer,
  tcpEnds,
  tcpIntake,
  thawTcp,
} from '../../sys/tcp-state.ts';
import * as tcp from '../../wire/tcp.ts';
import type { GatewayContext } from '../context.ts';
import { type TcpFlow, UNBOUND } from './flow.ts';
import { sendToHost } from './host-segment.ts';
import { fits, isAtRest, isFit } from './offload-fit.ts';
import { ASKED, CLOSING, HOLDING, OFFLOADED, Offloading, PROVING, reverse } from './offloading.ts';
import type { TcpOutput } from './output.ts';

/** A connection that moves so much, both ways together, in so long, is bulk: about half a Gbit/s */
const BULK_BYTES = 16 * 1024 * 1024;
const BULK_MS = 256;
/** Attempts to offload a connection: what keeps one from it may pass */
const MOST_ATTEMPTS = 3;
/** How long windows may take to run down, then the rest to be handed on, and how often it is looked whether they have */
const CLOSE_MS = 250;
const HOLD_MS = 100;
const STEP_MS = 1;
/** How long the other end is shut out at least before it counts as such: what had passed the program is in the socket then */
const SHUT_MS = 2;
/** A window is closed, `bytes`: a kernel's never goes down to nothing while there is room */
const CLOSED_WINDOW = 8 * 1024;
/** When it is looked whether something was on its way to the host's socket as that was frozen */
const PROOF_MS = 5;
const LOOK_MS = 250;
/** Looks without a segment after which a connection that has been ended is forgotten, or one that was reset asked after */
const LOOKS_AFTER_END = 4;
/** Looks without a segment after which the guest is asked whether it is still there, and between questions */
const LOOKS_UNTIL_PROBE = 28_800;
const LOOKS_BETWEEN_PROBES = 300;
const MOST_PROBES = 9;
/** What both sides are offered to begin again with, `bytes`; the next segment brings the window that the other has */
const FIRST_WINDOW = 64 * 1024;
const MAC_PAIR_BYTES = 12;

/** How the control thread and the programs are reached. */
export interface Offloads {
  /** Of all offloaded connections, FLOW_KEY to FLOW */
  readonly flows: BpfMap;
  readonly worker: number;
  /** Asks whether connection `question` of the VM on `port`, between two addresses of the host's side (int32), may be offloaded */
  ask(question: number, port: number, local: number, remote: number): void;
}

/** What has to be done about a connection otherwise. */
export interface OffloadOwner {
  abort(flow: TcpFlow): void;
  close(flow: TcpFlow, resetHost?: boolean): void;
  wake(flow: TcpFlow): void;
  list(flow: TcpFlow): void;
}

export class Offload {
  readonly #context: GatewayContext;
  readonly #offloads: Offloads;
  readonly #output: TcpOutput;
  readonly #owner: OffloadOwner;
  readonly #asked = new Map<number, Offloading>();
  readonly #step = (offloading: Offloading): void => {
    if (offloading.stage < PROVING) this.#rest(offloading);
    else if (offloading.stage === PROVING) this.#prove(offloading);
    else this.#look(offloading);
  };
  #questions = 0;

  constructor(context: GatewayContext, offloads: Offloads, output: TcpOutput, owner: OffloadOwner) {
    this.#context = context;
    this.#offloads = offloads;
    this.#output = output;
    this.#owner = owner;
  }

  #wait(offloading: Offloading, ms: number): void {
    this.#context.timers.set(offloading.timer, this.#context.clock.ms, ms);
  }

  // --- whether ----------------------------------------------------------------------------------------------
  /** Takes note of what the flow has moved, and asks for it to be offloaded where that is much. */
  watch(flow: TcpFlow): void {
    const moved = (flow.rcvNxt + flow.sndUna - flow.bulkMark) | 0;
    if (moved < BULK_BYTES) return;
    const now = this.#context.clock.ms;
    const took = (now - flow.bulkSinceMs) | 0;
    flow.bulkMark = (flow.bulkMark + moved) | 0;
    flow.bulkSinceMs = now;
    if (took > BULK_MS || flow.offloading !== undefined || flow.offloadAttempts >= MOST_ATTEMPTS) return;
    flow.offloadAttempts++;
    if (!isFit(flow)) return;
    const ends = tcpEnds(flow.fd);
    if (ends === undefined) return;
    flow.offloading = new Offloading(flow, ends, this.#step);
    const question = ++this.#questions;
    this.#asked.set(question, flow.offloading);
    this.#offloads.ask(question, flow.port, ends.local, ends.remote);
  }

  /** The answer to a question: undefined for no. */
  answered(question: number, grant: OffloadGrant | undefined): void {
    const offloading = this.#asked.get(question);
    this.#asked.delete(question);
    if (offloading === undefined || offloading.flow.offloading !== offloading) return;
    const { flow } = offloading;
    if (grant === undefined || !isFit(flow) || !fits(flow, grant)) {
      flow.offloading = undefined;
      return;
    }
    offloading.grant = grant;
    if (!this.#enter(offloading, CLOSING)) return;
    flow.windowBound = 0;
    closeWindow(flow.fd, true);
  }

  /** False where there is no room for one more connection: others have it. */
  #enter(offloading: Offloading, stage: number): boolean {
    const holds = stage === HOLDING;
    const mode = holds ? HOLDING_MODE : NOTING;
    offloading.stage = stage;
    offloading.deadlineMs = (this.#context.clock.ms + (holds ? HOLD_MS : CLOSE_MS)) | 0;
    if (this.#write(offloading.hostKey, waitingEntry(mode, this.#offloads.worker))) {
      this.#wait(offloading, holds ? SHUT_MS : STEP_MS);
      return true;
    }
    this.#goOn(offloading);
    return false;
  }

  #write(key: Uint8Array, entry: Uint8Array): boolean {
    try {
      this.#offloads.flows.set(key, entry);
      return true;
    } catch (error) {
      if (error instanceof SysError) return false;
      throw error;
    }
  }

  // --- coming to rest ---------------------------------------------------------------------------------------
  #rest(offloading: Offloading): void {
    const { flow, stage } = offloading;
    const notes = this.#notes(offloading.hostKey);
    const isLate = ((this.#context.clock.ms - offloading.deadlineMs) | 0) >= 0;
    if (notes === undefined || notes.odd || isLate || !isFit(flow)) {
      this.#goOn(offloading);
      return;
    }
    if (notes.timestamp !== undefined) offloading.toGuest = notes;
    const { timestamp } = offloading.toGuest;
    const isQuiet = stage === CLOSING && this.#isQuiet(offloading);
    if (isQuiet && timestamp !== undefined) this.#enter(offloading, HOLDING);
    else if (stage === HOLDING && timestamp !== undefined && isAtRest(flow) && isDrained(flow.fd))
      this.#handOver(offloading, timestamp);
    else {
      // It has acknowledged all there was before the program was there to see it.
      if (isQuiet) probePeer(flow.fd);
      this.#wait(offloading, STEP_MS);
    }
  }

  /** Whether the other end sends nothing, or little, for there is no window left. */
  #isQuiet(offloading: Offloading): boolean {
    const { received, window } = tcpIntake(offloading.flow.fd);
    const isSilent = received === offloading.received;
    offloading.received = received;
    return isSilent || window <= CLOSED_WINDOW;
  }

  /** It did not come to rest, or is not fit any more: it is relayed as before. */
  #goOn(offloading: Offloading): void {
    const { flow } = offloading;
    this.#offloads.flows.delete(offloading.hostKey);
    flow.offloading = undefined;
    flow.windowBound = UNBOUND;
    if (flow.hasHost) closeWindow(flow.fd, false);
    flow.owesAck = true;
    this.#owner.list(flow);
    this.#owner.wake(flow);
  }

  /** @param peerTimestamp TSval of the host's side's last segment */
  #handOver(offloading: Offloading, peerTimestamp: number): void {
    const { flow } = offloading;
    const frozen = freezeTcp(flow.fd);
    if (frozen === undefined) {
      this.#goOn(offloading);
      return;
    }
    offloading.frozen = frozen;
    if (!this.#publish(offloading, frozen, peerTimestamp)) {
      this.#offloads.flows.delete(offloading.guestKey);
      thawTcp(flow.fd);
      this.#goOn(offloading);
      return;
    }
    flow.timer.cancel();
    flow.ackTimer.cancel();
    this.#context.sockets.mute(flow.token);
    offloading.stage = PROVING;
    offloading.toGuest = offloading.fromGuest;
    this.#open(offloading, frozen, peerTimestamp);
    this.#wait(offloading, PROOF_MS);
  }

  /** Writes down what each half differs from the other by; false where there is no room for it. */
  #publish(offloading: Offloading, frozen: FrozenTcp, peerTimestamp: number): boolean {
    const { flow, grant } = offloading;
    const { worker } = this.#offloads;
    const timestamp = (frozen.timestamp - flow.tsRecent) | 0;
    const echo = (peerTimestamp - this.#now(flow)) | 0;
    const fromGuest = relayingEntry({
      ...{ worker, egress: grant.host, ends: offloading.hostEnds, macs: undefined, timestamp, echo },
      sequence: (frozen.sendNext - flow.rcvNxt) | 0,
      acknowledgment: (frozen.receiveNext - flow.sndMax) | 0,
      leftShift: flow.sndScale,
      rightShift: frozen.receiveScale,
    });
    const toGuest = relayingEntry({
      ...{ worker, egress: grant.tap, ends: reverse(offloading.guestEnds), macs: this.#macs(flow.port) },
      timestamp: -echo | 0,
      echo: -timestamp | 0,
      sequence: (flow.sndMax - frozen.receiveNext) | 0,
      acknowledgment: (flow.rcvNxt - frozen.sendNext) | 0,
      leftShift: frozen.sendScale,
      rightShift: flow.rcvScale,
    });
    return this.#write(offloading.guestKey, fromGuest) && this.#write(offloading.hostKey, toGuest);
  }

  /** What our timestamps to the flow's guest say now. */
  #now(flow: TcpFlow): number {
    return (this.#context.clock.ms + flow.tsOffset) | 0;
  }

  #macs(port: number): Uint8Array {
    const { tables } = this.#context;
    const macs = new Uint8Array(MAC_PAIR_BYTES);
    const view = new DataView(macs.buffer);
    view.setUint16(0, tables.macHigh(port));
    view.setUint32(2, tables.macLow(port));
    view.setUint16(6, GATEWAY_MAC_HIGH);
    view.setUint32(8, GATEWAY_MAC_LOW);
    return macs;
  }

  /** Tells both sides of a window, so that they go on at once. */
  #open({ flow, ends }: Offloading, frozen: FrozenTcp, peerTimestamp: number): void {
    flow.windowBound = FIRST_WINDOW;
    this.#output.acknowledge(flow);
    const { sendNext: sequence, receiveNext: acknowledgment, timestamp, receiveScale } = frozen;
    const window = Math.min(FIRST_WINDOW >> receiveScale, 0xffff);
    const echo = peerTimestamp;
    sendToHost(ends, { flags: tcp.ACK, sequence, acknowledgment, window, timestamp, echo });
  }

  // --- away -------------------------------------------------------------------------------------------------
  /** A segment that went to the socket after all is missing on the way: better no connection than one with a hole. */
  #prove(offloading: Offloading): void {
    const { flow, frozen } = offloading;
    if (frozenReceiveNext(flow.fd) !== frozen?.receiveNext) {
      this.#owner.abort(flow);
      return;
    }
    offloading.stage = OFFLOADED;
    this.#look(offloading);
  }

  #look(offloading: Offloading): void {
    const { flow } = offloading;
    const passed = this.#count(offloading);
    const { fromGuest, toGuest } = offloading;
    offloading.quietLooks = passed ? 0 : offloading.quietLooks + 1;
    if (passed) offloading.probes = 0;
    // Whoever a reset was not good enough for goes on. Else the guest is asked, and has nothing left but a reset to say.
    const mayBeOver = fromGuest.resets + toGuest.resets > 0;
    const isOver = (fromGuest.finished && toGuest.finished) || fromGuest.resets > offloading.resetsWhenProbed;
    const isQuiet = offloading.quietLooks >= LOOKS_AFTER_END;
    if (isQuiet && isOver) this.#owner.close(flow);
    else if (offloading.probes > MOST_PROBES) this.#owner.abort(flow);
    else {
      if (isQuiet && mayBeOver) this.#probe(offloading, LOOKS_AFTER_END);
      else if (offloading.quietLooks >= LOOKS_UNTIL_PROBE) this.#probe(offloading, LOOKS_BETWEEN_PROBES);
      this.#wait(offloading, LOOK_MS);
    }
  }

  /** Asks the guest of a quiet connection for a segment; the programs send it on, which harms nobody. */
  #probe(offloading: Offloading, looks: number): void {
    offloading.quietLooks -= looks;
    offloading.probes++;
    offloading.resetsWhenProbed = offloading.fromGuest.resets;
    catchUp(offloading);
    this.#output.probe(offloading.flow);
  }

  #notes(key: Uint8Array): FlowNotes | undefined {
    const entry = this.#offloads.flows.get(key);
    return entry && readNotes(entry);
  }

  /** Counts what has passed since the last time; whether anything has. */
  #count(offloading: Offloading): boolean {
    const { counters } = this.#context;
    const { port } = offloading.flow;
    const fromGuest = this.#notes(offloading.guestKey) ?? offloading.fromGuest;
    const toGuest = this.#notes(offloading.hostKey) ?? offloading.toGuest;
    const received = fromGuest.frames - offloading.fromGuest.frames;
    const sent = toGuest.frames - offloading.toGuest.frames;
    counters.received(port, received, fromGuest.bytes - offloading.fromGuest.bytes);
    counters.sent(port, sent, toGuest.bytes - offloading.toGuest.bytes);
    offloading.fromGuest = fromGuest;
    offloading.toGuest = toGuest;
    return received > 0 || sent > 0;
  }

  // --- the end ----------------------------------------------------------------------------------------------
  /** Takes the flow's entries away, before it is ended from here; what its guest is sent then has the right numbers. */
  recall(flow: TcpFlow): void {
    const { offloading } = flow;
    if (offloading === undefined || offloading.stage === ASKED) return;
    if (offloading.isAway) this.#count(offloading);
    this.#offloads.flows.delete(offloading.guestKey);
    this.#offloads.flows.delete(offloading.hostKey);
    if (offloading.isAway) catchUp(offloading);
  }

  /** Forgets the flow, whose host's socket is closed; the frozen one has said nothing, so its peer is told here. */
  forget(flow: TcpFlow, reset: boolean): void {
    const { offloading } = flow;
    if (offloading === undefined) return;
    offloading.timer.cancel();
    flow.offloading = undefined;
    const { frozen, ends, fromGuest, toGuest } = offloading;
    if (frozen === undefined || !reset) return;
    // Where the number is not what the other end expects next, that asks (RFC 5961 section 3), and the host's kernel answers
    // with a reset, since nobody has the connection.
    const hasPassed = fromGuest.frames > 0;
    sendToHost(ends, {
      flags: tcp.RST | tcp.ACK,
      sequence: hasPassed ? fromGuest.next : frozen.sendNext,
      acknowledgment: hasPassed ? fromGuest.acknowledged : frozen.receiveNext,
      window: 0,
      timestamp: frozen.timestamp,
      echo: toGuest.timestamp ?? 0,
    });
  }
}

/** Brings the flow's own numbers up to what has passed without it. */
function catchUp({ flow, fromGuest, toGuest }: Offloading): void {
  if (toGuest.frames === 0) return;
  flow.sndMax = toGuest.next;
  flow.sndUna = toGuest.next;
  flow.sndNxt = toGuest.next;
  flow.sndEnd = toGuest.next;
  if (fromGuest.frames > 0) flow.rcvNxt = toGuest.acknowledged;
}
