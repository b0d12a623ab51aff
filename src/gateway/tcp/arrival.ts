/** What a segment does to the flow it belongs to: RFC 9293 section 3.10.7, in its order. */

import * as tcp from '../../wire/tcp.ts';
import type { GatewayContext } from '../context.ts';
import {
  CLOSE_WAIT,
  CLOSING,
  CONNECTING,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  SYN_RECEIVED,
  SYN_SENT,
  type TcpFlow,
} from './flow.ts';
import { agree } from './handshake.ts';
import type { TcpOutput } from './output.ts';
import type { TcpReceiver } from './receiver.ts';
import { DOUBLINGS_TO_LONGEST, measured } from './rtt.ts';
import type { Segment } from './segment.ts';
import type { TcpSender } from './sender.ts';

const { before } = tcp;

/** What has to be done about a flow beyond its own numbers. */
export interface FlowOwner {
  opened(flow: TcpFlow): void;
  wake(flow: TcpFlow): void;
  list(flow: TcpFlow): void;
  settle(flow: TcpFlow): void;
  close(flow: TcpFlow, resetHost?: boolean): void;
  abort(flow: TcpFlow): void;
  refused(flow: TcpFlow): void;
}

export class Arrival {
  readonly #context: GatewayContext;
  readonly #output: TcpOutput;
  readonly #sender: TcpSender;
  readonly #receiver: TcpReceiver;
  readonly #owner: FlowOwner;

  constructor(
    context: GatewayContext,
    output: TcpOutput,
    sender: TcpSender,
    receiver: TcpReceiver,
    owner: FlowOwner,
  ) {
    this.#context = context;
    this.#output = output;
    this.#sender = sender;
    this.#receiver = receiver;
    this.#owner = owner;
  }

  handle(flow: TcpFlow, segment: Segment): void {
    if (flow.state === CONNECTING) {
      // The host's side decides; the guest may change its mind.
      if (segment.has(tcp.RST)) this.#owner.close(flow, true);
    } else if (flow.state === SYN_SENT) this.#inSynSent(flow, segment);
    else this.#synchronised(flow, segment);
  }

  #inSynSent(flow: TcpFlow, segment: Segment): void {
    const acknowledges = segment.has(tcp.ACK) && segment.acknowledgment === flow.sndNxt;
    if (segment.has(tcp.RST)) {
      if (acknowledges) this.#owner.refused(flow);
      return;
    }
    if (segment.has(tcp.ACK) && !acknowledges) {
      this.#output.resetStray(segment);
      return;
    }
    if (!segment.has(tcp.SYN) || !acknowledges) return;
    agree(flow, segment.options, segment.sequence, segment.window, this.#context.clock);
    flow.sndUna = segment.acknowledgment;
    flow.sndWl2 = segment.acknowledgment;
    this.#owner.opened(flow);
    this.#output.acknowledge(flow);
  }

  #synchronised(flow: TcpFlow, segment: Segment): void {
    const { options } = segment;
    const isReset = segment.has(tcp.RST);
    const isStamped = flow.hasTimestamps && options.hasTimestamps && !isReset;
    // Protection against wrapped sequence numbers (RFC 7323 section 5): at 30 Gbit/s they wrap every second.
    if (isStamped && before(options.timestamp, flow.tsRecent)) {
      this.#challenge(flow);
      return;
    }
    if (!this.#receiver.isAcceptable(flow, segment.sequence, segment.length)) {
      if (isReset) return;
      // The guest did not get our answer to its SYN.
      if (flow.state === SYN_RECEIVED && segment.has(tcp.SYN)) this.#output.syn(flow);
      else this.#challenge(flow);
      return;
    }
    // Of what is in the window only (RFC 7323 section 5.3, R3): anything else could make all that follows look old.
    if (isStamped && !before(flow.acked, segment.sequence)) flow.tsRecent = options.timestamp;
    if (isReset) {
      // Only the very next number is a reset beyond doubt (RFC 5961 section 3).
      if (segment.sequence === flow.rcvNxt) this.#owner.close(flow, true);
      else this.#challenge(flow);
      return;
    }
    if (segment.has(tcp.SYN)) {
      this.#challenge(flow);
      return;
    }
    if (!segment.has(tcp.ACK)) return;
    flow.heardMs = this.#context.clock.ms;
    if (!this.#acknowledgment(flow, segment)) return;
    if (segment.payloadBytes > 0 || segment.has(tcp.FIN)) {
      if (!this.#text(flow, segment)) return;
    }
    this.#sender.transmit(flow);
    this.#owner.settle(flow);
    this.#owner.wake(flow);
  }

  #challenge(flow: TcpFlow): void {
    flow.owesAck = true;
    this.#owner.list(flow);
  }

  /** Takes note of what the guest has received. False when the segment is no good. */
  #acknowledgment(flow: TcpFlow, segment: Segment): boolean {
    const { acknowledgment } = segment;
    if (before(flow.sndMax, acknowledgment)) {
      if (flow.state === SYN_RECEIVED) this.#output.resetStray(segment);
      else this.#challenge(flow);
      return false;
    }
    if (flow.state === SYN_RECEIVED) {
      if (acknowledgment !== flow.sndNxt) {
        this.#output.resetStray(segment);
        return false;
      }
      flow.sndUna = acknowledgment;
      this.#window(flow, segment);
      this.#owner.opened(flow);
      return true;
    }
    this.#selective(flow, segment);
    const window = segment.window << flow.sndScale;
    if (before(flow.sndUna, acknowledgment)) {
      this.#measure(flow, segment);
      this.#sender.acknowledged(flow, acknowledgment);
      this.#window(flow, segment);
      if (flow.inFlight > 0) this.#sender.suspect(flow, false);
      if (flow.state === FIN_WAIT_1 && flow.inFlight === 0) flow.state = FIN_WAIT_2;
      return true;
    }
    const isDuplicate =
      acknowledgment === flow.sndUna &&
      segment.payloadBytes === 0 &&
      window === flow.sndWnd &&
      flow.inFlight > 0;
    this.#window(flow, segment);
    // A guest that answers is not gone, however long its window stays closed (RFC 9293 section 3.8.6.1).
    if (flow.sndWnd === 0) flow.backoff = Math.min(flow.backoff, DOUBLINGS_TO_LONGEST);
    this.#sender.suspect(flow, isDuplicate);
    return true;
  }

  #measure(flow: TcpFlow, segment: Segment): void {
    const now = this.#context.clock.ms;
    if (flow.hasTimestamps && segment.options.hasTimestamps) {
      const ms = (now + flow.tsOffset - segment.options.timestampEcho) | 0;
      if (ms >= 0) measured(flow, ms);
    } else if (flow.isTiming && !before(segment.acknowledgment, flow.timedSequence)) {
      measured(flow, (now - flow.timedSinceMs) | 0);
    }
    if (flow.isTiming && !before(segment.acknowledgment, flow.timedSequence)) flow.isTiming = false;
  }

  #selective(flow: TcpFlow, segment: Segment): void {
    const { sackBlocks, sack } = segment.options;
    if (sackBlocks === 0 || !flow.hasSack || flow.sendBuffer === undefined) return;
    const end = before(flow.sndEnd, flow.sndMax) ? flow.sndEnd : flow.sndMax;
    for (let i = 0; i < sackBlocks; i++) {
      const left = sack[2 * i] as number;
      const right = sack[2 * i + 1] as number;
      // What was acknowledged already tells of a duplicate (RFC 2883), and nothing new.
      if (!before(left, right) || before(left, flow.sndUna) || before(left, segment.acknowledgment)) continue;
      flow.sendBuffer.ranges.add(left, before(end, right) ? end : right);
    }
  }

  #window(flow: TcpFlow, segment: Segment): void {
    const isNewer =
      before(flow.sndWl1, segment.sequence) ||
      (flow.sndWl1 === segment.sequence && !before(segment.acknowledgment, flow.sndWl2));
    if (!isNewer) return;
    flow.sndWl1 = segment.sequence;
    flow.sndWl2 = segment.acknowledgment;
    flow.sndWnd = segment.window << flow.sndScale;
    if (flow.sndWnd > flow.sndWndMax) flow.sndWndMax = flow.sndWnd;
  }

  /** Takes payload and FIN. False when the flow is over. */
  #text(flow: TcpFlow, segment: Segment): boolean {
    if (flow.state !== ESTABLISHED && flow.state !== FIN_WAIT_1 && flow.state !== FIN_WAIT_2) {
      // The guest has ended before: only its FIN can be here again.
      this.#challenge(flow);
      return true;
    }
    const { sequence, payload, payloadBytes } = segment;
    const taken =
      flow.hasHost && this.#receiver.take(flow, sequence, payload, payloadBytes, segment.has(tcp.FIN));
    if (!taken) {
      this.#owner.abort(flow);
      return false;
    }
    if (!flow.guestEnded) return true;
    if (flow.state === ESTABLISHED) flow.state = CLOSE_WAIT;
    else if (flow.state === FIN_WAIT_1) flow.state = CLOSING;
    return true;
  }
}
