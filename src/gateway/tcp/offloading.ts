/** The way of one connection out of our hands, and what is known of it there. */
import {
  FLOW,
  type FlowEnds,
  type FlowNotes,
  flowKey,
  type OffloadGrant,
  readNotes,
} from '../../fastpath/flow-entry.ts';
import type { FrozenTcp, TcpEnds } from '../../sys/tcp-state.ts';
import { type Timed, Timer } from '../timer-wheel.ts';
import type { TcpFlow } from './flow.ts';

/** Where it is: see `offload.ts`. */
export const ASKED = 0;
export const CLOSING = 1;
export const HOLDING = 2;
export const PROVING = 3;
export const OFFLOADED = 4;

const NOTHING: FlowNotes = readNotes(new Uint8Array(FLOW.bytes));
const NOWHERE: OffloadGrant = { tap: 0, host: 0, mtu: 0 };

export class Offloading implements Timed {
  readonly flow: TcpFlow;
  /** Of the host's socket */
  readonly ends: TcpEnds;
  readonly timer = new Timer(this);
  readonly #step: (offloading: Offloading) => void;
  stage = ASKED;
  grant = NOWHERE;
  /** The socket as it was frozen */
  frozen: FrozenTcp | undefined;
  deadlineMs = 0;
  /** Bytes that the socket had taken in when it was last looked */
  received = -1;
  /** What the programs had noted when it was last looked */
  fromGuest = NOTHING;
  toGuest = NOTHING;
  /** Looks since something was noted, and questions to the guest since */
  quietLooks = 0;
  probes = 0;
  /** Resets of the guest's when it was last asked */
  resetsWhenProbed = 0x7fffffff;

  constructor(flow: TcpFlow, ends: TcpEnds, step: (offloading: Offloading) => void) {
    this.flow = flow;
    this.ends = ends;
    this.#step = step;
  }

  expire(): void {
    this.#step(this);
  }

  /** The kernel carries it. */
  get isAway(): boolean {
    return this.stage >= PROVING;
  }

  /** Of what the guest sends. */
  get guestEnds(): FlowEnds {
    const { guest3, guestPort, remote3, remotePort } = this.flow;
    return { source: guest3, sourcePort: guestPort, destination: remote3, destinationPort: remotePort };
  }

  /** Of what the host's socket sends. */
  get hostEnds(): FlowEnds {
    const { local, localPort, remote, remotePort } = this.ends;
    return { source: local, sourcePort: localPort, destination: remote, destinationPort: remotePort };
  }

  /** Key of what comes from the guest. */
  get guestKey(): Uint8Array {
    return flowKey(this.grant.tap, this.guestEnds);
  }

  /** Key of what comes from the other end. */
  get hostKey(): Uint8Array {
    return flowKey(this.grant.host, reverse(this.hostEnds));
  }
}

/** The ends of what goes the other way. */
export function reverse({ source, sourcePort, destination, destinationPort }: FlowEnds): FlowEnds {
  return {
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}
