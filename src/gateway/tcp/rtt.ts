/** Round trip and retransmission time-out (RFC 6298), in milliseconds. */
import type { TcpFlow } from './flow.ts';

const INITIAL_RTO_MS = 1000;
/** Below the second of RFC 6298 section 2.4, as every system is today: the guest is on this machine */
const SHORTEST_RTO_MS = 200;
const LONGEST_RTO_MS = 60_000;
const SHORTEST_PROBE_MS = 10;
/** So many doublings make the shortest time-out the longest */
export const DOUBLINGS_TO_LONGEST = 9;

/** Takes one measurement into account. */
export function measured(flow: TcpFlow, ms: number): void {
  if (flow.srtt8 < 0) {
    flow.srtt8 = ms * 8;
    flow.rttvar4 = ms * 2;
    return;
  }
  const difference = ms - (flow.srtt8 >> 3);
  flow.srtt8 += difference;
  flow.rttvar4 += Math.abs(difference) - (flow.rttvar4 >> 2);
}

/** Time-out of the oldest segment in flight, with what earlier ones have doubled it to. */
export function retransmitAfter(flow: TcpFlow): number {
  const base = flow.srtt8 < 0 ? INITIAL_RTO_MS : (flow.srtt8 >> 3) + Math.max(1, flow.rttvar4);
  const doubled = Math.max(base, SHORTEST_RTO_MS) * 2 ** Math.min(flow.backoff, DOUBLINGS_TO_LONGEST);
  return Math.min(doubled, LONGEST_RTO_MS);
}

/** Time after which the end of what was sent is probed for loss (RFC 8985 section 7.2). */
export function probeAfter(flow: TcpFlow): number {
  return Math.max(SHORTEST_PROBE_MS, flow.srtt8 >> 2);
}
