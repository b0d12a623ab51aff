/**
 * What the switch would do with a flow, rule by rule, and why.
 *
 * Theory of operation. The flow's first frames (who has that address? then the SYN, datagram or echo request) are built and
 * handed to the datapath's own forwarder and gateway, over a copy of the tables (trial.ts). What they answer is put in words
 * (guest-frame.ts, host.ts). Nothing that anybody else sees changes: no address is learned, no counter counts, no rate is
 * used up, no flow noted, no socket opened.
 */
import type { Scene } from '../engine/scene.ts';
import { explainGuest } from './guest.ts';
import { explainHost } from './host.ts';
import type { Question } from './question.ts';
import { Account, type Explanation } from './steps.ts';
import { Trial } from './trial.ts';

/** Explains a flow. Throws VM_UNKNOWN, EXPLAIN_INVALID. */
export function explain(question: Question, scene: Scene): Explanation {
  const trial = new Trial(scene);
  try {
    const account = new Account(scene, trial);
    const { source } = question;
    return source.kind === 'host' ? explainHost(question, account) : explainGuest(question, source, account);
  } finally {
    trial.release();
  }
}
