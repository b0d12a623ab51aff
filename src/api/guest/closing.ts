/** Close codes (RFC 6455, section 7.4) of the browser's side: every one is chosen here, so that none is a bare 1006. */
import type { WebSocket } from 'ws';
import { codeOf } from './failure.ts';

export const NORMAL = 1000;
export const GOING_AWAY = 1001;
export const UNSUPPORTED_DATA = 1003;
export const TOO_BIG = 1009;
export const FAILED = 1011;
export const OVERLOADED = 1013;

const NO_STATUS = 1005; // received a close frame without a code
const LARGEST_REASON = 123; // bytes; section 5.5 leaves 125 for code and reason

/** Whether a close frame may carry `code`. */
function isSendable(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** What `error` on the way into the VM is to the browser; without one, the connection just broke. */
export function closingOf(error: unknown): Closing {
  switch (codeOf(error)) {
    case 'SWITCH_CLOSED':
      return { code: GOING_AWAY, reason: 'tapswitch is shutting down' };
    case 'FLOW_LIMIT':
      return { code: OVERLOADED, reason: 'the VM has too many connections' };
    default:
      return { code: FAILED, reason: 'the connection into the VM broke' };
  }
}

/** What the close of the guest's WebSocket is to the browser. */
export function passedOn(code: number, reason: string, failure: unknown): Closing {
  if (code === NO_STATUS) return { code: NORMAL, reason: '' };
  return isSendable(code) ? { code, reason } : closingOf(failure);
}

/** What the close of the browser's WebSocket is to the guest: a browser that vanished has gone away. */
export function toldGuest(code: number, reason: string): Closing | undefined {
  if (code === NO_STATUS) return undefined;
  return isSendable(code) ? { code, reason } : { code: GOING_AWAY, reason: 'the browser has gone' };
}

function shortened(reason: string): string {
  const bytes = Buffer.from(reason);
  // A character that is cut in two becomes U+FFFD, which is three bytes.
  return bytes.length <= LARGEST_REASON ? reason : bytes.toString('utf8', 0, LARGEST_REASON - 3);
}

/** Closes with a code after all that was sent; the other side's close frame must be read, so reading goes on. */
export function closeWith(socket: WebSocket, { code, reason }: Closing): void {
  socket.resume();
  socket.close(code, shortened(reason));
}
