/**
 * Sockets by which captures see what the kernel hands from one VM to another by itself: two for each VM that is
 * captured, for what comes in and what goes out. They get the beginning of each frame, so only captures that want no
 * more have use for them.
 */
import type { SnifferBinding } from '../capture/tap.ts';
import { SysError } from '../sys/errno.ts';
import { close } from '../sys/libc.ts';
import { takeReceiveOverflow } from '../sys/packet-socket.ts';
import type { VmPort } from './vm-port.ts';

interface Pair {
  readonly index: number;
  readonly fds: readonly [incoming: number, outgoing: number];
}

export class Sniffers {
  readonly #homeOf: (port: number) => number;
  readonly #pairs = new Map<VmPort, Pair>();

  /** @param homeOf the datapath thread of a port */
  constructor(homeOf: (port: number) => number) {
    this.#homeOf = homeOf;
  }

  /**
   * Opens what those VMs want that has not been opened, 16 ms for each; gives what the others had, which is to be closed
   * by {@link release} once nobody reads it any more.
   */
  follow(wanted: ReadonlySet<VmPort>): Pair[] {
    const stale: Pair[] = [];
    for (const [port, pair] of this.#pairs) {
      if (wanted.has(port) && pair.index === port.index) continue;
      this.#pairs.delete(port);
      stale.push(pair);
    }
    for (const port of wanted) {
      if (this.#pairs.has(port)) continue;
      const fds = port.openSniffers();
      if (fds !== undefined) this.#pairs.set(port, { index: port.index as number, fds });
    }
    return stale;
  }

  release(stale: readonly Pair[]): void {
    for (const { fds } of stale) for (const fd of fds) close(fd);
  }

  bindings(): SnifferBinding[] {
    return [...this.#pairs].flatMap(([{ number: port }, { fds }]) => {
      const worker = this.#homeOf(port);
      const [incoming, outgoing] = fds;
      return [
        { fd: incoming, port, kind: 'received', worker },
        { fd: outgoing, port, kind: 'sent', worker },
      ] as const;
    });
  }

  /** Frames that the kernel had no room for since the last call, by port. */
  lost(): Map<number, number> {
    const lost = new Map<number, number>();
    for (const [{ number }, { fds }] of this.#pairs) {
      const frames = fds.reduce((sum, fd) => sum + overflow(fd), 0);
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
