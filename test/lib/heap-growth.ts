/** What a piece of work leaves on the heap. */

const ROUNDS = 20;

/** Bytes by which the heap grows in one round of `play`: the median, after a first round that is not counted. */
export function heapGrowth(play: () => unknown): number {
  play();
  const growth = Array.from({ length: ROUNDS }, () => {
    const before = process.memoryUsage().heapUsed;
    play();
    return process.memoryUsage().heapUsed - before;
  });
  // The median: a round may pay for compiling, and one with a collection shrinks
  return growth.sort((one, other) => one - other)[ROUNDS >> 1] as number;
}
