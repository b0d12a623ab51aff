/** What the kernel calls a thread, as `top -H` and `perf` show it (prctl(2), PR_SET_NAME). */
import { check, prctl } from './libc.ts';

const PR_SET_NAME = 15;

/** Names the calling thread; of more than 15 bytes the kernel keeps 15. */
export function nameThread(name: string): void {
  check('name the thread', prctl(PR_SET_NAME, name));
}
