/** What of a flow's data counts as lost (RFC 6675 section 4, RFC 8985), and what as still on its way. */
import { before } from '../../wire/tcp.ts';
import type { TcpFlow } from './flow.ts';

/** Segments received beyond a hole that make it a loss (RFC 5681 section 3.2, RFC 6675) */
export const DUPLICATES = 3;
const NO_GAP = 0x7fffffff;

/** Everything before this that the guest does not have counts as lost. */
export function lostEdge(flow: TcpFlow): number {
  // Without selective acknowledgments only the first segment is known to be missing (RFC 6582).
  if (!flow.hasSack) return flow.inRecovery ? (flow.sndUna + flow.mss) | 0 : flow.sndUna;
  const ranges = flow.sendBuffer?.ranges;
  if (ranges === undefined) return flow.sndUna;
  let above = 0;
  for (let i = ranges.count - 1; i >= 0; i--) {
    const start = ranges.start(i);
    above += (ranges.end(i) - start) | 0;
    if (above < DUPLICATES * flow.mss && ranges.count - i < DUPLICATES) continue;
    return before(start, flow.agedEdge) ? flow.agedEdge : start;
  }
  return flow.agedEdge;
}

/** Bytes on their way (SetPipe). */
export function inPipe(flow: TcpFlow): number {
  const flying = (flow.sndNxt - flow.sndUna) | 0;
  const ranges = flow.sendBuffer?.ranges;
  if (ranges === undefined || ranges.count === 0) return flying;
  let pipe = flying;
  let at = flow.sndUna;
  const lost = lostEdge(flow);
  for (let i = 0; i < ranges.count && before(ranges.start(i), flow.sndNxt); i++) {
    pipe -= (ranges.end(i) - ranges.start(i)) | 0;
    // A hole that counts as lost and has not been sent again yet is not on its way either.
    const from = flow.inRecovery && before(at, flow.resent) ? flow.resent : at;
    const hole = (ranges.start(i) - from) | 0;
    if (hole > 0 && !before(lost, ranges.start(i))) pipe -= hole;
    at = ranges.end(i);
  }
  return Math.max(0, pipe);
}

/** Bytes from `sequence`, which the guest does not have, to the next that it has. */
export function gapAfter(flow: TcpFlow, sequence: number): number {
  const ranges = flow.sendBuffer?.ranges;
  if (ranges === undefined) return NO_GAP;
  for (let i = 0; i < ranges.count; i++) {
    const gap = (ranges.start(i) - sequence) | 0;
    if (gap > 0) return gap;
  }
  return NO_GAP;
}

/** Where the probe of the tail has arrived, what was sent before it and has not is lost (RFC 8985 section 7.4.2). */
export function heedProbe(flow: TcpFlow): void {
  const ranges = flow.sendBuffer?.ranges;
  if (!flow.isProbed || ranges === undefined) return;
  const index = ranges.indexOf((flow.probedEdge - 1) | 0);
  if (index < 0) return;
  flow.isProbed = false;
  if (before(flow.agedEdge, ranges.start(index))) flow.agedEdge = ranges.start(index);
}
