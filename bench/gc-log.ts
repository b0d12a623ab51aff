/**
 * What a Node.js process allocates, all its threads together, from what `--trace-gc` prints: between two collections a
 * thread's heap grows by what it allocated. What came since the last one does not show yet, at most a young generation
 * for each thread; `--max-semi-space-size` says how large that is.
 */
import type { Readable } from 'node:stream';

/** `[pid:isolate] N ms: KIND BEFORE (COMMITTED) -> AFTER (COMMITTED) MB, ...` */
const COLLECTION = /^\[\d+:(\S+)\].* ms: .*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \(/;
const MEGABYTE = 2 ** 20;

/** Size of a semi-space, MiB: small, so that little stays unseen */
const SEMI_SPACE = 1;

export const TRACE_GC: readonly string[] = ['--trace-gc', `--max-semi-space-size=${SEMI_SPACE}`];
/** Allocation that one thread may have done unseen, bytes */
export const UNSEEN_BYTES = SEMI_SPACE * MEGABYTE;

export class GcLog {
  /** Heap after the last collection, MB, by isolate, of which each thread has one */
  readonly #after = new Map<string, number>();
  #megabytes = 0;
  #rest = '';

  /** @param output standard output of the process, as text */
  constructor(output: Readable) {
    output.on('data', (text: string) => this.#read(text));
  }

  /** Allocated since the first collection of each thread, as far as collections tell, bytes. */
  get allocated(): number {
    return this.#megabytes * MEGABYTE;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() as string;
    for (const line of lines) {
      const [, isolate, before, after] = COLLECTION.exec(line) ?? [];
      if (isolate === undefined) continue;
      const start = this.#after.get(isolate);
      if (start !== undefined) this.#megabytes += Math.max(0, Number(before) - start);
      this.#after.set(isolate, Number(after));
    }
  }
}
