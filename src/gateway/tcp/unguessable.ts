/** Numbers that a guest must not be able to predict (RFC 9293 section 3.4.1, RFC 6056). */
import { randomFillSync } from 'node:crypto';

// Drawn in advance: one at a time would cost more than the connection it is for.
const POOL_WORDS = 256;
const pool = new Int32Array(POOL_WORDS);
let next = POOL_WORDS;

/** A random int32. */
export function unguessable(): number {
  if (next === POOL_WORDS) {
    randomFillSync(pool);
    next = 0;
  }
  return pool[next++] as number;
}
