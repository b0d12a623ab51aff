/**
 * One TCP flow: the guest's connection, which ends here, and the host socket it is joined with.
 *
 *       guest  <-- frames -->  TcpFlow  <-- fd -->  host
 *
 * The left half is a TCP endpoint (RFC 9293 section 3.3): SND and RCV variables below have their names from there. The
 * right half is a socket the kernel looks after. What a half has ended, the other is told when everything before has
 * gone through. All numbers are int32, so that none of them is an object.
 */

import { IndexedFlow } from '../flow-index.ts';
import type { Sender } from '../outbox.ts';
import type { Pollable } from '../sockets.ts';
import { type Timed, Timer } from '../timer-wheel.ts';
import type { FlowBuffer } from './buffer-pool.ts';
import type { FlowEvents } from './flow-events.ts';
import type { Offloading } from './offloading.ts';

// States of the guest's half (RFC 9293 section 3.3.2), and one before them.
export const CLOSED = 0;
/** The guest's SYN is here, the host's side is still connecting */
export const CONNECTING = 1;
export const SYN_RECEIVED = 2;
export const SYN_SENT = 3;
export const ESTABLISHED = 4;
export const FIN_WAIT_1 = 5;
export const FIN_WAIT_2 = 6;
export const CLOSE_WAIT = 7;
export const CLOSING = 8;
export const LAST_ACK = 9;
export const TIME_WAIT = 10;

export const STATE_NAMES = [
  'closed',
  'connecting',
  'syn-received',
  'syn-sent',
  'established',
  'fin-wait-1',
  'fin-wait-2',
  'close-wait',
  'closing',
  'last-ack',
  'time-wait',
] as const;

/** What the flow's timer is for. */
export const TIMER_NONE = 0;
export const TIMER_RETRANSMIT = 1;
export const TIMER_PROBE_TAIL = 2;
export const TIMER_PROBE_WINDOW = 3;
export const TIMER_KEEPALIVE = 4;
export const TIMER_END = 5;
/** Another try to open the guest's side */
export const TIMER_OPEN = 6;

/** Of a window: no bound but its buffer's */
export const UNBOUND = 0x7fffffff;

export class TcpFlow extends IndexedFlow<TcpFlow> implements Pollable, Timed, Sender {
  readonly events: FlowEvents;
  readonly timer: Timer;
  readonly ackTimer: Timer;
  /** Neighbours among the flows of its VM */
  nextOfPort: TcpFlow | undefined = undefined;
  previousOfPort: TcpFlow | undefined = undefined;
  /** Next among those of its VM that wait for their turn to read from the host */
  nextReady: TcpFlow | undefined = undefined;
  isReady = false;

  state = CLOSED;
  /** Number of the forward it came by, -1 when the guest began it */
  forward = -1;
  /** Half-open flows are counted apart */
  isHalfOpen = false;
  /** So are those in TIME-WAIT */
  isResting = false;

  // --- the host's side ------------------------------------------------------------------------------------
  /** -1 once closed */
  fd = -1;
  token = -1;
  hostReadable = false;
  hostWritable = false;
  /** The host has sent everything it will */
  hostEnded = false;
  /** The host has been told that the guest has */
  hostToldEnd = false;

  // --- sending to the guest -------------------------------------------------------------------------------
  /** Initial send sequence number */
  iss = 0;
  /** Oldest unacknowledged number */
  sndUna = 0;
  /** Next to send: behind `sndMax` while something is sent again */
  sndNxt = 0;
  /** Behind the highest number ever sent */
  sndMax = 0;
  /** Behind the last byte in the buffer; the FIN's number, once there is one */
  sndEnd = 0;
  /** Bytes the guest takes from `sndUna` on */
  sndWnd = 0;
  /** The largest window it ever offered */
  sndWndMax = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  sndScale = 0;
  /** Payload bytes of a segment, options allowed for */
  mss = 536;
  /** Payload bytes of the largest frame: a multiple of `mss` */
  gsoBytes = 536;
  sendBuffer: FlowBuffer | undefined = undefined;
  /** Bytes of the ring in use, at most the buffer's */
  ringBytes = 0;
  /** Ring offset of the byte `sndUna` */
  ringHead = 0;
  /** The last buffer was filled: the next is a large one */
  wantsLarge = false;

  // --- congestion and loss --------------------------------------------------------------------------------
  /** Bytes */
  cwnd = 0;
  ssthresh = 0x7fffffff;
  /** Bytes acknowledged since `cwnd` last grew in congestion avoidance */
  ackedBytes = 0;
  dupAcks = 0;
  inRecovery = false;
  /** Recovery ends when this is acknowledged (RFC 6675 section 5) */
  recover = 0;
  /** Holes before this have been sent again in this recovery */
  resent = 0;
  /** What is missing before this was sent so long before what has arrived that it is lost; never before `sndUna` */
  agedEdge = 0;
  /** The tail was probed up to `probedEdge`, and the probe has not been answered */
  isProbed = false;
  probedEdge = 0;
  /** Round trip, `ms` times 8, -1 before the first measurement; variation times 4 (RFC 6298) */
  srtt8 = -1;
  rttvar4 = 0;
  /** Retransmissions in a row */
  backoff = 0;
  /** The number whose acknowledgment is timed, and since when; without timestamps only */
  timedSequence = 0;
  timedSinceMs = 0;
  isTiming = false;
  timerKind = TIMER_NONE;

  // --- receiving from the guest ---------------------------------------------------------------------------
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window last advertised */
  rcvEdge = 0;
  rcvScale = 0;
  /** `rcvNxt` as last acknowledged */
  acked = 0;
  receiveBuffer: FlowBuffer | undefined = undefined;
  /** Ring offset of the first byte the host has not taken */
  receiveHead = 0;
  /** Bytes received in order that the host has not taken */
  waiting = 0;
  /** The guest's FIN has been here, and this is its number; everything before it may still be missing */
  hasFin = false;
  finSequence = 0;
  /** The guest has ended, and everything before has been received */
  guestEnded = false;
  /** An acknowledgment has to go out at the end of this round */
  owesAck = false;
  isListedForAck = false;
  /** Start of the range that arrived last, for the first SACK block */
  lastRangeStart = 0;

  // --- options --------------------------------------------------------------------------------------------
  hasSack = false;
  hasTimestamps = false;
  tsRecent = 0;
  /** Added to the clock in our timestamps */
  tsOffset = 0;
  /** Clock when something last came from the guest */
  heardMs = 0;
  /** Clock when the flow began to wait for a guest that is not there yet, and how long it may */
  sinceMs = 0;
  waitMs = 0;
  /** What kept the last try from succeeding, a number of OPEN_FAILURE */
  openFailure = 0;

  // --- on its way to the kernel ---------------------------------------------------------------------------
  /** Sum of `rcvNxt` and `sndUna`, and the clock, when it was last looked how much the flow moves */
  bulkMark = 0;
  bulkSinceMs = 0;
  /** Bytes that are to be offered at most beyond what is promised already */
  windowBound = UNBOUND;
  offloadAttempts = 0;
  offloading: Offloading | undefined = undefined;

  constructor(events: FlowEvents) {
    super();
    this.events = events;
    this.timer = new Timer(this);
    this.ackTimer = new Timer(this);
  }

  /** The host's socket is ready. */
  ready(events: number): void {
    this.events.hostReady(this, events);
  }

  /** One of the flow's timers has run out. */
  expire(timer: Timer): void {
    if (timer === this.ackTimer) this.events.acknowledgeLate(this);
    else this.events.timerExpired(this);
  }

  /** A frame from sequence number `mark` on could not leave. */
  refused(mark: number): void {
    this.events.frameRefused(this, mark);
  }

  /** The host's socket is open. */
  get hasHost(): boolean {
    return this.fd >= 0;
  }

  /** Bytes sent and not acknowledged, a FIN included. */
  get inFlight(): number {
    return (this.sndMax - this.sndUna) | 0;
  }

  /** Offset in the ring of the byte with that number, which is in the send buffer, or next to come into it. */
  ringOffset(sequence: number): number {
    return (this.ringHead + ((sequence - this.sndUna) | 0)) % this.ringBytes;
  }

  /** Bytes in the send buffer. */
  get buffered(): number {
    const end = (this.sndEnd - this.sndUna) | 0;
    return Math.max(0, end);
  }

  get finSent(): boolean {
    return this.hostEnded && this.sndMax === ((this.sndEnd + 1) | 0);
  }
}
