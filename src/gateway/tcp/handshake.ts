/** What a SYN, or the answer to one, agrees on for the rest of a flow's life. */
import type { Clock } from '../../sys/clock.ts';
import { TCP_HEADER_BYTES } from '../../wire/tcp.ts';
import { type TcpOptions, TIMESTAMPS_ALIGNED_BYTES } from '../../wire/tcp-options.ts';
import { ipBytes } from '../to-guest.ts';
import type { TcpFlow } from './flow.ts';
import { OWN_WINDOW_SCALE } from './output.ts';

/** For a peer that names none (RFC 9293 section 3.7.1) */
const DEFAULT_MSS4 = 536;
const DEFAULT_MSS6 = 1220;
/** Below this the headers would be most of the traffic */
const SMALLEST_MSS = 88;
const LARGEST_PACKET = 65_535;
/** Segments of the first flight (RFC 6928) */
const INITIAL_SEGMENTS = 10;

/** Takes over what the guest's SYN says; the flow's own choices follow it. */
export function agree(
  flow: TcpFlow,
  options: TcpOptions,
  sequence: number,
  window: number,
  clock: Clock,
): void {
  flow.irs = sequence;
  flow.rcvNxt = (sequence + 1) | 0;
  flow.acked = flow.rcvNxt;
  flow.rcvEdge = flow.rcvNxt;
  flow.hasTimestamps = options.hasTimestamps;
  flow.tsRecent = options.timestamp;
  flow.hasSack = options.sackPermitted;
  const scales = options.windowScale >= 0;
  flow.sndScale = scales ? options.windowScale : 0;
  flow.rcvScale = scales ? OWN_WINDOW_SCALE : 0;
  const optionBytes = flow.hasTimestamps ? TIMESTAMPS_ALIGNED_BYTES : 0;
  const offered = options.mss > 0 ? options.mss : flow.isIpv4 ? DEFAULT_MSS4 : DEFAULT_MSS6;
  flow.mss = Math.max(SMALLEST_MSS, offered) - optionBytes;
  const largest = LARGEST_PACKET - ipBytes(flow) - TCP_HEADER_BYTES - optionBytes;
  flow.mss = Math.min(flow.mss, largest);
  flow.gsoBytes = Math.floor(largest / flow.mss) * flow.mss;
  flow.cwnd = INITIAL_SEGMENTS * flow.mss;
  // The window of a SYN is never scaled (RFC 7323 section 2.2).
  flow.sndWnd = window;
  flow.sndWndMax = window;
  flow.sndWl1 = sequence;
  flow.heardMs = clock.ms;
}

/** Numbers our half of a new flow (RFC 9293 section 3.4.1: not to be guessed). */
export function number(flow: TcpFlow, initial: number, timestampOffset: number): void {
  flow.iss = initial;
  flow.sndUna = initial;
  flow.agedEdge = initial;
  flow.sndNxt = (initial + 1) | 0;
  flow.sndMax = flow.sndNxt;
  flow.sndEnd = flow.sndNxt;
  flow.tsOffset = timestampOffset;
}
