/**
 * Which worker has a TCP flow of a VM. Where the kernel deals a VM's frames out to all workers (sys/fanout.ts), the
 * ports of a flow say whose it is: whoever begins one chooses a port that makes it its own.
 */
import { MAX_PORTS } from '../switch/tables.ts';
import { fanoutSocket } from '../sys/fanout.ts';

export class FlowShare {
  readonly worker: number;
  readonly workers: number;
  readonly #spread = new Uint8Array(MAX_PORTS);

  constructor(worker = 0, workers = 1) {
    this.worker = worker;
    this.workers = workers;
  }

  /** Notes whether the frames of the VM on `port` are dealt out. */
  setSpread(port: number, spread: boolean): void {
    this.#spread[port] = spread ? 1 : 0;
  }

  /** Whether other workers have flows of that VM, too. */
  isSpread(port: number): boolean {
    return this.#spread[port] === 1;
  }

  /** Whether segments of the VM on `port` between those TCP ports come to this worker, if any of its segments do. */
  isOurs(port: number, guestPort: number, remotePort: number): boolean {
    return !this.isSpread(port) || fanoutSocket(guestPort, remotePort, this.workers) === this.worker;
  }
}
