/** Which connections can be offloaded, and when they are at rest. */
import type { OffloadGrant } from '../../fastpath/flow-entry.ts';
import type { Tables } from '../../switch/tables.ts';
import { tcpAgreement } from '../../sys/tcp-state.ts';
import { IPV4_HEADER_BYTES } from '../../wire/ipv4.ts';
import { TCP_HEADER_BYTES } from '../../wire/tcp.ts';
import { TIMESTAMPS_ALIGNED_BYTES } from '../../wire/tcp-options.ts';
import { ESTABLISHED, type TcpFlow } from './flow.ts';

const HEADER_BYTES = IPV4_HEADER_BYTES + TCP_HEADER_BYTES;

/** Payload of the largest segment that a VM's interface takes, `bytes`: what its hosts' sides may be asked for. */
export function largestSegment(tables: Tables, port: number): number {
  return tables.mtu(tables.network(port)) - HEADER_BYTES;
}

/** Open on both sides, with what the programs can translate. */
export function isFit(flow: TcpFlow): boolean {
  const isOpen = flow.state === ESTABLISHED && flow.hasHost && !flow.hostEnded && !flow.hasFin;
  return isOpen && flow.isIpv4 && flow.hasTimestamps && flow.hasSack;
}

/** Whether what each side sends fits the interface of the other. */
export function fits(flow: TcpFlow, { mtu }: OffloadGrant): boolean {
  const agreed = tcpAgreement(flow.fd);
  if (agreed === undefined || !agreed.hasUsualOptions) return false;
  // Both without options, of which timestamps are what every segment has.
  const taken = flow.mss + TIMESTAMPS_ALIGNED_BYTES;
  const sent = agreed.sendMss + TIMESTAMPS_ALIGNED_BYTES;
  return agreed.advertisedMss + HEADER_BYTES <= mtu && taken <= sent;
}

/** Everything that came in has been handed on, and acknowledged by whom it was for; the host's socket apart. */
export function isAtRest(flow: TcpFlow): boolean {
  const isAcknowledged = flow.inFlight === 0 && flow.buffered === 0;
  return isAcknowledged && flow.waiting === 0 && flow.receiveBuffer === undefined;
}
