/** What happens to a flow from outside the frames of its guest. */
import type { TcpFlow } from './flow.ts';

export interface FlowEvents {
  hostReady(flow: TcpFlow, events: number): void;
  timerExpired(flow: TcpFlow): void;
  acknowledgeLate(flow: TcpFlow): void;
  frameRefused(flow: TcpFlow, sequence: number): void;
}
