/**
 * The fast paths of a switch: one per network namespace, made when the first VM there asks for it, and for our own one
 * that of TCP connections. Where the kernel refuses (no CAP_BPF, too old) the log says so once, and the datapath carries everything.
 */
import { FastPath } from '../fastpath/fast-path.ts';
import { FlowOffload } from '../fastpath/flow-offload.ts';
import { MAX_PORTS } from '../switch/tables.ts';
import { SysError } from '../sys/errno.ts';
import type { Logger } from '../telemetry/logger.ts';
import { isSameNamespace } from './namespace.ts';

/** How the kernel may carry a VM's frames; each undefined where it may not. */
export interface Ways {
  /** Between it and other VMs */
  readonly fastPath: FastPath | undefined;
  /** Its connections */
  readonly offload: FlowOffload | undefined;
}

/** For a VM whose frames are to be interfered with on their way. */
export const NO_WAYS: Ways = { fastPath: undefined, offload: undefined };

export class FastPaths {
  readonly #log: Logger;
  readonly #paths = new Map<string | undefined, FastPath>();
  /** Undefined where there can be none */
  readonly offload: FlowOffload | undefined;
  /** There is none */
  #refused: boolean;

  constructor(off: boolean, log: Logger) {
    this.#refused = off;
    this.#log = log;
    this.offload = off ? undefined : this.#offload();
  }

  #offload(): FlowOffload | undefined {
    try {
      return new FlowOffload();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#log.info({ err: error.message }, 'no offload of connections: the datapath carries all of them');
      return undefined;
    }
  }

  /** The fast path of the namespace at `namespace` (our own where undefined), undefined where there can be none. */
  #of(namespace: string | undefined): FastPath | undefined {
    const known = this.#paths.get(namespace);
    if (known !== undefined || this.#refused) return known;
    const flows = isSameNamespace(namespace, undefined) ? this.offload?.fd : undefined;
    try {
      const path = new FastPath(namespace, MAX_PORTS, flows);
      this.#paths.set(namespace, path);
      return path;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#refused = true;
      this.#log.warn({ err: error.message }, 'no fast path between VMs: the datapath carries all of it');
      return undefined;
    }
  }

  /**
   * What a VM whose TAP is in that namespace may have.
   * @param meets whether there are others that it may talk to
   */
  waysOf(namespace: string | undefined, meets: boolean): Ways {
    return {
      fastPath: meets ? this.#of(namespace) : undefined,
      // The sockets of its connections are ours, and so is their namespace.
      offload: isSameNamespace(namespace, undefined) ? this.offload : undefined,
    };
  }

  /** Ends the fast path of a namespace that has no VM any more. */
  release(namespace: string | undefined): void {
    this.#paths.get(namespace)?.close();
    this.#paths.delete(namespace);
  }

  /** Tells of a worker's death, and with it of the connections it looked after. */
  died(worker: number): void {
    this.offload?.forget(worker);
  }

  close(): void {
    this.offload?.close();
    for (const path of this.#paths.values()) path.close();
    this.#paths.clear();
  }
}
