/**
 * What is measured: two guests and what joins them. Each way of joining has a rig of its own (a namespace that
 * plays the host, two guest namespaces, links of its own), all alike and all set up before the first sample, so
 * that changing from one to the next costs nothing and leaves nothing behind: an idle rig takes no processor time.
 */
export interface Rig {
  readonly name: RigName;
  /** Namespaces of the two guests */
  readonly client: string;
  readonly server: string;
  /** Address of the server guest */
  readonly address: string;
  /** Process that moves the frames; none where the kernel does */
  readonly pid: number | undefined;
}

/**
 * The `-tap` rigs join guests on TAPs that a stand-in for a VMM holds; vde_switch has TAPs of its own; the others
 * veths. `datapath` is tapswitch without its fast path: every frame passes through TypeScript.
 */
export type RigName =
  | 'bridge'
  | 'tapswitch'
  | 'datapath'
  | 'vde_switch'
  | 'bridge-tap'
  | 'tapswitch-tap'
  | 'datapath-tap';

/** What must be undone at the end, in reverse order. */
export class Undo {
  readonly #steps: (() => void | Promise<void>)[] = [];

  push(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step();
  }
}
