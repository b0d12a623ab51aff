/** What single hops say, and the one verdict that follows: the same for a VM of the switch and a guest on a bridge. */

export type HopStatus = 'ok' | 'failed' | 'skipped' | 'unknown';

/** What one hop says; with `verdict`, that it is where the way ends. */
export interface Finding<Code extends string> {
  readonly status: HopStatus;
  readonly evidence: string;
  readonly verdict?: Code;
  /** What does not keep the two ends apart: it decides only where nothing else does */
  readonly mild?: true;
}

export interface DecidedHop<Hop extends string> {
  readonly hop: Hop;
  readonly status: HopStatus;
  readonly evidence: string;
}

export const ok = (evidence: string): Finding<never> => ({ status: 'ok', evidence });
export const skipped = (evidence: string): Finding<never> => ({ status: 'skipped', evidence });
export const unknown = (evidence: string): Finding<never> => ({ status: 'unknown', evidence });
/** Failed, but what that means another hop says. */
export const failing = (evidence: string): Finding<never> => ({ status: 'failed', evidence });
export const failed = <Code extends string>(verdict: Code, evidence: string): Finding<Code> => ({
  status: 'failed',
  evidence,
  verdict,
});
export const mild = <Code extends string>(verdict: Code, evidence: string): Finding<Code> => ({
  ...failed(verdict, evidence),
  mild: true,
});

/** The hops in their order, and the code of the first that has one that matters; undefined where none has. */
export function settle<Hop extends string, Code extends string, Facts>(
  order: readonly Hop[],
  checks: Readonly<Record<Hop, (facts: Facts) => Finding<Code>>>,
  facts: Facts,
): { hops: DecidedHop<Hop>[]; code: Code | undefined } {
  const findings = order.map((hop) => ({ hop, ...checks[hop](facts) }));
  const saying = findings.filter(({ verdict }) => verdict !== undefined);
  const hops = findings.map(({ hop, status, evidence }) => ({ hop, status, evidence }));
  return { hops, code: (saying.find((one) => one.mild !== true) ?? saying[0])?.verdict };
}
