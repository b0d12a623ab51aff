/** The outbound policy of each VM, as the control thread compiled it. A VM without one goes nowhere. */
import { DROP } from '../telemetry/drops.ts';
import { EgressPolicy } from './egress-policy.ts';

export class EgressPolicies {
  readonly #policies = new Map<number, EgressPolicy>();

  /** @param words of an {@link EgressPolicy} */
  set(port: number, words: Int32Array): void {
    this.#policies.set(port, new EgressPolicy(words));
  }

  delete(port: number): void {
    this.#policies.delete(port);
  }

  /** EGRESS_ALLOW, or a drop reason, for a flow of the VM on `port`; see {@link EgressPolicy.decide}. */
  decide(
    port: number,
    protocol: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    destinationPort: number,
  ): number {
    const policy = this.#policies.get(port);
    if (policy === undefined) return DROP['egress-denied'];
    return policy.decide(protocol, w0, w1, w2, w3, destinationPort);
  }
}
