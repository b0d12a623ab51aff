/** The flows of a VM, written out for whoever wants to see them. */
import { formatEndpoint, type IpWords } from '../config/ip.ts';
import type { FlowKey } from './flow-key.ts';
import { STATE_NAMES, type TcpFlow } from './tcp/flow.ts';
import type { DatagramFlow } from './udp/flow.ts';

/** Flows of a VM that are listed at most */
export const MOST_LISTED = 1000;

export interface FlowRecord {
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** `in`: begun by the host */
  readonly direction: 'in' | 'out';
  readonly guest: string;
  /** As the guest sees it */
  readonly remote: string;
  readonly state: string;
}

type Ends = Pick<FlowRecord, 'guest' | 'remote'>;

function endsOf({ guest0, guest1, guest2, guest3, guestPort, ...key }: FlowKey): Ends {
  const guest: IpWords = [guest0, guest1, guest2, guest3];
  const remote: IpWords = [key.remote0, key.remote1, key.remote2, key.remote3];
  return { guest: formatEndpoint(guest, guestPort), remote: formatEndpoint(remote, key.remotePort) };
}

/** A list of what follows from `flow` by TCP's list of its VM. */
export function tcpRecords(flow: TcpFlow | undefined): FlowRecord[] {
  const records: FlowRecord[] = [];
  for (let at = flow; at !== undefined && records.length < MOST_LISTED; at = at.nextOfPort) {
    const direction = at.forward === -1 ? 'out' : 'in';
    const state = at.offloading?.isAway ? 'offloaded' : (STATE_NAMES[at.state] as string);
    records.push({ protocol: 'tcp', direction, ...endsOf(at), state });
  }
  return records;
}

/** The same for flows without connection. */
export function datagramRecords(protocol: 'udp' | 'icmp', flow: DatagramFlow | undefined): FlowRecord[] {
  const records: FlowRecord[] = [];
  for (let at = flow; at !== undefined && records.length < MOST_LISTED; at = at.newer) {
    const direction = at.forward === undefined ? 'out' : 'in';
    records.push({ protocol, direction, ...endsOf(at), state: 'open' });
  }
  return records;
}
