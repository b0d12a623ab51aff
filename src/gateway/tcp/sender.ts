/**
 * Data on its way to the guest: from the host's socket into the flow's ring, from there in frames, out of it when the
 * guest has acknowledged it.
 *
 * Theory of operation. `pump` reads what the host has sent into the ring as long as there is room; the host's own
 * window closes when there is none. `transmit` sends what the guest's window and the congestion window allow, in frames
 * of up to 64 KB; an acknowledgment frees the ring and sends more. Loss is found by selective acknowledgments (RFC 6675),
 * by three duplicates where the guest has none, by time where what was sent later has arrived and nothing else comes,
 * at the tail by a probe (RFC 8985 sections 6 and 7), and in the end by time-out (RFC 6298); a frame that the port
 * itself refused is simply sent again a little later.
 *
 *     sndUna ......... sndNxt ......... sndMax ........ sndEnd        ring: sndUna to sndEnd
 *     acknowledged     to be sent next  never sent yet  host's data ends
 */
import type { Clock } from '../../sys/clock.ts';
import { EAGAIN, EINTR } from '../../sys/errno.ts';
import { errno, recvAt } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import { before } from '../../wire/tcp.ts';
import type { TimerWheel } from '../timer-wheel.ts';
import {
  type BufferPool,
  copyRing,
  type FlowBuffer,
  LARGE_BUFFER_BYTES,
  SMALL_BUFFER_BYTES,
} from './buffer-pool.ts';
import {
  ESTABLISHED,
  type TcpFlow,
  TIMER_KEEPALIVE,
  TIMER_NONE,
  TIMER_PROBE_TAIL,
  TIMER_PROBE_WINDOW,
  TIMER_RETRANSMIT,
} from './flow.ts';
import { DUPLICATES, gapAfter, heedProbe, inPipe, lostEdge } from './loss.ts';
import type { TcpOutput } from './output.ts';
import { probeAfter, retransmitAfter } from './rtt.ts';

const KEEPALIVE_MS = 7_200_000;
/** Pause before what the port refused is sent again, `ms` */
const REFUSED_PAUSE_MS = 2;

export class TcpSender {
  readonly #clock: Clock;
  readonly #timers: TimerWheel;
  readonly #pool: BufferPool;
  readonly #output: TcpOutput;

  constructor(clock: Clock, timers: TimerWheel, pool: BufferPool, output: TcpOutput) {
    this.#clock = clock;
    this.#timers = timers;
    this.#pool = pool;
    this.#output = output;
  }

  // --- from the host ----------------------------------------------------------------------------------------
  /**
   * Reads up to `budget` bytes from the host and sends what may be sent. Returns what is left of the budget, negative
   * when the host's side failed.
   */
  pump(flow: TcpFlow, budget: number): number {
    let left = budget;
    while (left > 0 && flow.hostReadable && !flow.hostEnded) {
      if (!this.#makeRoom(flow)) break;
      const buffer = flow.sendBuffer!;
      const buffered = flow.buffered;
      const tail = (flow.ringHead + buffered) % flow.ringBytes;
      const room = Math.min(flow.ringBytes - buffered, flow.ringBytes - tail, left);
      const bytes = recvAt(flow.fd, buffer.address + tail, room, MSG_DONTWAIT);
      if (bytes > 0) {
        flow.sndEnd = (flow.sndEnd + bytes) | 0;
        left -= bytes;
        continue;
      }
      if (bytes === 0) flow.hostEnded = true;
      else {
        const error = errno();
        if (error === EINTR) continue;
        if (error !== EAGAIN) return -1;
        flow.hostReadable = false;
      }
    }
    this.transmit(flow);
    if (flow.sendBuffer !== undefined && flow.buffered === 0) this.#free(flow);
    return left;
  }

  /** Whether the ring can take more: there is one, it is not full or can be made larger. */
  #makeRoom(flow: TcpFlow): boolean {
    const buffer = flow.sendBuffer;
    if (buffer === undefined) {
      let taken: FlowBuffer | undefined;
      if (flow.wantsLarge) taken = this.#pool.takeLarge(flow.port);
      taken ??= this.#pool.take(flow.port, SMALL_BUFFER_BYTES);
      if (taken === undefined) return false;
      flow.sendBuffer = taken;
      flow.ringHead = 0;
      flow.ringBytes = ringBytes(flow, taken.bytes);
      return true;
    }
    if (flow.buffered < flow.ringBytes) return true;
    if (buffer.bytes === LARGE_BUFFER_BYTES) return false;
    const larger = this.#pool.takeLarge(flow.port);
    if (larger === undefined) return false;
    copyRing(buffer, flow.ringBytes, flow.ringHead, larger, flow.buffered);
    larger.ranges.copyFrom(buffer.ranges);
    flow.sendBuffer = larger;
    flow.ringHead = 0;
    flow.ringBytes = ringBytes(flow, larger.bytes);
    flow.wantsLarge = true;
    this.#pool.give(flow.port, buffer);
    return true;
  }

  #free(flow: TcpFlow): void {
    const buffer = flow.sendBuffer as NonNullable<typeof flow.sendBuffer>;
    flow.sendBuffer = undefined;
    this.#pool.give(flow.port, buffer);
  }

  /** Whether the host's data could be read on. */
  wantsToRead(flow: TcpFlow): boolean {
    if (!flow.hostReadable || flow.hostEnded || flow.state < ESTABLISHED) return false;
    const { sendBuffer } = flow;
    if (sendBuffer === undefined || flow.buffered < flow.ringBytes) return true;
    return sendBuffer.bytes < LARGE_BUFFER_BYTES;
  }

  // --- to the guest -----------------------------------------------------------------------------------------
  /** Sends what may be sent now. */
  transmit(flow: TcpFlow): void {
    if (flow.state < ESTABLISHED) return;
    if (flow.inRecovery) this.#resendHoles(flow);
    const before_ = flow.sndMax;
    let pipe = inPipe(flow);
    for (;;) {
      this.#skipReceived(flow);
      const unsent = (flow.sndEnd - flow.sndNxt) | 0;
      if (unsent <= 0) break;
      const bytes = this.#frameBytes(flow, unsent, pipe);
      if (bytes <= 0) break;
      this.#send(flow, flow.sndNxt, bytes);
      pipe += bytes;
    }
    this.#sendEnd(flow);
    if (flow.sndMax !== before_ || flow.timerKind === TIMER_NONE || flow.timerKind === TIMER_KEEPALIVE) {
      this.#setTimer(flow);
    }
  }

  /** Bytes of the next frame, 0 when it has to wait. */
  #frameBytes(flow: TcpFlow, unsent: number, pipe: number): number {
    const window = (flow.sndUna + flow.sndWnd - flow.sndNxt) | 0;
    const allowed = Math.min(window, flow.cwnd - pipe);
    const offset = flow.ringOffset(flow.sndNxt);
    let bytes = Math.min(unsent, flow.gsoBytes, flow.ringBytes - offset);
    if (flow.sndNxt !== flow.sndMax) bytes = Math.min(bytes, gapAfter(flow, flow.sndNxt));
    if (allowed >= bytes) return bytes;
    // Whole segments only, unless the window is as small as it ever was or nothing is on its way (RFC 9293, 3.8.6.2.1).
    const whole = allowed - (allowed % flow.mss);
    if (whole > 0) return whole;
    if (allowed > 0 && (pipe === 0 || allowed >= flow.sndWndMax / 2) && window < flow.mss) return allowed;
    return 0;
  }

  /** Moves `sndNxt` past what the guest has already. */
  #skipReceived(flow: TcpFlow): void {
    if (flow.sndNxt === flow.sndMax || flow.sendBuffer === undefined) return;
    const index = flow.sendBuffer.ranges.indexOf(flow.sndNxt);
    if (index >= 0) flow.sndNxt = flow.sendBuffer.ranges.end(index);
  }

  #send(flow: TcpFlow, sequence: number, bytes: number): void {
    const next = (sequence + bytes) | 0;
    const end = flow.hostEnded && next === flow.sndEnd && flow.sndNxt === sequence;
    // What probes of a closed window have counted says nothing about what is sent now.
    if (flow.inFlight === 0) flow.backoff = 0;
    if (!flow.isTiming && sequence === flow.sndMax) {
      flow.isTiming = true;
      flow.timedSequence = next;
      flow.timedSinceMs = this.#clock.ms;
    }
    this.#output.data(flow, sequence, bytes, end);
    const after = end ? (next + 1) | 0 : next;
    if (flow.sndNxt === sequence) flow.sndNxt = after;
    if (before(flow.sndMax, after)) flow.sndMax = after;
  }

  /** The FIN on its own, where no data was left to carry it, or where it has to be sent again. */
  #sendEnd(flow: TcpFlow): void {
    if (!flow.hostEnded || flow.sndNxt !== flow.sndEnd) return;
    this.#output.data(flow, flow.sndEnd, 0, true);
    flow.sndNxt = (flow.sndEnd + 1) | 0;
    if (before(flow.sndMax, flow.sndNxt)) flow.sndMax = flow.sndNxt;
  }

  // --- acknowledgments --------------------------------------------------------------------------------------
  /** The guest has everything before `acknowledgment`, which is new. */
  acknowledged(flow: TcpFlow, acknowledgment: number): void {
    const bytes = (acknowledgment - flow.sndUna) | 0;
    const ofData = Math.min(bytes, flow.buffered);
    const limited = flow.inFlight + flow.gsoBytes >= flow.cwnd;
    flow.sndUna = acknowledgment;
    if (before(flow.sndNxt, acknowledgment)) flow.sndNxt = acknowledgment;
    flow.backoff = 0;
    flow.dupAcks = 0;
    if (before(flow.agedEdge, acknowledgment)) flow.agedEdge = acknowledgment;
    if (flow.isProbed && !before(acknowledgment, flow.probedEdge)) flow.isProbed = false;
    if (flow.sendBuffer !== undefined) {
      flow.ringHead = (flow.ringHead + ofData) % flow.ringBytes;
      flow.sendBuffer.ranges.dropBefore(acknowledgment);
      if (flow.buffered === 0) this.#free(flow);
    }
    if (flow.inRecovery && !before(acknowledgment, flow.recover)) {
      flow.inRecovery = false;
      flow.cwnd = Math.max(flow.ssthresh, flow.mss);
    } else if (flow.inRecovery) {
      if (before(flow.resent, acknowledgment)) flow.resent = acknowledgment;
    } else if (limited) this.#open(flow, bytes);
    this.#setTimer(flow);
  }

  /** Opens the congestion window (RFC 5681 section 3.1, appropriate byte counting). */
  #open(flow: TcpFlow, bytes: number): void {
    if (flow.cwnd < flow.ssthresh) {
      // Not beyond the threshold, however much is acknowledged at once after a loss (RFC 3465 section 2.3).
      flow.cwnd = Math.min(flow.cwnd + bytes, flow.ssthresh);
      return;
    }
    flow.ackedBytes += bytes;
    if (flow.ackedBytes < flow.cwnd) return;
    flow.ackedBytes -= flow.cwnd;
    flow.cwnd += flow.mss;
  }

  /** The guest told of ranges, or repeated itself: something may be lost. */
  suspect(flow: TcpFlow, isDuplicate: boolean): void {
    if (isDuplicate) flow.dupAcks++;
    heedProbe(flow);
    if (flow.inRecovery || flow.inFlight === 0) return;
    const lost = flow.hasSack ? lostEdge(flow) !== flow.sndUna : flow.dupAcks >= DUPLICATES;
    if (!lost) return;
    this.#reduce(flow);
    flow.inRecovery = true;
    flow.recover = flow.sndMax;
    flow.resent = flow.sndUna;
    flow.cwnd = flow.ssthresh;
    this.#setTimer(flow);
  }

  #reduce(flow: TcpFlow): void {
    flow.ssthresh = Math.max(Math.floor(Math.min(flow.cwnd, flow.inFlight) / 2), 2 * flow.mss);
    flow.ackedBytes = 0;
    flow.isTiming = false;
  }

  /** Sends lost holes again as far as the congestion window allows. */
  #resendHoles(flow: TcpFlow): void {
    const edge = lostEdge(flow);
    let pipe = inPipe(flow);
    while (flow.sendBuffer !== undefined && before(flow.resent, edge)) {
      const { ranges } = flow.sendBuffer;
      const index = ranges.indexOf(flow.resent);
      if (index >= 0) {
        flow.resent = ranges.end(index);
        continue;
      }
      let bytes = Math.min((edge - flow.resent) | 0, flow.gsoBytes, (flow.sndEnd - flow.resent) | 0);
      bytes = Math.min(bytes, gapAfter(flow, flow.resent));
      const offset = flow.ringOffset(flow.resent);
      bytes = Math.min(bytes, flow.ringBytes - offset);
      // The first hole is sent whatever is on its way (RFC 6675 section 5, step 4.3).
      const first = flow.resent === flow.sndUna;
      const allowed = Math.max(flow.cwnd - pipe, first ? flow.mss : 0);
      if (bytes > allowed) bytes = allowed - (allowed % flow.mss);
      if (bytes <= 0) return;
      this.#output.data(flow, flow.resent, bytes, false);
      flow.resent = (flow.resent + bytes) | 0;
      pipe += bytes;
    }
  }

  // --- timers -----------------------------------------------------------------------------------------------
  #setTimer(flow: TcpFlow): void {
    if (flow.inFlight > 0) {
      // A probe first: it finds a lost tail, or what was sent again in vain, much sooner.
      const probes = flow.backoff === 0 && flow.srtt8 >= 0 && flow.hasSack;
      if (probes) this.#arm(flow, TIMER_PROBE_TAIL, probeAfter(flow));
      else this.#arm(flow, TIMER_RETRANSMIT, retransmitAfter(flow));
    } else if (flow.buffered > 0 && flow.sndWnd < flow.mss) {
      this.#arm(flow, TIMER_PROBE_WINDOW, retransmitAfter(flow));
    } else {
      // Nothing is outstanding: whatever was asked has been answered.
      flow.backoff = 0;
      this.#arm(flow, TIMER_KEEPALIVE, KEEPALIVE_MS);
    }
  }

  #arm(flow: TcpFlow, kind: number, ms: number): void {
    flow.timerKind = kind;
    this.#timers.set(flow.timer, this.#clock.ms, ms);
  }

  /** Nothing came back for the usual time: what is missing before what has come is lost; else the tail may be. */
  probeTail(flow: TcpFlow): void {
    if (flow.inFlight === 0) return;
    const ranges = flow.sendBuffer?.ranges;
    if (ranges !== undefined && ranges.count > 0) {
      flow.agedEdge = ranges.start(ranges.count - 1);
      // In recovery: what was sent again was lost again.
      if (flow.inRecovery) flow.resent = flow.sndUna;
      else this.suspect(flow, false);
      this.transmit(flow);
    } else this.#sendTail(flow);
    flow.isTiming = false;
    this.#arm(flow, TIMER_RETRANSMIT, retransmitAfter(flow));
  }

  /** Sends the last segment again, whose acknowledgment tells what is missing. */
  #sendTail(flow: TcpFlow): void {
    if (flow.finSent && flow.buffered === 0) {
      this.#output.data(flow, flow.sndEnd, 0, true);
      return;
    }
    const end = flow.finSent ? flow.sndEnd : flow.sndMax;
    let bytes = Math.min(flow.mss, (end - flow.sndUna) | 0);
    const from = (end - bytes) | 0;
    const offset = flow.ringOffset(from);
    bytes = Math.min(bytes, flow.ringBytes - offset);
    this.#output.data(flow, from, bytes, flow.finSent && bytes === ((end - from) | 0));
    flow.isProbed = true;
    flow.probedEdge = (from + bytes) | 0;
  }

  /** Nothing came back at all: everything the guest is not known to have is sent again, slowly at first. */
  retransmit(flow: TcpFlow): void {
    if (flow.backoff === 0) this.#reduce(flow);
    flow.backoff++;
    flow.cwnd = flow.mss;
    flow.inRecovery = false;
    flow.agedEdge = flow.sndUna;
    flow.isProbed = false;
    flow.isTiming = false;
    // The guest may have thrown away what it said it had (RFC 2018 section 8): forgotten when it happens again.
    if (flow.backoff > 1) flow.sendBuffer?.ranges.clear();
    flow.sndNxt = flow.sndUna;
    flow.timerKind = TIMER_NONE;
    this.transmit(flow);
    if (flow.sndNxt === flow.sndUna && flow.buffered > 0)
      this.#send(flow, flow.sndUna, this.#firstBytes(flow));
    this.#arm(flow, TIMER_RETRANSMIT, retransmitAfter(flow));
  }

  #firstBytes(flow: TcpFlow): number {
    return Math.min(flow.mss, flow.buffered, flow.ringBytes - flow.ringHead);
  }

  /** The guest's window is closed: asks whether it still is (RFC 9293 section 3.8.6.1). */
  probeWindow(flow: TcpFlow): void {
    flow.backoff++;
    this.#output.probe(flow);
    flow.timerKind = TIMER_NONE;
    this.#setTimer(flow);
  }

  /** Asks a guest that has been silent for long whether it is still there (RFC 9293 section 3.8.4). */
  keepAlive(flow: TcpFlow, againMs: number): void {
    const silent = (this.#clock.ms - flow.heardMs) | 0;
    if (silent < KEEPALIVE_MS) {
      this.#arm(flow, TIMER_KEEPALIVE, KEEPALIVE_MS - silent);
      return;
    }
    flow.backoff++;
    this.#output.probe(flow);
    this.#arm(flow, TIMER_KEEPALIVE, againMs);
  }

  /** A frame from `sequence` on could not leave: it is sent again after a pause, with less on its way. */
  refused(flow: TcpFlow, sequence: number): void {
    if (flow.state < ESTABLISHED || before(sequence, flow.sndUna)) return;
    if (before(sequence, flow.sndNxt)) flow.sndNxt = sequence;
    flow.cwnd = Math.max(flow.mss, Math.floor(flow.cwnd / 2));
    flow.isTiming = false;
    this.#arm(flow, TIMER_RETRANSMIT, REFUSED_PAUSE_MS);
  }

  /** Gives the flow's buffer back. */
  release(flow: TcpFlow): void {
    if (flow.sendBuffer !== undefined) this.#free(flow);
  }
}

/** Whole frames of the largest kind, so that none is cut short where the ring begins again. */
function ringBytes(flow: TcpFlow, bytes: number): number {
  return bytes < flow.gsoBytes ? bytes : bytes - (bytes % flow.gsoBytes);
}
