/**
 * Sockets by which captures see what the kernel hands from one VM to another by itself: one for each VM that is
 * captured. It gets the beginning of each frame, so only captures that want no more have use for it.
 */
import type { SnifferBinding } from '../capture/tap.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { takeReceiveOverflow } from '../sys/packet-socket.ts';
import type { VmPort } from './vm-port.ts';

interface Sniffer {
  readonly index: number;
  readonly fd: number;
}

export class Sniffers {
  readonly #homeOf: (port: number) => number;
  readonly #sniffers = new Map<VmPort, Sniffer>();

  /** @param homeOf the datapath thread of a port */
  constructor(homeOf: (port: number) => number) {
    this.#homeOf = homeOf;
  }

  /**
   * Opens what those VMs want that has not been opened, 16 ms for each; gives what the others had, which is to be closed
   * by {@link release} once nobody reads it any more.
   */
  follow(wanted: ReadonlySet<VmPort>): Sniffer[] {
    const stale: Sniffer[] = [];
    for (const [port, sniffer] of this.#sniffers) {
      if (wanted.has(port) && sniffer.index === port.index) continue;
      this.#sniffers.delete(port);
      stale.push(sniffer);
    }
    for (const port of wanted) {
      if (this.#sniffers.has(port)) continue;
      const fd = port.openSniffer();
      if (fd !== undefined) this.#sniffers.set(port, { index: port.index as number, fd });
    }
    return stale;
  }

  release(stale: readonly Sniffer[]): void {
    for (const { fd } of stale) close(fd);
  }

  bindings(): SnifferBinding[] {
    return [...this.#sniffers].map(([{ number: port }, { fd }]) => ({
      fd,
      port,
      worker: this.#homeOf(port),
    }));
  }

  /** Frames that the kernel had no room for since the last call, by port. */
  lost(): Map<number, number> {
    const lost = new Map<number, number>();
    for (const [{ number }, { fd }] of this.#sniffers) {
      const frames = overflow(fd);
      if (frames > 0) lost.set(number, frames);
    }
    return lost;
  }
}

function overflow(fd: number): number {
  try {
    return takeReceiveOverflow(fd);
  } catch (error) {
    // Its interface is gone.
    if (error instanceof SysError) return 0;
    throw error;
  }
}
