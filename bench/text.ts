/** Results for people. */
import type { Result } from './measure.ts';

export function readable(result: Result): string {
  const { name, value, unit, reference, referenceValue, ratio, interval, spread, rigs } = result;
  const range = interval === undefined ? '' : ` (${interval[0]} to ${interval[1]})`;
  const compared =
    reference === undefined ? '' : `${`${reference} ${referenceValue}`.padEnd(22)}x${ratio}${range}  `;
  const others = Object.entries(rigs)
    .filter(([rig, figures]) => rig !== reference && 'ratio' in figures && figures.ratio !== ratio)
    .map(([rig, figures]) => `${rig} x${figures.ratio}`);
  const beside = others.length > 0 ? `  ${others.join(', ')}` : '';
  const noisy = result.noisy ? '  NOISY: run it again on a machine that does nothing else' : '';
  const note = result.void ? `  VOID: ${result.reason}` : '';
  return `${name.padEnd(28)}${`${value} ${unit}`.padEnd(24)}${compared}(spread ${spread})${beside}${noisy}${note}`;
}
