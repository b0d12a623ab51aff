/** Middle of the values, the mean of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Value below which `share` (0 to 1) of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** Distance between the smallest and the largest value, relative to the median, or to the largest where that is 0. */
export function spread(values: readonly number[]): number {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? 0 : (most - least) / (median(values) || most);
}

/**
 * Jain's index of fairness: 1 where all have the same, 1/n where one of n has all; 0 where nobody has anything (R. Jain, D. Chiu, W. Hawe: A
 * Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared Computer Systems, 1984).
 */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 0 : (sum * sum) / (shares.length * squares);
}

/** Rounds to four significant digits: more would be noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

const RESAMPLES = 2000;
const TAIL = 0.025;

/** Numbers from 0 to 1 that look random and are the same in every run (a linear congruential generator, Numerical Recipes). */
function sequence(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * The 95 % interval of the ratio of two medians by bootstrap: rounds are drawn again, each with both its samples, since
 * what disturbs a round disturbs both. With few samples it is little narrower than their range.
 *
 * @param values and `references` of the same rounds, as many of each
 */
export function ratioInterval(values: readonly number[], references: readonly number[]): [number, number] {
  const random = sequence();
  const ratios = Array.from({ length: RESAMPLES }, () => {
    const drawn = values.map(() => Math.floor(random() * values.length));
    return median(drawn.map((i) => values[i]!)) / median(drawn.map((i) => references[i]!));
  });
  return [percentile(ratios, TAIL), percentile(ratios, 1 - TAIL)];
}
