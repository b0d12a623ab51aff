/**
 * The fast paths of a switch: one per network namespace, made when the first VM there asks for it. Where the kernel
 * refuses (no CAP_BPF, too old) the log says so once, and the datapath carries everything.
 */
import { FastPath } from '../fastpath/fast-path.ts';
import { MAX_PORTS } from '../switch/tables.ts';
import { SysError } from '../sys/errno.ts';
import type { Logger } from '../telemetry/logger.ts';

export class FastPaths {
  readonly #log: Logger;
  readonly #paths = new Map<string | undefined, FastPath>();
  /** There is none */
  #refused: boolean;

  constructor(off: boolean, log: Logger) {
    this.#refused = off;
    this.#log = log;
  }

  /** The fast path of the namespace at `namespace` (our own where undefined), undefined where there can be none. */
  of(namespace: string | undefined): FastPath | undefined {
    const known = this.#paths.get(namespace);
    if (known !== undefined || this.#refused) return known;
    try {
      const path = new FastPath(namespace, MAX_PORTS);
      this.#paths.set(namespace, path);
      return path;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#refused = true;
      this.#log.warn({ err: error.message }, 'no fast path between VMs: the datapath carries all of it');
      return undefined;
    }
  }

  /** Ends the fast path of a namespace that has no VM any more. */
  release(namespace: string | undefined): void {
    this.#paths.get(namespace)?.close();
    this.#paths.delete(namespace);
  }

  close(): void {
    for (const path of this.#paths.values()) path.close();
    this.#paths.clear();
  }
}
