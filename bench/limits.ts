/** The ratios a row must keep, and what `--check` says of a result. */
import type { Result } from './measure.ts';

/** Ratios: where `fail` is below `warn`, more is better, else less is. */
export interface Limits {
  readonly warn: number;
  readonly fail: number;
}

export type Level = 'ok' | 'warn' | 'fail';

export interface Verdict {
  readonly level: Level;
  readonly text: string;
}

/** How much worse than the baseline of this kind of machine is worth a warning */
const WORSE_THAN_BASELINE = 0.2;

/**
 * The interval's better end is what is judged: a row fails only when its samples agree that it should. A row that says
 * nothing, being void, cannot fail.
 */
export function verdictOf(result: Result, limits: Limits, baseline?: number): Verdict {
  const { ratio, interval } = result;
  if (ratio === undefined || interval === undefined) return { level: 'ok', text: 'has no ratio' };
  if (result.void) return { level: 'warn', text: 'void' };
  const moreIsBetter = limits.fail < limits.warn;
  const best = moreIsBetter ? interval[1] : interval[0];
  const beyond = (limit: number) => (moreIsBetter ? best < limit : best > limit);
  const bound = moreIsBetter ? 'at least' : 'at most';
  const measured = `ratio ${ratio} (${interval[0]} to ${interval[1]})`;
  if (beyond(limits.fail)) return { level: 'fail', text: `${measured}, must be ${bound} ${limits.fail}` };
  if (beyond(limits.warn)) return { level: 'warn', text: `${measured}, should be ${bound} ${limits.warn}` };
  const worst = baseline && baseline * (moreIsBetter ? 1 - WORSE_THAN_BASELINE : 1 + WORSE_THAN_BASELINE);
  if (worst && beyond(worst)) return { level: 'warn', text: `${measured}, the baseline has ${baseline}` };
  return { level: 'ok', text: measured };
}
