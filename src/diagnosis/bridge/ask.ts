/**
 * Asks the ports of a bridge who is behind them (ARP, RFC 826).
 *
 * Theory of operation. A question goes out of each port's interface by a packet socket of its own, past the bridge and
 * its rules; the answer is heard there before the bridge or a rule sees it. The question has the sender address 0.0.0.0
 * (RFC 5227), so the guest notes nobody, and a sender MAC that no interface of the host has, so the host's stack never
 * takes the answer for its own. What the bridge sees of it is a frame of the guest's, as any: it may note the port.
 */
import { close, send } from '../../sys/libc.ts';
import { MSG_DONTWAIT } from '../../sys/message-vector.ts';
import { type Claim, claimOf } from '../heard.ts';
import { listen, openProbe } from '../probe.ts';
import { arpRequest } from '../questions.ts';

const PATIENCE_MS = 600;
/** For how long another may answer after what was waited for, `ms` */
const SECOND_ANSWER_MS = 60;

export interface Question {
  /** Interface to ask by */
  readonly index: number;
  /** Addresses asked for, uint32 */
  readonly addresses: readonly number[];
}

async function askPort({ index, addresses }: Question): Promise<Claim[] | undefined> {
  const claims = new Map<string, Claim>();
  const wanted = new Set(addresses.map((address) => address | 0));
  let fd: number;
  try {
    fd = openProbe(index);
  } catch {
    // Not allowed, or gone since it was listed.
    return undefined;
  }
  try {
    const requests = addresses.map((ip) => arpRequest(0, ip));
    const sent = requests.filter((request) => send(fd, request, request.length, MSG_DONTWAIT) >= 0);
    if (sent.length < requests.length) return undefined;
    const note = (view: DataView): boolean => {
      const claim = claimOf(view);
      if (claim !== undefined) {
        claims.set(`${claim.ip} ${claim.mac}`, claim);
        wanted.delete(claim.ip);
      }
      return wanted.size === 0;
    };
    await listen(fd, PATIENCE_MS, note);
    await listen(fd, SECOND_ANSWER_MS, (view) => {
      note(view);
      return false;
    });
    return [...claims.values()];
  } finally {
    close(fd);
  }
}

/** Asks all at once; undefined where the question could not be put. 0.7 s, and 8 ms for each port. Never throws. */
export function askPorts(questions: readonly Question[]): Promise<(Claim[] | undefined)[]> {
  return Promise.all(questions.map(askPort));
}
