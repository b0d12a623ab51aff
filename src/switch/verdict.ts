/**
 * What the switch decided about a frame, as one small integer: the number of the port it leaves by (0 is the
 * gateway), FLOOD, or a drop with its reason.
 */

/**
 * The gateway has kept the frame: nothing leaves in its slot, and nothing was lost. Only the gateway says so; the
 * number is its port's.
 */
export const KEPT = 0;

/** To every port of the network that may have it, but the one it came from. */
export const FLOOD = -1;

const FIRST_DROP = -2;

/** Verdict "drop", for a number of `DROP`. */
export function drop(reason: number): number {
  return FIRST_DROP - reason;
}

/** Reason of a drop verdict, a number of `DROP`. */
export function dropReason(verdict: number): number {
  return FIRST_DROP - verdict;
}
