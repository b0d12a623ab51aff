/** A result as the bench prints it, for tests of what is done with one. */
import type { Result } from '../../bench/measure.ts';

export function resultOf(ratio: number, more: Partial<Result> = {}): Result {
  return {
    name: 'l2.tcp.1',
    unit: 'Gbit/s',
    value: 10 * ratio,
    reference: 'bridge',
    referenceValue: 10,
    ratio,
    interval: [ratio, ratio],
    samples: 3,
    spread: 0,
    rigs: { tapswitch: { value: 10 * ratio, ratio }, bridge: { value: 10, ratio: 1 } },
    series: { tapswitch: [10 * ratio], bridge: [10] },
    ...more,
  };
}
