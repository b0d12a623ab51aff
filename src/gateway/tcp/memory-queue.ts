/**
 * Flows that cannot read from their hosts because their VM has all the memory it may have: nothing else would wake
 * them, since their hosts have said already that there is something to read. First come, first served, by VM.
 */
import type { TcpFlow } from './flow.ts';

export class MemoryQueue {
  readonly #waiting = new Map<number, Set<TcpFlow>>();

  add(flow: TcpFlow): void {
    const flows = this.#waiting.get(flow.port);
    if (flows === undefined) this.#waiting.set(flow.port, new Set([flow]));
    else flows.add(flow);
  }

  delete(flow: TcpFlow): void {
    const flows = this.#waiting.get(flow.port);
    if (flows?.delete(flow) && flows.size === 0) this.#waiting.delete(flow.port);
  }

  /**
   * Lets flows try again as far as there is room.
   *
   * @param room buffers that the VM on a port may take
   */
  serve(room: (port: number) => number, tryAgain: (flow: TcpFlow) => void): void {
    if (this.#waiting.size === 0) return;
    for (const [port, flows] of this.#waiting) {
      let left = room(port);
      for (const flow of flows) {
        if (left-- <= 0) break;
        this.delete(flow);
        tryAgain(flow);
      }
    }
  }
}
