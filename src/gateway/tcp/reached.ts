/** Which ports of the guests have taken a connection of the host's: each is told of once, until it is forgotten. */
import type { TcpFlow } from './flow.ts';

const BY_GUEST = -1;

export class Reached {
  readonly #tell: (port: number, guestPort: number) => void;
  readonly #ports = new Map<number, Set<number>>();

  constructor(tell: (port: number, guestPort: number) => void) {
    this.#tell = tell;
  }

  /** Takes note of a flow that has been opened. */
  note({ forward, port, guestPort }: TcpFlow): void {
    if (forward === BY_GUEST) return;
    let known = this.#ports.get(port);
    if (known === undefined) {
      known = new Set();
      this.#ports.set(port, known);
    }
    if (known.has(guestPort)) return;
    known.add(guestPort);
    this.#tell(port, guestPort);
  }

  forget(port: number): void {
    this.#ports.delete(port);
  }
}
